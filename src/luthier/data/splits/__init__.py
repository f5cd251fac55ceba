"""Who goes where: rows are divided into training, validation and test, each way in a file of its own.

| by | the same side | use |
|---|---|---|
| random | nothing; exactly stratified | rows that have nothing to do with each other |
| time | rows of a moment; the latest are held out | what is to come is predicted |
| group | rows of a group | new authors, topics or documents are to come |
| content | rows of the same text; new rows move no old one | data that grow |
| given | what a column says | others divide in the same way |

A way is a function `(Basis, Parts) -> row numbers of each part`. All of them are deterministic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from luthier.data.split import Division, listed, members, warnings
from luthier.data.splits import chronological, content, grouped, named, shuffled
from luthier.data.splits.parts import Basis, Parts, Rows
from luthier.errors import DataError

__all__ = ["WAYS", "Basis", "Division", "Parts", "Way", "divide", "fold"]

FAR = 0.1
"""A part that is this much larger or smaller than asked is worth a warning."""


def _none(basis: Basis) -> np.ndarray:
    return np.zeros(len(basis.labels), dtype=bool)


@dataclass(frozen=True)
class Way:
    """One way to divide."""

    divide: Callable[[Basis, Parts], Rows]
    folds: bool = True
    """Whether its parts can take turns as test split."""
    anchored: Callable[[Basis], np.ndarray] = _none
    """Rows that are in training whichever fold is tested, because nothing else has their label, (rows,) bool."""
    because: str = "too few rows for every part"
    """Why a part may lack a label or have another size than was asked."""
    sized: bool = True
    """Whether sizes are asked for."""


WAYS: Mapping[str, Way] = {
    "random": Way(shuffled.divide, anchored=shuffled.anchored),
    "time": Way(chronological.divide, folds=False, because="rows of the same date stay together"),
    "group": Way(grouped.divide, anchored=grouped.anchored, because="groups stay whole"),
    "content": Way(content.divide, because="each row is placed by itself, so sizes are right on average only"),
    "given": Way(named.divide, folds=False, because="the column puts none there", sized=False),
}


def divide(by: str, basis: Basis, parts: Parts) -> Division:
    """Divide rows into the parts asked for.

    Args:
        by: a key of `WAYS`.
        basis: labels, and the column that decides.
        parts: shares or sizes; `given` does not ask for them.

    Returns:
        Row numbers of each part, and warnings about sizes and classes.

    Raises:
        DataError: the column cannot be divided by, a part is left without rows, or training lacks a label.
    """
    if len(basis.labels) < len(parts.shares):
        raise DataError(
            f"{len(basis.labels)} rows cannot be divided into {len(parts.shares)} parts ({', '.join(parts.shares)}); give more rows."
        )
    rows = WAYS[by].divide(basis, parts)
    _check(by, basis, rows)
    way = WAYS[by]
    return Division(rows, [*_far(rows, parts, way), *warnings(basis.labels, rows, way.because)])


def fold(by: str, basis: Basis, number: int, folds: int, validation: float) -> Division:
    """The division in which one of several folds is the test split; over all numbers every row is tested once.

    Rows that alone have a label are tested in none: they are always in training.

    Args:
        by: a key of `WAYS`.
        basis: labels, and the column that decides.
        number: which fold is the test split, from 1.
        folds: how many there are.
        validation: share of the other rows that is held back for validation; 0 for none.

    Raises:
        DataError: as `divide`; or the way has an order and so no folds.
    """
    way = WAYS[by]
    if not way.folds:
        raise DataError(
            f"data.split.folds goes with by: {' or '.join(name for name in WAYS if WAYS[name].folds)}, not {by}."
        )
    if not 1 <= number <= folds:
        raise DataError(f"data.split.fold: there is no fold {number} of {folds}; expected 1 to {folds}.")
    anchored = way.anchored(basis)
    free = np.flatnonzero(~anchored)
    if len(free) < folds:
        raise DataError(
            f"{len(free)} rows whose label other rows have cannot be divided into {folds} folds; ask for fewer."
        )
    test = free[way.divide(basis.pick(free, "fold"), Parts.folds(folds))[str(number)]]
    return _with_test(by, basis, test, validation)


def _with_test(by: str, basis: Basis, test: np.ndarray, validation: float) -> Division:
    rest = np.setdiff1d(np.arange(len(basis.labels)), test)
    rows = {"train": rest}
    if validation:
        inner = WAYS[by].divide(basis.pick(rest, "validation"), Parts.held_back(validation))
        rows = {name: rest[inside] for name, inside in inner.items()}
    rows["test"] = test
    _check(by, basis, rows)
    return Division(rows, warnings(basis.labels, rows, WAYS[by].because))


def _check(by: str, basis: Basis, rows: Rows) -> None:
    empty = [name for name, inside in rows.items() if not len(inside)]
    if empty:
        raise DataError(
            f"data.split by: {by} leaves no row for {empty[0]} out of {len(basis.labels):,}; give more rows or larger parts."
        )
    known = {member for row in rows["train"] for member in members(basis.labels[row])}
    for name in list(rows)[1:]:
        lacking = {str(member) for row in rows[name] for member in members(basis.labels[row]) if member not in known}
        if lacking:
            raise DataError(
                f"data.split by: {by} leaves training without the label {listed(sorted(lacking))}, which rows of the {name} split have: it "
                "could not be learned. Use other parts, another seed or another way to divide, or leave these rows out."
            )


def _far(rows: Rows, parts: Parts, way: Way) -> list[str]:
    total = sum(map(len, rows.values()))
    asked = dict(zip(parts.shares, parts.targets(total), strict=True)) if way.sized else {}
    return [
        f"The {name} split has {len(rows[name]):,} rows where about {count:,.0f} were asked for: {way.because}."
        for name, count in asked.items()
        if abs(len(rows[name]) - count) > max(1.0, FAR * count)
    ]
