"""Training rows that are augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any, ClassVar

import datasets
import numpy as np
import torch

from luthier.augment import Augmentation, augment
from luthier.cache import cache_folder
from luthier.data import cells
from luthier.data.batches import EncodedFeed, Feed, in_turn
from luthier.data.encode import Rows, encode_anew
from luthier.data.media import MEDIA, decoded
from luthier.data.media.examined import THREADS
from luthier.modalities import Encoded, Modality


@dataclass(frozen=True)
class Source:
    """What training rows are made of, in every epoch anew.

    Args:
        values: the rows as they are stored, one column or several that are read together.
        media: what each column holds: `text`, or a key of `data.media.MEDIA`.
        augmentations: applied in this order.
        seed: of the run.
    """

    values: datasets.Dataset
    media: Sequence[str]
    augmentations: Sequence[Augmentation]
    seed: int


class AugmentedFeed(EncodedFeed):
    """Rows that are changed and encoded when a step asks for them: a function of seed, epoch and row, so that runs resume exactly.

    Images and sounds are decoded, changed and encoded by threads while the step before is computed: Pillow and libsndfile work
    without Python's lock. Texts are so quickly done that they are not, and tokenizers are not made for several threads: where a row
    has both, encoding waits its turn.

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
        self._masked = any(one.part == "spectrogram" for one in source.augmentations)
        if self._masked:
            modality.spectrogram({name: column[0] for name, column in rows.take(np.array([0])).items()})
        self._lengths = rows.lengths.copy()
        self._columns: Mapping[str, Sequence[Any]] = {}
        self._places: dict[int, int] = {}
        self._pool = ThreadPoolExecutor(THREADS) if any(one in MEDIA for one in source.media) else None
        self._turn = Lock() if "text" in source.media else nullcontext()
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
        encoded = self.encoded(rows, epoch)
        self._lengths[rows] = encoded.lengths
        self._columns = encoded.columns
        self._places = {int(row): place for place, row in enumerate(rows)}

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """As changed for the step in progress; as they are where a row belongs to none."""
        if not self._places.keys() >= set(indices.tolist()):
            return super().inputs(indices)
        places = [self._places[row] for row in indices.tolist()]
        return self.modality.collate({name: [column[at] for at in places] for name, column in self._columns.items()})

    def encoded(self, rows: np.ndarray, epoch: int) -> Encoded:
        """Some rows, each number once, as they are in an epoch."""
        parts = self._parts(rows, epoch)
        columns = {name: [row for part in parts for row in part.columns[name]] for name in parts[0].columns}
        lengths, full = (
            [length for part in parts for length in getattr(part, name)] for name in ("lengths", "full_lengths")
        )
        return Encoded(columns, lengths, full)

    def kept(self, count: int) -> Feed:
        """The copies of the first epochs, encoded now, for all epochs to see in turn.

        Their file lasts as long as they are used: which copies there are depends on more than the recipe, such as a file of synonyms.

        Args:
            count: how many copies of each row.
        """
        together = self.modality.together
        with TemporaryDirectory(
            dir=cache_folder(), ignore_cleanup_errors=True
        ) as folder:  # mapped, so gone with the last use
            files = [Path(folder) / f"view-{epoch}.arrow" for epoch in range(count)]
            views = [
                encode_anew(self.rows, partial(self.encoded, epoch=epoch), file, together)
                for epoch, file in enumerate(files)
            ]
        return in_turn([EncodedFeed(rows, self.modality) for rows in views])

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
        chain, media = self._source.augmentations, self._source.media
        changed = [
            augment(chain, decoded(value, media), *draw, media=media) for value, draw in zip(values, drawn, strict=True)
        ]
        with self._turn:
            encoded = self.modality.encode(changed)
        encoded = self._with_targets(encoded, rows)
        if self._masked:
            self._mask(encoded, drawn)
        return encoded

    def _with_targets(self, encoded: Encoded, rows: np.ndarray) -> Encoded:
        """With the columns that do not change: those that come from labels, such as what is said in a recording, and targets.

        Rows with the same image are still known as such where each has a crop of its own.
        """
        stored = self.rows.take(rows[:1])
        fixed = [name for name in stored if name not in encoded.columns or name.startswith("target")]
        if not fixed:
            return encoded
        kept = self.rows.take(rows)
        return replace(encoded, columns={**encoded.columns, **{name: kept[name] for name in fixed}})

    def _mask(self, encoded: Encoded, drawn: Sequence[tuple[int, int, int]]) -> None:
        """Change the spectrograms of encoded rows, in place."""
        for place, draw in enumerate(drawn):
            spectrogram = self.modality.spectrogram({name: rows[place] for name, rows in encoded.columns.items()})
            spectrogram[:] = augment(self._source.augmentations, spectrogram, *draw, "spectrogram")
