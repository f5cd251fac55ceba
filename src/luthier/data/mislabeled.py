"""Rows whose label is probably wrong: confident learning on what a simple classifier says of rows that it has not seen.

Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 70), by the package
cleanlab. The classifier is a linear probe on the rows' vectors (`luthier.embed`, or those of another modality), scored on five
folds. Several labels a row are as many questions of yes and no, as in cleanlab's `multilabel_classification`.

For training rows only: rows that measure a model must not be chosen by another one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from luthier.counted import many
from luthier.data.confident import Evidence, ask
from luthier.data.neighbours import nearest
from luthier.data.probe import FOLDS

NEIGHBOURS = 3
"""Rows shown beside a suspect one."""
NAMED = 5
"""Labels named in a note."""

Treatment = Literal["report", "drop", "fix"]


@dataclass(frozen=True)
class Neighbour:
    """A row with a similar vector."""

    row: int
    """Its number in the source, counted from 1."""
    label: Any


@dataclass(frozen=True)
class Suspect:
    """A row whose label is probably wrong."""

    index: int
    """Its place among the rows that were looked at, counted from 0."""
    row: int
    """Its number in the source, counted from 1."""
    given: Any
    """The label it has: a str or an int, or a list where rows have several."""
    likely: Any
    """The label it should probably have."""
    probability: float
    """Of the likely label; of several that change, of the surest change."""
    quality: float
    """Probability of the given label, 0 to 1: the lower, the more suspicious (cleanlab's `self_confidence`)."""
    neighbours: tuple[Neighbour, ...]
    """The most similar rows, nearest first."""
    reason: str
    """A sentence for people."""


@dataclass(frozen=True)
class Suspects:
    """What was found in some rows."""

    suspects: tuple[Suspect, ...]
    """The most suspicious first."""
    rows: int
    """All that were looked at."""
    judged: int
    """Those of them of which something can be said."""
    notes: tuple[str, ...]
    """What could not be judged, and why."""

    @property
    def sentence(self) -> str:
        """The result in words."""
        if not self.judged:
            return f"Nothing can be said about the labels of {self.rows:,} training rows."
        if not self.suspects:
            return f"None of {self.judged:,} training rows looks mislabelled."
        share = len(self.suspects) / self.judged
        verb = "looks" if len(self.suspects) == 1 else "look"
        return f"{len(self.suspects):,} of {self.judged:,} training rows ({share:.1%}) {verb} mislabelled."

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON: all of it, and the `sentence`."""
        return {**asdict(self), "sentence": self.sentence}


@dataclass(frozen=True)
class Treated:
    """Rows after something was done about the suspect ones."""

    kept: np.ndarray
    """Places of the rows that stay, ascending."""
    labels: list[Any]
    """Their labels."""


def find(
    vectors: np.ndarray,
    labels: Sequence[Any],
    groups: Sequence[Hashable] | np.ndarray | None = None,
    numbers: np.ndarray | None = None,
    seed: int = 0,
) -> Suspects:
    """Find rows whose label is probably wrong.

    Args:
        vectors: of the rows, (rows, width).
        labels: one value a row, a list of str where rows have several.
        groups: equal for rows that are copies of each other: they are judged by others than themselves. Default: there are none.
        numbers: each row's number in the source, counted from 0. Default: its place.
        seed: of the division into folds.

    Raises:
        ExtraError: cleanlab is not installed.
    """
    several = any(isinstance(label, list) for label in labels)
    numbers = np.arange(len(labels)) if numbers is None else numbers
    together = np.arange(len(labels)) if groups is None else _numbered(groups)
    doubts, judged, notes = (_of_several if several else _of_one)(Evidence(vectors, together, seed), labels)
    ranked = sorted(doubts, key=lambda doubt: (doubt.quality, doubt.index))
    near = nearest(vectors, [doubt.index for doubt in ranked], NEIGHBOURS)
    suspects = tuple(_suspect(doubt, labels, rows, numbers) for doubt, rows in zip(ranked, near, strict=True))
    return Suspects(suspects, len(labels), judged, notes)


def treat(suspects: Sequence[Suspect], labels: Sequence[Any], how: Treatment) -> Treated:
    """Do with suspect rows what the recipe says: `report` them, `drop` them, or `fix` their labels.

    Args:
        suspects: from `find`, for the same rows.
        labels: of all rows.
        how: the recipe's `data.labels`.
    """
    return TREATMENTS[how](suspects, labels)


def _left(suspects: Sequence[Suspect], labels: Sequence[Any]) -> Treated:
    return Treated(np.arange(len(labels)), list(labels))


def _dropped(suspects: Sequence[Suspect], labels: Sequence[Any]) -> Treated:
    kept = np.setdiff1d(np.arange(len(labels)), [suspect.index for suspect in suspects])
    return Treated(kept, [labels[index] for index in kept])


def _fixed(suspects: Sequence[Suspect], labels: Sequence[Any]) -> Treated:
    likely = {suspect.index: suspect.likely for suspect in suspects}
    return Treated(np.arange(len(labels)), [likely.get(index, label) for index, label in enumerate(labels)])


TREATMENTS: Mapping[Treatment, Callable[[Sequence[Suspect], Sequence[Any]], Treated]] = {
    "report": _left,
    "drop": _dropped,
    "fix": _fixed,
}
"""What to do with suspect rows."""


@dataclass(frozen=True)
class _Doubt:
    """A suspect before it is shown."""

    index: int
    likely: Any
    probability: float
    quality: float
    why: str


_Judged = tuple[list[_Doubt], int, tuple[str, ...]]
"""Suspects, how many rows were judged, and notes on the others."""


def _numbered(groups: Sequence[Hashable] | np.ndarray) -> np.ndarray:
    """Groups as integers."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(group, len(known)) for group in groups], dtype=np.int64)


def _of_one(evidence: Evidence, labels: Sequence[Any]) -> _Judged:
    """Rows with one label each."""
    names = sorted(set(labels), key=lambda label: (isinstance(label, str), label))
    place = {name: number for number, name in enumerate(names)}
    targets = np.array([place[label] for label in labels], dtype=np.int64)
    answer = ask(evidence, targets)
    doubts = [
        _Doubt(row, names[likely], probability, quality, f"probability {probability:.2f} against {quality:.2f}")
        for row, likely, probability, quality in answer
    ]
    left = int(np.isin(targets, answer.unjudged).sum())
    return (
        doubts,
        len(labels) - left,
        _note([names[number] for number in answer.unjudged], f"{many(left, 'row')} with "),
    )


def _of_several(evidence: Evidence, labels: Sequence[Any]) -> _Judged:
    """Rows with any number of labels: each label is a question of its own."""
    names = sorted({name for label in labels for name in label})
    changes: dict[int, list[tuple[str, float, float]]] = {}
    unjudged = []
    for name in names:
        answer = ask(evidence, np.array([name in label for label in labels], dtype=np.int64))
        unjudged += [name] if len(answer.unjudged) else []
        for row, _, probability, quality in answer:
            changes.setdefault(row, []).append((name, probability, quality))
    doubts = [_toggled(row, labels[row], wrong) for row, wrong in changes.items()]
    return doubts, len(labels) if len(unjudged) < len(names) else 0, _note(unjudged)


def _toggled(index: int, given: Sequence[str], changes: Sequence[tuple[str, float, float]]) -> _Doubt:
    """The doubt about a row of which some labels seem wrong or missing."""
    names = [name for name, _, _ in changes]
    kept = [name for name in given if name not in names]
    why = ", ".join(
        f"{name!r} seems {'wrong' if name in given else 'missing'} (probability {probability:.2f})"
        for name, probability, _ in changes
    )
    likely = [*kept, *(name for name in names if name not in given)]
    return _Doubt(index, likely, max(one[1] for one in changes), min(one[2] for one in changes), why)


def _note(names: Sequence[Any], what: str = "") -> tuple[str, ...]:
    if not names:
        return ()
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    named = f"the label{'s' if len(names) > 1 else ''} {', '.join(map(repr, names[:NAMED]))}{more}"
    few = f"that takes {FOLDS} rows with a label and {FOLDS} without it, copies counted once"
    return (f"Not judged: {what}{named}; {few}.",)


def _suspect(doubt: _Doubt, labels: Sequence[Any], near: Sequence[int], numbers: np.ndarray) -> Suspect:
    given = labels[doubt.index]
    neighbours = tuple(Neighbour(int(numbers[row]) + 1, labels[row]) for row in near)
    agree = sum(_same(labels[row], doubt.likely) for row in near)
    like = f"{agree} of the {len(near)} nearest rows {'is' if agree == 1 else 'are'} so labelled"
    return Suspect(
        index=doubt.index,
        row=int(numbers[doubt.index]) + 1,
        given=given,
        likely=doubt.likely,
        probability=doubt.probability,
        quality=doubt.quality,
        neighbours=neighbours,
        reason=f"Labelled {given!r}, looks like {doubt.likely!r}: {doubt.why}; {like}.",
    )


def _same(label: Any, other: Any) -> bool:
    """Whether two labels are the same, in whatever order several are written."""
    return bool(sorted(label) == sorted(other) if isinstance(label, list) else label == other)
