"""What `luthier init` sees in data that nobody has said anything about: what is to be predicted, from what, and what stands out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from luthier.data import clean, columns, looked, media, passages, source, transcripts
from luthier.data.labels import arrow_type
from luthier.errors import DataError
from luthier.recipe.data import Columns, Data
from luthier.tasks import TASKS, Labels, Target

SAMPLE = 20_000
"""Texts whose length is looked at."""

CLASSES = 20
"""More different numbers than this are measured and no classes, unless they number the classes from 0 or 1."""

TASK_FOR: dict[Labels, str] = {
    "classes": "classify",
    "numbers": "regress",
    "tags": "tag",
    "texts": "generate",
    "answers": "answer",
    "transcripts": "transcribe",
    "none": "align",
}
"""The task that is suggested, by what the label column holds."""

PEOPLE = (
    *(
        "speaker",
        "speaker_id",
        "author",
        "author_id",
        "user",
        "user_id",
        "patient",
        "patient_id",
        "subject",
        "subject_id",
    ),
    *("client_id", "session", "session_id", "说话人", "作者", "用户", "患者"),
)
"""Columns that say whose row it is. Rows of one person are alike: on both sides of a split they make scores lie."""


@dataclass(frozen=True)
class Group:
    """A column whose rows are alike, and so belong on one side."""

    column: str
    why: tuple[str, str]
    """In two lines."""


@dataclass(frozen=True)
class Facts:
    """What a look at the data gave. All but `splits` is of the training rows, or of all rows where nothing is divided yet."""

    path: str
    splits: dict[str, int]
    found: columns.Found
    wanted: Labels
    """What the label column holds."""
    target: Target
    counts: Counter[Any]
    """By label (the most frequent first), range of numbers or type of entity; empty where labels are free words."""
    rows: int
    """Usable ones."""
    bad: Sequence[str]
    """Each of the others, and why it cannot be used."""
    texts: list[str]
    """A sample of what stands in the rows; empty where they are no text."""
    longest: int | None
    """Of audio the seconds of the longest recording, rounded up."""
    group: Group | None
    """What not to divide, where it is known."""
    distinct: int
    """Different labels."""
    amounts: bool
    """Whether all labels of classes are numbers, so that they may be amounts."""
    notes: list[str] = field(default_factory=list)

    @property
    def task(self) -> str:
        """Name of the task."""
        return TASK_FOR[self.wanted]

    @property
    def multilabel(self) -> bool:
        """Whether a row can have several labels of which none has a place."""
        return self.found.kind in {"list", "indicator", "separated"}

    @property
    def perceived(self) -> bool:
        """Whether rows are images or recordings."""
        return bool(media.perceived(self.found.medium, self.found.inputs))


def look(path: str) -> Facts:
    """Look at data.

    Args:
        path: whatever `data.files` can be.

    Raises:
        DataError: the data cannot be read, or it is not clear which columns to use.
    """
    read = source.read(Data(files=path))
    name, first = next(iter(read.splits.items()))
    wanted, found = _kind(first)
    seen = looked.look({name: first}, found)
    labels = columns.labels(first, found)
    kept, bad = clean.find(seen.unusable[name], labels, name, "drop")
    usable = [labels[row] for row in kept]
    target = TASKS[TASK_FOR[wanted]]().learn(usable)
    different = {str(label) for label in usable}
    return Facts(
        path=path,
        splits={split: len(rows) for split, rows in read.splits.items()},
        found=found,
        wanted=wanted,
        target=target,
        counts=COUNTS[wanted](usable, target),
        rows=len(kept),
        bad=[f"row {row}: {reason}" for row, reason in bad],
        texts=[] if found.medium in media.MEDIA else _texts(seen, name, kept),
        longest=seen.longest,
        group=GROUPED.get(wanted, _people)(first, found),
        distinct=len(different),
        amounts=wanted == "classes" and all(map(columns.NUMBER.fullmatch, different)),
        notes=[*read.notes, *target.remarks(usable, (kept + 1).tolist())],
    )


def _kind(rows: datasets.Dataset) -> tuple[Labels, columns.Found]:
    """What the label column holds, and which columns are used."""
    if sum(_holds_words(rows, name) for name in rows.column_names) > 1:
        return "tags", columns.infer(rows, Columns(), "tags")
    if passages.fits(rows):
        return "answers", columns.infer(rows, Columns(), "answers")
    if transcripts.fits(rows):
        return "transcripts", columns.infer(rows, Columns(), "transcripts")
    try:
        found = columns.infer(rows, Columns())
    except DataError as unclear:
        return _no_classes(rows, unclear)
    if found.kind == "single" and _measured({str(label) for label in columns.labels(rows, found) if label is not None}):
        return "numbers", columns.infer(rows, Columns(label=found.label), "numbers")
    return "classes", found


UNSHARED = ("texts", "none")
"""Kinds of labels that rows do not share."""


def _no_classes(rows: datasets.Dataset, unclear: DataError) -> tuple[Labels, columns.Found]:
    """Numbers or free words, where no column holds classes; what is said of classes where there are neither."""
    others: tuple[Labels, ...] = (
        "numbers",
        "none",
        "texts",
    )  # an image's text belongs to it before it is to be written
    for wanted in others:
        try:
            found = columns.infer(rows, Columns(), wanted)
        except DataError:
            continue  # not this kind either
        if wanted in UNSHARED or _measured({str(label) for label in columns.labels(rows, found) if label is not None}):
            return wanted, found
    raise unclear


def _measured(different: set[str]) -> bool:
    """Whether labels are numbers that were measured: neither names of classes, nor numbers of classes or of rows."""
    if len(different) <= CLASSES or not all(map(columns.NUMBER.fullmatch, different)):
        return False
    numbers = sorted(float(label.replace(",", "")) for label in different)
    return numbers[0] not in {0, 1} or numbers != [numbers[0] + place for place in range(len(numbers))]


def _holds_words(rows: datasets.Dataset, column: str) -> bool:
    """Whether the cells are lists of words or numbers."""
    stored = arrow_type(rows, column)
    return bool(pa.types.is_list(stored) or pa.types.is_large_list(stored)) and not pa.types.is_nested(
        stored.value_type
    )


def _texts(seen: looked.Looked, split: str, kept: np.ndarray) -> list[str]:
    picked = kept[np.unique(np.linspace(0, len(kept) - 1, min(SAMPLE, len(kept))).astype(int))]
    return looked.shown(seen.splits[split].select(picked), seen.found)


def _people(rows: datasets.Dataset, found: columns.Found) -> Group | None:
    """A column that says whose row it is, with enough people for three parts."""
    used = {*found.inputs, *(found.label if isinstance(found.label, list) else [found.label])}
    called = {name.strip().lower(): name for name in rows.column_names if name not in used}
    named = [called[name] for name in PEOPLE if name in called]
    whose = next((name for name in named if 3 <= len(set(rows[name])) < len(rows)), None)
    why = f"nobody's rows ({whose}) are on two sides,", "so that scores are those of people whom the model has not met"
    return None if whose is None else Group(whose, why)


def _texts_read(rows: datasets.Dataset, found: columns.Found) -> Group | None:
    """The column of the texts that several questions are about, or that of their articles."""
    column = passages.group(rows, found)
    why = "no text is on two sides, so that scores are", "of texts that the model has not read"
    return None if column is None else Group(column, why)


GROUPED: dict[Labels, Callable[[datasets.Dataset, columns.Found], Group | None]] = {"answers": _texts_read}
"""What belongs on one side, where that is not the rows of a person."""


def _each(labels: Sequence[Any], target: Target) -> Counter[Any]:
    found = Counter(one for label in labels for one in (label if isinstance(label, list) else [label]))
    return Counter(dict(found.most_common()))


def _counted(labels: Sequence[Any], target: Target) -> Counter[Any]:
    return Counter(target.count(target.encode(labels)))


COUNTS: dict[Labels, Callable[[Sequence[Any], Target], Counter[Any]]] = {
    "classes": _each,
    "numbers": _counted,
    "tags": _counted,
    "texts": lambda labels, target: Counter(),
    "answers": _counted,
    "transcripts": lambda labels, target: Counter(),
    "none": lambda labels, target: Counter(),
}
