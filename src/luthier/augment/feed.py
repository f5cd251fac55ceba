"""Training rows that are augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import datasets
import numpy as np
import torch

from luthier.augment import Augmentation, augment
from luthier.data import cells
from luthier.data.batches import EncodedFeed
from luthier.data.encode import Rows
from luthier.data.media import MEDIA, opened
from luthier.data.media.examined import THREADS
from luthier.modalities import Encoded, Modality


@dataclass(frozen=True)
class Source:
    """What training rows are made of, in every epoch anew.

    Args:
        values: the rows as they are stored, one column or several that are read together.
        medium: what they are: `text`, or a key of `data.media.MEDIA`.
        augmentations: applied in this order.
        seed: of the run.
    """

    values: datasets.Dataset
    medium: str
    augmentations: Sequence[Augmentation]
    seed: int


class AugmentedFeed(EncodedFeed):
    """Rows that are changed and encoded when a step asks for them: a function of seed, epoch and row, so that runs resume exactly.

    Images and sounds are decoded, changed and encoded by threads while the step before is computed: Pillow and libsndfile work
    without Python's lock. Texts are so quickly done that they are not, and tokenizers are not made for several threads.

    Args:
        rows: as they are encoded without a change.
        modality: encodes the changed ones, and cuts them where it cuts all rows.
        source: the same rows, and what is done to them.

    Raises:
        RecipeError: a spectrogram is to be changed, and the model reads none.
    """

    changing: ClassVar[bool] = True

    def __init__(self, rows: Rows, modality: Modality, source: Source) -> None:
        super().__init__(rows, modality)
        self._values = source.values.with_format("arrow")
        self._source = source
        self._open = _opener(source.medium)
        self._masked = any(one.part == "spectrogram" for one in source.augmentations)
        if self._masked:
            modality.spectrogram({name: column[0] for name, column in rows.take(np.array([0])).items()})
        self._lengths = rows.lengths.copy()
        self._columns: dict[str, list[Any]] = {}
        self._places: dict[int, int] = {}
        self._pool = ThreadPoolExecutor(THREADS) if source.medium in MEDIA else None
        self._expected: tuple[tuple[bytes, int], list[Future[Encoded]]] | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Of the rows of the step in progress as they are now, and of all others as they were last."""
        return self._lengths

    def expect(self, indices: np.ndarray, epoch: int) -> None:
        """Begin with the rows of the step after the one in progress, beside it."""
        if self._pool:
            rows = np.unique(indices)
            self._expected = (rows.tobytes(), epoch), self._start(self._pool, rows, epoch)

    def begin(self, indices: np.ndarray, epoch: int) -> None:
        """Change and encode the rows of the next step."""
        rows = np.unique(indices)
        parts = self._parts(rows, epoch)
        self._lengths[rows] = np.concatenate([part.lengths for part in parts])
        self._columns = {name: [row for part in parts for row in part.columns[name]] for name in parts[0].columns}
        self._places = {int(row): place for place, row in enumerate(rows)}

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """As changed for the step in progress; as they are where a row belongs to none."""
        if not self._places.keys() >= set(indices.tolist()):
            return super().inputs(indices)
        places = [self._places[row] for row in indices.tolist()]
        return self.modality.collate({name: [column[at] for at in places] for name, column in self._columns.items()})

    def _parts(self, rows: np.ndarray, epoch: int) -> list[Encoded]:
        """All rows, encoded; of what was expected only the waiting is left."""
        expected, self._expected = self._expected, None
        if self._pool is None:
            return [self._encode(rows, epoch)]
        if expected is None or expected[0] != (rows.tobytes(), epoch):
            return [part.result() for part in self._start(self._pool, rows, epoch)]
        return [part.result() for part in expected[1]]

    def _start(self, pool: ThreadPoolExecutor, rows: np.ndarray, epoch: int) -> list[Future[Encoded]]:
        parts = np.array_split(rows, min(THREADS, len(rows)))
        return [pool.submit(self._encode, part, epoch) for part in parts]

    def _encode(self, rows: np.ndarray, epoch: int) -> Encoded:
        """Decode, change and encode some rows."""
        table = self._values[rows.tolist()]
        values = cells.values({name: table[name].to_pylist() for name in table.column_names}, table.column_names)
        drawn = [(self._source.seed, epoch, int(number)) for number in self.rows.numbers[rows]]
        changed = [
            augment(self._source.augmentations, self._open(value), *draw)
            for value, draw in zip(values, drawn, strict=True)
        ]
        encoded = self._with_labels(self.modality.encode(changed), rows)
        if self._masked:
            self._mask(encoded, drawn)
        return encoded

    def _with_labels(self, encoded: Encoded, rows: np.ndarray) -> Encoded:
        """With the columns that come from labels, such as what is said in a recording: those do not change."""
        stored = self.rows.take(rows[:1]).keys() - encoded.columns.keys()
        if not stored:
            return encoded
        kept = self.rows.take(rows)
        return replace(encoded, columns={**encoded.columns, **{name: kept[name] for name in stored}})

    def _mask(self, encoded: Encoded, drawn: Sequence[tuple[int, int, int]]) -> None:
        """Change the spectrograms of encoded rows, in place."""
        for place, draw in enumerate(drawn):
            spectrogram = self.modality.spectrogram({name: rows[place] for name, rows in encoded.columns.items()})
            spectrogram[:] = augment(self._source.augmentations, spectrogram, *draw, "spectrogram")


def _opener(medium: str) -> Callable[[Any], Any]:
    """What makes of a stored value what augmentations change."""
    return (lambda value: opened(value, medium)) if medium in MEDIA else (lambda value: value)
