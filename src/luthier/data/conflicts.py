"""Duplicates with different labels: found, and settled as the recipe says, every row with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from luthier.data.duplicates import Groups
from luthier.data.labels import measured


@dataclass(frozen=True)
class Conflict:
    """Rows that say the same and are labelled differently."""

    rows: list[int]
    """Ascending."""
    labels: list[Any]
    """One per row."""


@dataclass(frozen=True)
class Resolution:
    """What is left when conflicts and duplicates are settled."""

    kept: np.ndarray
    """Row numbers, ascending."""
    changed: dict[int, Any] = field(default_factory=dict)
    """New labels of rows that are kept."""
    reasons: list[tuple[int, str]] = field(default_factory=list)
    """Rows that are removed or relabelled, ascending, each with a sentence that names another row."""


@dataclass(frozen=True)
class _Fates:
    """What happens to the rows of one conflict."""

    removed: dict[int, str] = field(default_factory=dict)
    changed: dict[int, tuple[Any, str]] = field(default_factory=dict)


def find(groups: Groups, labels: Sequence[Any]) -> list[Conflict]:
    """Groups whose rows have different labels, in the order of their first rows.

    Args:
        groups: of the same rows as the labels.
        labels: a value per row; a list for multi-label, where order does not count. Measured numbers and answers in free words never
            conflict.
    """
    if measured(labels):
        return []
    return [
        Conflict(rows, [labels[row] for row in rows])
        for rows in _gathered(groups)
        if len({_key(labels[row]) for row in rows}) > 1
    ]


def resolve(
    groups: Groups,
    labels: Sequence[Any],
    conflicts: Literal["drop", "majority", "keep"] = "drop",
    duplicates: Literal["report", "drop"] = "report",
    numbers: np.ndarray | None = None,
) -> Resolution:
    """Settle conflicts first, then duplicates.

    Args:
        groups: of the same rows as the labels.
        labels: a value per row; a list for multi-label, where each set of labels is one vote.
        conflicts: `drop` removes every row of a group with different labels; `majority` gives all of them the label that most have,
            and removes them when several have as many; `keep` leaves them as they are.
        duplicates: `drop` keeps the first row of each group, and where conflicts are kept the first row of each label.
        numbers: row numbers, counted from 0, for the reasons, which count from 1. Default: the places in `labels`.
    """
    wording = _Wording(groups, np.arange(len(labels)) if numbers is None else numbers)
    removed: dict[int, str] = {}
    changed: dict[int, tuple[Any, str]] = {}
    for conflict in find(groups, labels):
        fates = SETTLERS[conflicts](conflict, wording)
        removed |= fates.removed
        changed |= fates.changed
    if duplicates == "drop":
        settled = [changed[row][0] if row in changed else label for row, label in enumerate(labels)]
        removed = _repeated(groups, settled, wording) | removed
    kept = np.setdiff1d(np.arange(len(labels)), np.fromiter(removed, dtype=np.int64, count=len(removed)))
    reasons = {row: reason for row, (_, reason) in changed.items()} | removed
    return Resolution(
        kept, {row: label for row, (label, _) in sorted(changed.items()) if row not in removed}, sorted(reasons.items())
    )


class _Wording:
    """Sentences about a row and another one that says the same."""

    def __init__(self, groups: Groups, numbers: np.ndarray) -> None:
        self._equal = groups.equal
        self._numbers = numbers

    def same(self, row: int, other: int) -> str:
        nearly = "" if self._equal[row] == self._equal[other] else "nearly "
        return f"{nearly}the same text as row {self._numbers[other] + 1}"

    def different(self, conflict: Conflict) -> list[str]:
        """For each row of the conflict, the first row with another label."""
        keys = [_key(label) for label in conflict.labels]
        stranger = next(place for place, key in enumerate(keys) if key != keys[0])
        others = [stranger if key == keys[0] else 0 for key in keys]
        return [
            f"{self.same(row, conflict.rows[other])}, which is labelled {_shown(conflict.labels[other])} and this one {_shown(label)}"
            for row, label, other in zip(conflict.rows, conflict.labels, others, strict=True)
        ]


def _drop(conflict: Conflict, wording: _Wording) -> _Fates:
    return _Fates(dict(zip(conflict.rows, wording.different(conflict), strict=True)))


def _majority(conflict: Conflict, wording: _Wording) -> _Fates:
    keys = [_key(label) for label in conflict.labels]
    (most, votes), (_, next_votes) = Counter(keys).most_common(2)
    facts = list(zip(conflict.rows, keys, wording.different(conflict), strict=True))
    if votes == next_votes:
        return _Fates({row: f"{reason}; no label has most of these rows" for row, _, reason in facts})
    label = conflict.labels[keys.index(most)]
    why = f"; {votes} of {len(keys)} such rows are {_shown(label)}"
    return _Fates(changed={row: (label, reason + why) for row, key, reason in facts if key != most})


def _keep(conflict: Conflict, wording: _Wording) -> _Fates:
    return _Fates()


SETTLERS: Mapping[str, Callable[[Conflict, _Wording], _Fates]] = {"drop": _drop, "majority": _majority, "keep": _keep}


def _repeated(groups: Groups, labels: Sequence[Any], wording: _Wording) -> dict[int, str]:
    """Rows beyond the first of their group that has their label."""
    removed = {}
    for rows in _gathered(groups):
        firsts: dict[Hashable, int] = {}
        for row in rows:
            other = firsts.setdefault(_key(labels[row]), row)
            if other != row:
                removed[row] = wording.same(row, other)
    return removed


def _gathered(groups: Groups) -> list[list[int]]:
    """The rows of every group of two and more."""
    rows = np.flatnonzero(np.bincount(groups.first)[groups.first] > 1)
    ordered = rows[np.argsort(groups.first[rows], kind="stable")]
    cuts = np.flatnonzero(np.diff(groups.first[ordered])) + 1
    return [members.tolist() for members in np.split(ordered, cuts)] if len(rows) else []


def _key(label: Any) -> Hashable:
    if isinstance(label, dict):  # several numbers
        return frozenset(label.items())
    return frozenset(label) if isinstance(label, list) else label


def _shown(label: Any) -> str:
    return repr(", ".join(label)) if isinstance(label, list) else repr(label)
