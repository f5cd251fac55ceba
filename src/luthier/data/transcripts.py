"""Recordings with what is said in them: which columns hold both, and the words as labels."""

from __future__ import annotations

from collections.abc import Iterator

import datasets

from luthier.data import media
from luthier.data.answers import Answer
from luthier.data.found import Found
from luthier.data.labels import arrow_type, is_text
from luthier.data.looks import look_at
from luthier.data.tables import scan
from luthier.errors import DataError
from luthier.recipe.data import Columns
from luthier.registry import closest

MEDIUM = "audio"
NAMES = (
    *("transcript", "transcription", "sentence", "text", "normalized_text", "raw_text", "utterance", "label"),
    *("文本", "转写", "句子"),
)
"""Earlier names win."""


def find(dataset: datasets.Dataset, given: Columns) -> Found:
    """Find the column of recordings and that of words, and say why.

    Raises:
        DataError: a given column does not exist or is of another kind, or it is not clear which they are.
    """
    audio = _audio(dataset, given)
    label = given.label or by_name(dataset, audio)
    if isinstance(label, list):
        raise DataError("data.columns.label: what is said stands in one column; got a list.")
    if label is not None and label not in dataset.column_names:
        raise DataError(f"There is no column {label!r} in the data; {closest(label, dataset.column_names)}")
    if label is None or label == audio or not is_text(arrow_type(dataset, label)):
        texts = [name for name in dataset.column_names if name != audio and is_text(arrow_type(dataset, name))]
        raise DataError(
            f"Task transcribe needs a column with what is said. Columns with text are: {', '.join(texts) or 'none'}. Say which it is:\n"
            f"data:\n  columns: {{audio: {audio}, label: sentence}}"
        )
    return Found(
        audio, label, None, "transcripts", f"recordings are {audio!r}; what is said is {label!r}.", medium=MEDIUM
    )


def by_name(dataset: datasets.Dataset, audio: str) -> str | None:
    """The column of texts whose name says that it holds what is said."""
    texts = {name.strip().lower(): name for name in dataset.column_names if is_text(arrow_type(dataset, name))}
    return next((texts[name] for name in NAMES if name in texts and texts[name] != audio), None)


def fits(dataset: datasets.Dataset) -> bool:
    """Whether there is a column of recordings and one that says by its name, and by hardly ever repeating itself, what is said."""
    held = [name for name, medium in media.held(dataset).items() if medium == MEDIUM]
    column = by_name(dataset, held[0]) if len(held) == 1 else None
    return column is not None and not look_at(dataset.select_columns([column]))[0].repeats


def words(dataset: datasets.Dataset, found: Found) -> Iterator[Answer | None]:
    """What is said in each row; None where nothing is written."""
    column = str(found.label)
    for table in scan(dataset, column):
        for cell in table[column].to_pylist():
            yield Answer(str(cell).strip()) if cell is not None and str(cell).strip() else None


def _audio(dataset: datasets.Dataset, given: Columns) -> str:
    if given.audio is not None:
        if given.audio not in dataset.column_names:
            raise DataError(
                f"There is no column {given.audio!r} in the data; {closest(given.audio, dataset.column_names)}"
            )
        return given.audio
    held = [name for name, medium in media.held(dataset).items() if medium == MEDIUM]
    if len(held) != 1:
        found = f"these are: {', '.join(held)}" if held else f"the columns are {', '.join(dataset.column_names)}"
        raise DataError(
            f"Task transcribe needs one column of recordings; {found}. Say which it is:\n"
            "data:\n  columns: {audio: recording, label: sentence}"
        )
    return held[0]
