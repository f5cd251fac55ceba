"""Stratified division: every class keeps its share in every part, and every row is in exactly one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.errors import DataError

NAMES = {2: ("train", "validation"), 3: ("train", "validation", "test")}

FREQUENT = 10
"""Label combinations with this many rows are strata of their own; rarer ones go by their rarest label."""

NAMED = 5
"""Classes named in a warning before the rest is counted."""


@dataclass(frozen=True)
class Division:
    """Row numbers of each part, ascending, and what a person should know about them."""

    rows: dict[str, np.ndarray]
    warnings: list[str] = field(default_factory=list)


def stratified(
    labels: Sequence[Any], shares: Mapping[str, float], seed: int, always_first: bool = True
) -> dict[str, np.ndarray]:
    """Divide rows at random so that every class keeps its share in every part: row numbers of each part, ascending.

    Of a class with n rows every part gets its exact share of n rounded down or up; which of the two is chosen so that the sizes
    of the parts come out right as well. Rows with several labels are stratified by their combination of labels, and by the rarest
    label where that combination is rare.

    Args:
        labels: one value per row, a list of str for multi-label.
        shares: of each part, summing to 1.
        seed: of the draw. The sizes of all parts in all classes depend on the labels only, not on seed or order.
        always_first: whether the first part, which is training, gets a row of every class and label, its only one too.
    """
    strata = _strata(labels)
    chosen = _allot(strata, np.array(list(shares.values())), seed, always_first)
    return dict(zip(shares, _completed(chosen, labels, strata, seed) if always_first else chosen, strict=True))


def draw(labels: Sequence[Any], rows: int, seed: int, every_label: bool = False) -> np.ndarray:
    """Numbers of `rows` rows drawn at random, every class with its share; all rows when there are no more.

    Args:
        labels: one value per row, a list of str for multi-label.
        rows: how many.
        seed: of the draw.
        every_label: whether each label has a row among them, however small its share.

    Raises:
        DataError: so few rows cannot have every label.
    """
    if rows >= len(labels):
        return np.arange(len(labels))
    share, strata = rows / len(labels), _strata(labels)
    chosen = _allot(strata, np.array([share, 1 - share]), seed, always_first=False)
    picked = _completed(chosen, labels, strata, seed)[0] if every_label else chosen[0]
    if len(picked) > rows:
        known = len({member for label in labels for member in members(label)})
        raise DataError(
            f"data.rows: {rows:,} rows cannot hold one of each of training's {known:,} labels, and it needs them. Ask for more rows."
        )
    return picked


def members(label: Any) -> list[Hashable]:
    """The labels of a row: one, or those of a list."""
    return label if isinstance(label, list) else [label]


def _strata(labels: Sequence[Any]) -> list[np.ndarray]:
    """Rows that are divided in the same ratio, largest stratum first."""
    keys: list[Hashable] = [tuple(sorted(label)) if isinstance(label, list) else label for label in labels]
    combined, counts = Counter(keys), Counter(member for label in labels for member in members(label))
    groups: dict[str, list[int]] = {}
    for row, (key, label) in enumerate(zip(keys, labels, strict=True)):
        rare = isinstance(label, list) and label and combined[key] < FREQUENT
        group = repr(("rarest", min(label, key=lambda member: (counts[member], member))) if rare else key)
        groups.setdefault(group, []).append(row)
    return [np.asarray(rows) for _, rows in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))]


def only_once(labels: Sequence[Any]) -> set[str]:
    """Labels that a single row has. Being its rarest label, such a one makes a stratum of its own."""
    counts = Counter(member for label in labels for member in members(label))
    return {str(member) for member, count in counts.items() if count == 1}


def _allot(strata: Sequence[np.ndarray], shares: np.ndarray, seed: int, always_first: bool) -> list[np.ndarray]:
    """Divide each stratum by the shares.

    The rows left over when a stratum's shares are rounded down go, one each, to the parts that are owed most so far, this
    stratum's own fractions included.

    Args:
        strata: arrays of row numbers.
        shares: of each part, summing to 1.
        seed: of the order within strata.
        always_first: whether the first part gets a row of every stratum, its only one too.
    """
    random = np.random.default_rng(seed)
    chosen: list[list[np.ndarray]] = [[np.zeros(0, dtype=np.int64)] for _ in shares]
    owed = np.zeros(len(shares))
    for rows in strata:
        exact = np.round(len(rows) * shares, 9)
        counts = _rounded(exact, owed)
        if always_first and counts[0] == 0:
            counts[np.argmax(counts)] -= 1
            counts[0] += 1
        owed += exact - counts
        for part, piece in enumerate(np.split(random.permutation(rows), np.cumsum(counts)[:-1])):
            chosen[part].append(piece)
    return [np.sort(np.concatenate(pieces)) for pieces in chosen]


def _completed(
    parts: list[np.ndarray], labels: Sequence[Any], strata: Sequence[np.ndarray], seed: int
) -> list[np.ndarray]:
    """Swap rows until the first part has every label; sizes stay, unless each row of the first part is the only one of a label."""
    counts = Counter(member for row in parts[0].tolist() for member in set(members(labels[row])))
    if all(member in counts for label in labels for member in members(label)):
        return parts
    place = np.zeros(len(labels), dtype=np.int64)
    for number, rows in enumerate(parts):
        place[rows] = number
    leaving = _largest_first(strata, place == 0)
    for row in np.random.default_rng(seed).permutation(np.flatnonzero(place)).tolist():
        if all(counts[member] for member in members(labels[row])):
            continue
        counts.update(set(members(labels[row])))
        spare = (
            one for one in leaving if not place[one] and all(counts[member] > 1 for member in members(labels[one]))
        )
        out = next(spare, None)
        if out is not None:
            counts.subtract(set(members(labels[out])))
            place[out] = place[row]
        place[row] = 0
    return [np.flatnonzero(place == number) for number in range(len(parts))]


def _largest_first(strata: Sequence[np.ndarray], inside: np.ndarray) -> list[int]:
    """Rows of a part in the order in which it can best do without them: always one of the stratum of which most are left."""
    order = [(-left, int(row)) for rows in strata for left, row in enumerate(rows[inside[rows]])]
    return [row for _, row in sorted(order)]


def _rounded(exact: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum, each the exact one rounded down or up."""
    counts: np.ndarray = np.floor(exact).astype(int)
    fractions = exact - counts
    left = round(float(fractions.sum()))
    due = np.where(fractions > 0, owed + fractions, -np.inf)
    counts[np.argsort(-due, kind="stable")[:left]] += 1
    return counts


def warnings(
    labels: Sequence[Any], rows: Mapping[str, np.ndarray], because: str = "too few rows for every part"
) -> list[str]:
    """Labels that cannot be evaluated: a single row has them, or a part that is held out lacks them."""
    single, found = only_once(labels), []
    if single:
        found.append(f"A single row has the label {listed(sorted(single))}; it is in training and cannot be evaluated.")
    known = {str(member) for label in labels for member in members(label)} - single
    for name in list(rows)[1:]:
        present = {str(member) for row in rows[name] for member in members(labels[row])}
        if known - present:
            found.append(f"No row of the {name} split has the label {listed(sorted(known - present))}: {because}.")
    return found


def listed(names: Sequence[str]) -> str:
    """Names for a message, the first `NAMED` of them."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
