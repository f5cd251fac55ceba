"""Images and sounds in the data: which columns hold them, how they are decoded, and what is said of those that cannot be.

A column holds paths, or mappings of `bytes` and `path` as `datasets.Image` and `datasets.Audio` store them. Nothing here knows of
models: what a model wants is made of what `Medium.open` gives.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from luthier.data.labels import arrow_type, is_text
from luthier.data.media.stored import is_missing, path_of, shown
from luthier.errors import DataError
from luthier.recipe.data import INPUTS

if TYPE_CHECKING:
    import datasets

__all__ = [
    "MEDIA",
    "Look",
    "Medium",
    "decoded",
    "held",
    "opened",
    "path_of",
    "perceived",
    "recognise",
    "sample",
    "shown",
]

SAMPLE = 200
"""Cells that tell what a column holds, spread evenly over those that are not empty."""

MOST = 0.9
"""Share of them that must be of one medium."""


@dataclass(frozen=True)
class Look:
    """What decoding one value showed."""

    content: str
    """Hash of what was decoded, 32 hexadecimal digits: the same for a file, its copy, and its copy in another lossless format."""
    alike: int | None
    """Perceptual hash of 64 bits, of which few differ between two that look alike; None where there is none."""
    facts: Mapping[str, float]
    """A number for each of the medium's `measures`."""
    remark: str = ""
    """What a person might want to know of a value that can be used, as a clause: `is silent`."""


class Medium(ABC):
    """A kind of file that people perceive. Values are paths, mappings of `bytes` and `path`, or what `open` gives."""

    name: ClassVar[str]
    endings: ClassVar[frozenset[str]]
    """Of files, in lower case and with the dot."""
    measures: ClassVar[tuple[str, ...]]
    """Names of the facts of a `Look`."""

    @abstractmethod
    def open(self, value: Any) -> Any:
        """Decode a value; what was decoded before is passed through.

        Raises:
            DataError: it cannot be used; the message is a clause about the value, such as `is cut short: ...`.
            ExtraError: the package that decodes it is not installed.
        """

    @abstractmethod
    def look(self, value: Any) -> Look:
        """Decode a value once and say what it is; raises what `open` raises."""

    @abstractmethod
    def recognises(self, data: bytes) -> bool:
        """Whether these are the bytes of such a file, by their beginning."""


class _Media(Mapping[str, Medium]):
    """Media by name, each imported when it is asked for."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places

    def __getitem__(self, name: str) -> Medium:
        module, _, attribute = self._places[name].partition(":")
        medium: Medium = getattr(importlib.import_module(module), attribute)()
        return medium

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


MEDIA: Mapping[str, Medium] = _Media(
    {"image": "luthier.data.media.image:Image", "audio": "luthier.data.media.audio:Audio"}
)


def opened(value: Any, name: str) -> Any:
    """What a medium gives of a value that a person names.

    Raises:
        DataError: it cannot be used; a sentence.
    """
    try:
        return MEDIA[name].open(value)
    except DataError as wrong:
        raise DataError(f"{shown(value)}: {wrong}.") from None


def decoded(value: Any, media: Sequence[str]) -> Any:
    """A row with its images and sounds decoded; texts stay what they are.

    Args:
        value: of one column, or a tuple of several.
        media: what each column holds.

    Raises:
        DataError: an image or sound cannot be read.
    """
    if type(value) is not tuple:
        return decoded((value,), media)[0]
    return tuple(opened(one, medium) if medium in MEDIA else one for one, medium in zip(value, media, strict=True))


def recognise(dataset: datasets.Dataset, column: str) -> str | None:
    """Name of the medium that a column holds, or None.

    By the feature (`datasets.Image`, `datasets.Audio`); else, of strings and of mappings with `bytes` and `path`, by the endings of
    their paths or by their bytes.
    """
    feature = dataset.features[column]
    declared = _declared().get(type(feature))
    if declared or not (_is_stored(feature) or is_text(arrow_type(dataset, column))):
        return declared
    values = sample(dataset, column)
    counts = {name: sum(_is_of(medium, value) for value in values) for name, medium in MEDIA.items()}
    return next((name for name, count in counts.items() if values and count >= MOST * len(values)), None)


def held(dataset: datasets.Dataset) -> dict[str, str]:
    """The columns that hold a medium, and which. One look at some rows leaves out most columns of a wide table."""
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int))
    some = dataset.with_format("arrow")[rows.tolist()]
    endings = tuple(ending for medium in MEDIA.values() for ending in medium.endings)
    features = dataset.features  # a copy of all at each call
    likely = [name for name in dataset.column_names if _may_hold(features[name], some[name], endings)]
    kinds = {name: recognise(dataset, name) for name in likely}
    return {name: kind for name, kind in kinds.items() if kind}


def perceived(medium: str, columns: Sequence[str]) -> dict[str, str]:
    """The columns of inputs that hold images or sounds, and which.

    Args:
        medium: what the model reads of a row, a key of `luthier.recipe.data.INPUTS`.
        columns: of its inputs, in their order.
    """
    return {column: key for key, column in zip(INPUTS[medium], columns, strict=True) if key in MEDIA}


def _may_hold(feature: Any, cells: Any, endings: tuple[str, ...]) -> bool:
    if _is_stored(feature) or type(feature) in _declared():
        return True
    texts = cells.to_pylist() if is_text(cells.type) else []
    return any(text and text.strip().lower().endswith(endings) for text in texts)


def _declared() -> dict[type, str]:
    import datasets

    return {datasets.Image: "image", datasets.Audio: "audio"}


def _is_stored(feature: Any) -> bool:
    return isinstance(feature, dict) and set(feature) == {"bytes", "path"}


def sample(dataset: datasets.Dataset, column: str) -> Sequence[Any]:
    """At most `SAMPLE` cells that are not empty; those with bytes are large, so fewer rows are looked at."""
    most = SAMPLE if _is_stored(dataset.features[column]) else 10 * SAMPLE
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(most, len(dataset))).astype(int))
    cells = dataset.select_columns([column]).with_format("arrow")[rows.tolist()][column].to_pylist()
    filled = [cell for cell in cells if not is_missing(cell)]
    return filled[:: max(1, ceil(len(filled) / SAMPLE))]


def _is_of(medium: Medium, value: Any) -> bool:
    path = path_of(value)
    if path is not None and PurePath(path.strip()).suffix.lower() in medium.endings:
        return True
    return isinstance(value, Mapping) and value["bytes"] is not None and medium.recognises(value["bytes"])
