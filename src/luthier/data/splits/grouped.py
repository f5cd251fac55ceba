"""Division by group: all rows of an author, a topic, a document are on one side.

scikit-learn's StratifiedGroupKFold makes folds of equal size and knows single labels only; parts of different sizes and rows with
several labels need the greedy below, which is of the same kind: large groups first, each where it brings the parts nearest to their
shares of every label (chi-square distance).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.data.split import members
from luthier.data.splits.parts import Basis, Parts, Rows
from luthier.errors import DataError


def divide(basis: Basis, parts: Parts) -> Rows:
    """Divide whole groups so that sizes and labels come as near to the shares as the groups allow.

    A row without a group is a group of its own. A group that alone has a label goes to training. Groups of the same size are taken
    in the seed's order.

    Raises:
        DataError: every row has a group of its own, all have the same, or there are fewer groups than parts.
    """
    which = _numbered(basis.keys)
    groups = int(which.max()) + 1
    _check(groups, len(which), basis.column, parts)
    table = _table(which, groups, basis.labels)
    order = _order(table, basis.seed)
    first = _sole_homes(table) & parts.trains
    places = _assign(table, order, np.array(list(parts.shares.values())), first)
    return {name: np.flatnonzero(places[which] == place) for place, name in enumerate(parts.shares)}


def _numbered(keys: Sequence[Any]) -> np.ndarray:
    """A number from 0 for each group, in the order of their first rows."""
    known: dict[Any, int] = {}
    return np.array(
        [known.setdefault(("row", row) if is_missing(key) else str(key), len(known)) for row, key in enumerate(keys)]
    )


def is_missing(key: Any) -> bool:
    """Whether a cell names no group."""
    return key is None or key != key or (isinstance(key, str) and not key.strip())


def _check(groups: int, rows: int, column: str, parts: Parts) -> None:
    if groups == rows:
        raise DataError(
            f"Column {column!r} has a different value in each of the {rows:,} rows, so it groups nothing. Name the column with the groups, "
            "or write by: random."
        )
    if groups == 1:
        raise DataError(
            f"Column {column!r} has the same value in all {rows:,} rows; a single group cannot be divided. Name another column, or write "
            "by: random."
        )
    if groups < len(parts.shares):
        raise DataError(
            f"Column {column!r} has {groups} different values, and {len(parts.shares)} parts ({', '.join(parts.shares)}) need as many "
            "groups. Divide into fewer parts, or write by: random."
        )


def _table(which: np.ndarray, groups: int, labels: Sequence[Any]) -> np.ndarray:
    """Rows of each group, in all and with each label, (groups, 1 + labels)."""
    known: dict[Any, int] = {}
    cells = [
        (group, known.setdefault(member, len(known)))
        for group, label in zip(which.tolist(), labels, strict=True)
        for member in members(label)
    ]
    table = np.zeros((groups, 1 + len(known)))
    table[:, 0] = np.bincount(which, minlength=groups)
    if cells:
        rows, columns = np.array(cells).T
        np.add.at(table, (rows, columns + 1), 1)
    return table


def _order(table: np.ndarray, seed: int) -> np.ndarray:
    """Groups from the largest to the smallest."""
    shuffled = np.random.default_rng(seed).permutation(len(table))
    return shuffled[np.argsort(-table[shuffled, 0], kind="stable")]


def _sole_homes(table: np.ndarray) -> np.ndarray:
    """Which groups have a label that no other group has, (groups,) bool."""
    homes = table > 0
    return np.asarray(homes[:, homes.sum(axis=0) == 1].any(axis=1))


def _assign(table: np.ndarray, order: np.ndarray, shares: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The part of each group, (groups,) int.

    Args:
        table: rows of each group, in all and with each label, (groups, 1 + labels).
        order: in which groups are taken.
        shares: of each part.
        first: groups that belong into the first part, as long as the others have a group left, (groups,) bool.
    """
    wanted = np.maximum(shares[:, None] * table.sum(axis=0), 1e-9)
    filled = np.zeros_like(wanted)
    places = np.zeros(len(table), dtype=np.int64)
    for taken, group in enumerate(np.concatenate([order[first[order]], order[~first[order]]])):
        left, empty = len(order) - taken, filled[:, 0] == 0
        # how much the sum of (filled - wanted)^2 / wanted grows when the group goes to each part
        cost = (table[group] * (2 * (filled - wanted) + table[group]) / wanted).sum(axis=1)
        if left <= empty.sum():
            cost[~empty] = np.inf
        elif first[group]:
            cost[1:] = np.inf
        places[group] = int(np.argmin(cost))
        filled[places[group]] += table[group]
    return places


def anchored(basis: Basis) -> np.ndarray:
    """Rows of groups that alone have a label, (rows,) bool."""
    which = _numbered(basis.keys)
    sole = _sole_homes(_table(which, int(which.max()) + 1, basis.labels))
    return np.asarray(sole[which])
