"""What two splits share: texts, ids, groups; and what is later than it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier.data.leakage.certificate import SHOWN, Check, Example, Place, Side


@dataclass(frozen=True)
class Kind:
    """A kind of value that no two splits may share."""

    shares: str
    """What a row has that the other has too; `{what}` is what rows are, such as `text`."""
    meaning: str
    """What it does to the scores."""
    text: bool = False
    """Duplicates of texts: a row counts once, under the first kind that finds it."""


KINDS: Mapping[str, Kind] = {
    "exact": Kind("the same {what} as", "their scores show memory", text=True),
    "near": Kind("nearly the same {what} as", "their scores may show memory", text=True),
    "image": Kind("the same image, with another text, as", "the model has seen it", text=True),
    "passage": Kind("a question, but another one, about the same text as", "the model has read that text", text=True),
    "id": Kind("the same id as", "they may be the same case"),
    "group": Kind("the same group as", "scores say nothing about new groups"),
}
"""The strictest first."""


def codes(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    """A number for each different value, -1 for a missing one: null, NaN, blank, or a negative number (no group)."""
    import pandas as pd

    if isinstance(values, np.ndarray) and np.issubdtype(values.dtype, np.integer):
        return np.where(values < 0, -1, values).astype(np.int64)
    cells = [None if value is None or value != value or not str(value).strip() else str(value) for value in values]
    return np.asarray(pd.factorize(np.array(cells, dtype=object))[0], dtype=np.int64)


def shared(
    kind: str, values: np.ndarray, others: np.ndarray, splits: Mapping[str, Side], known: np.ndarray
) -> tuple[Check, np.ndarray]:
    """Look for values that stand in both splits.

    Args:
        kind: a key of `KINDS`.
        values: numbers from `codes` of the first split's rows.
        others: those of the second split's rows.
        splits: the two, the one that leaks first.
        known: rows of the second split in which a stricter kind was found already; they are not counted again, (rows,) bool.

    Returns:
        The check, and which rows of the second split share a value with the first, (rows,) bool.
    """
    (name, side), (other, held) = splits.items()
    both = np.intersect1d(values[values >= 0], others[others >= 0])
    hit = np.isin(others, both)
    counted = hit & ~known
    remove = np.flatnonzero(np.isin(values, both))
    sentence = _sentence(kind, side.what, name, other, int(counted.sum()), len(others), len(remove))
    rows = np.flatnonzero(counted)[:SHOWN]
    examples = tuple(
        Example((Place.of(other, held, int(row)), Place.of(name, side, int(np.argmax(values == others[row])))))
        for row in rows
    )
    removed = {name: remove} if len(remove) else {}
    return Check(kind, (name, other), int(counted.sum()), len(others), sentence, examples, removed), hit


def _sentence(kind: str, what: str, name: str, other: str, rows: int, of: int, remove: int) -> str:
    shares = KINDS[kind].shares.format(what=what)
    if not rows:
        return f"No {other} row has {shares} a {name} row" + (", beyond those counted already." if remove else ".")
    has = "has" if rows == 1 else "have"
    return f"{rows:,} of {of:,} {other} rows {has} {shares} a {name} row: {KINDS[kind].meaning}."


def later(moments: np.ndarray, others: np.ndarray, splits: Mapping[str, Side]) -> Check:
    """Look for rows of the first split that are later than a row of the second.

    Args:
        moments: of the first split's rows, from `luthier.data.dates`.
        others: of the second split's rows.
        splits: the two, the one that should be earlier first.
    """
    (name, side), (other, held) = splits.items()
    if not len(moments) or not len(others):
        return Check("time", (name, other), 0, len(others), f"There are no {name} and {other} rows to compare.")
    latest, earliest = int(np.argmax(moments)), int(np.argmin(others))
    newest, oldest = said(moments[latest]), said(others[earliest])
    remove = np.flatnonzero(moments > others[earliest])
    if not len(remove):
        sentence = f"No {other} row ({oldest} at the earliest) is older than a {name} row ({newest} at the latest)."
        return Check("time", (name, other), 0, len(others), sentence)
    older = int((others < moments[latest]).sum())
    are = "is" if older == 1 else "are"
    sentence = (
        f"{older:,} of {len(others):,} {other} rows {are} older than the latest {name} row ({newest}), the oldest of {oldest}: the model "
        "has seen their future."
    )
    example = Example((Place.of(other, held, earliest), Place.of(name, side, latest)), f"{oldest}, {newest}")
    return Check("time", (name, other), older, len(others), sentence, (example,), {name: remove})


def said(moment: Any) -> str:
    """A moment as a person writes it: no zeros after the day or the minute."""
    return str(np.datetime_as_string(moment, unit="auto")) if isinstance(moment, np.datetime64) else str(moment)
