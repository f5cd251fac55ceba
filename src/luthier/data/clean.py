"""Rows that cannot be used, because they have no input or no label: found, counted, and shown by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc

from luthier.counted import many
from luthier.data.source import UNDIVIDED
from luthier.data.tables import scan
from luthier.errors import DataError

NAMED = 5


def without_text(dataset: datasets.Dataset, text: str) -> dict[int, str]:
    """Places of rows whose text is null, empty or only white space, and this as the reason."""
    masks = [
        pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(table[text])), 0), True).to_numpy()
        for table in scan(dataset, text)
    ]
    blank = np.concatenate([np.zeros(0, dtype=bool), *masks])
    return dict.fromkeys(np.flatnonzero(blank).tolist(), "no text")


def find(
    unusable: Mapping[int, str], labels: Sequence[Any], split: str, bad_rows: str
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Tell usable rows from those whose input cannot be used, or that have no label (None).

    Args:
        unusable: what is wrong with an input, by its row's place.
        labels: one value per row, from `columns.labels`.
        split: what the report calls it.
        bad_rows: `drop`, or `error` to refuse them.

    Returns:
        The indices of usable rows, ascending, and of each of the others its number, counted from 1 without the header, and the
        reason.

    Raises:
        DataError: there are such rows and `bad_rows` is `error`, or no usable row is left.
    """
    bad = np.fromiter((row in unusable or label is None for row, label in enumerate(labels)), bool, len(labels))
    reasons = [(row + 1, _reason(unusable.get(row), labels[row])) for row in np.flatnonzero(bad).tolist()]
    if reasons and bad_rows == "error":
        raise DataError(f"{_summary(split, reasons, len(labels))} Mend them, or write data.bad_rows: drop.")
    if bad.all():
        raise DataError(f"{_summary(split, reasons, len(labels))} Nothing is left; are these the right columns?")
    return np.flatnonzero(~bad), reasons


def left_out(bad: Mapping[str, Any]) -> str:
    """What is said of rows that cannot be used; empty where there are none.

    Args:
        bad: `bad_rows` of data.json: how many `rows`, and `examples` with split, row and reason.
    """
    rows = bad["rows"]
    if not rows:
        return ""
    named = [_named(one["split"], one["row"], one["reason"]) for one in bad["examples"][:NAMED]]
    return f"{many(rows, 'row')} cannot be used and {'is' if rows == 1 else 'are'} left out: {_listed(named, rows)}."


def _named(split: str, row: int, reason: str) -> str:
    return f"{'' if split == UNDIVIDED else f'{split} '}row {row} ({reason})"


def _listed(named: Sequence[str], rows: int) -> str:
    return ", ".join(named[:NAMED]) + (f" and {rows - NAMED:,} more" if rows > NAMED else "")


def _reason(wrong: str | None, label: Any) -> str:
    return " and ".join(filter(None, [wrong, "no label" if label is None else None]))


def _summary(split: str, bad: Sequence[tuple[int, str]], rows: int) -> str:
    where = "the data" if split == UNDIVIDED else f"the {split} split"
    named = [_named(UNDIVIDED, row, reason) for row, reason in bad[:NAMED]]
    return f"{len(bad):,} of {rows:,} rows of {where} cannot be used: {_listed(named, len(bad))}."
