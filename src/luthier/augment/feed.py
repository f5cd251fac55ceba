"""Training rows that are augmented anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import datasets
import numpy as np
import torch

from luthier.augment import Augmentation, augment
from luthier.data import cells
from luthier.data.batches import EncodedFeed
from luthier.data.encode import Rows
from luthier.modalities import Modality


class AugmentedFeed(EncodedFeed):
    """Rows that are changed and encoded when a step asks for them: a function of seed, epoch and row, so that runs resume exactly.

    Args:
        rows: as they are encoded without a change.
        modality: encodes the changed ones, and cuts them where it cuts all rows.
        values: the raw rows, in the same order.
        augmentations: applied in this order.
        seed: of the run.
    """

    changing: ClassVar[bool] = True

    def __init__(
        self,
        rows: Rows,
        modality: Modality,
        values: datasets.Dataset,
        augmentations: Sequence[Augmentation],
        seed: int,
    ) -> None:
        super().__init__(rows, modality)
        self._values = values.with_format("arrow")
        self._augmentations = augmentations
        self._seed = seed
        self._lengths = rows.lengths.copy()
        self._columns: dict[str, list[Sequence[int]]] = {}
        self._places: dict[int, int] = {}

    @property
    def lengths(self) -> np.ndarray:
        """Of the rows of the step in progress as they are now, and of all others as they were last."""
        return self._lengths

    def begin(self, indices: np.ndarray, epoch: int) -> None:
        """Change and encode the rows of the next step."""
        rows = np.unique(indices)
        columns = self._values.column_names
        table = self._values[rows.tolist()]
        picked = {name: self._changed(table[name].to_pylist(), place, epoch, rows) for place, name in enumerate(columns)}
        encoded = self.modality.encode(cells.values(picked, columns))
        self._lengths[rows] = encoded.lengths
        self._columns = {name: list(column) for name, column in encoded.columns.items()}
        self._places = {int(row): place for place, row in enumerate(rows)}

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """As changed for the step in progress; as they are where a row belongs to none."""
        if not self._places.keys() >= set(indices.tolist()):
            return super().inputs(indices)
        places = [self._places[row] for row in indices.tolist()]
        return self.modality.collate({name: [column[at] for at in places] for name, column in self._columns.items()})

    def _changed(self, texts: Sequence[str], column: int, epoch: int, rows: np.ndarray) -> list[str]:
        """Texts of one column; each of several columns has draws of its own."""
        numbers = self.rows.numbers[rows].tolist()
        return [
            augment(self._augmentations, text, self._seed, epoch, number, column)
            for text, number in zip(texts, numbers, strict=True)
        ]
