"""Stratified division: every class keeps its share in every part, and every row is in exactly one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
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


def divide(labels: Sequence[Any], parts: Sequence[float], seed: int) -> Division:
    """Divide rows at random so that every class keeps its share in every part.

    Of a class with n rows every part gets its exact share of n rounded down or up; which of the two is chosen so that the sizes
    of the parts come out right as well. A class always has a row in training; its only row goes there. Rows with several
    labels are stratified by their combination of labels, and by the rarest label where that combination is rare.

    Args:
        labels: one value per row, a list of str for multi-label.
        parts: ratio of train : validation, or train : validation : test; need not sum to one.
        seed: of the draw. The sizes of all parts in all classes depend on the labels only, not on seed or order.

    Raises:
        DataError: there are fewer rows than parts, or a part is left without rows.
    """
    names = NAMES[len(parts)]
    if len(labels) < len(parts):
        raise DataError(
            f"{len(labels)} rows cannot be divided into {len(parts)} parts ({', '.join(names)}); give more rows."
        )
    single = _only_once(labels)
    chosen = _allot(_strata(labels), np.asarray(parts) / sum(parts), seed, always_first=True)
    rows = dict(zip(names, chosen, strict=True))
    for name, members in rows.items():
        if not len(members):
            ratio = ":".join(f"{part:g}" for part in parts)
            raise DataError(
                f"data.split.parts {ratio} leaves no row for {name} out of {len(labels)}; give more rows or another ratio."
            )
    return Division(rows, _warnings(labels, rows, single))


def hold_back(labels: Sequence[Any], share: float, seed: int) -> Division:
    """Take a share of the training rows for validation; 0 takes none.

    Raises:
        DataError: as `divide`.
    """
    if share == 0:
        return Division({"train": np.arange(len(labels))})
    return divide(labels, [1 - share, share], seed)


def draw(labels: Sequence[Any], rows: int, seed: int) -> np.ndarray:
    """Numbers of `rows` rows drawn at random, every class with its share; all rows when there are no more."""
    if rows >= len(labels):
        return np.arange(len(labels))
    share = rows / len(labels)
    return _allot(_strata(labels), np.array([share, 1 - share]), seed, always_first=False)[0]


def overlap(train: Iterable[str], other: Iterable[str]) -> int:
    """How many of the other texts stand in training too, but for case, width and white space.

    Memory grows with the other texts only (8 bytes of hash each); training texts are passed through once.
    """
    waiting = Counter(map(_hash, other))
    return sum(waiting.pop(mark) for mark in map(_hash, train) if mark in waiting)


def _hash(text: str) -> bytes:
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _members(label: Any) -> list[Hashable]:
    return label if isinstance(label, list) else [label]


def _strata(labels: Sequence[Any]) -> list[np.ndarray]:
    """Rows that are divided in the same ratio, largest stratum first."""
    keys: list[Hashable] = [tuple(sorted(label)) if isinstance(label, list) else label for label in labels]
    combined, counts = Counter(keys), Counter(member for label in labels for member in _members(label))
    groups: dict[str, list[int]] = {}
    for row, (key, label) in enumerate(zip(keys, labels, strict=True)):
        rare = isinstance(label, list) and label and combined[key] < FREQUENT
        group = repr(("rarest", min(label, key=lambda member: (counts[member], member))) if rare else key)
        groups.setdefault(group, []).append(row)
    return [np.asarray(rows) for _, rows in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))]


def _only_once(labels: Sequence[Any]) -> set[str]:
    """Labels that a single row has. Being its rarest label, such a one makes a stratum of its own."""
    counts = Counter(member for label in labels for member in _members(label))
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


def _rounded(exact: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Whole numbers with the same sum, each the exact one rounded down or up."""
    counts: np.ndarray = np.floor(exact).astype(int)
    fractions = exact - counts
    left = round(float(fractions.sum()))
    due = np.where(fractions > 0, owed + fractions, -np.inf)
    counts[np.argsort(-due, kind="stable")[:left]] += 1
    return counts


def _warnings(labels: Sequence[Any], rows: dict[str, np.ndarray], single: set[str]) -> list[str]:
    warnings = []
    if single:
        warnings.append(
            f"A single row has the label {_listed(sorted(single))}; it is in training and cannot be evaluated."
        )
    known = {str(member) for label in labels for member in _members(label)} - single
    for name in list(rows)[1:]:
        present = {str(member) for row in rows[name] for member in _members(labels[row])}
        if known - present:
            warnings.append(
                f"No row of the {name} split has the label {_listed(sorted(known - present))}: too few rows for every part."
            )
    return warnings


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
