"""Which rows each optimiser step sees: a function of (seed, epoch, step) and of nothing else.

That is why a run can be stopped at any step and go on exactly: no position in an iterator has to be kept.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.data.sampling import Balanced

if TYPE_CHECKING:
    import torch

    from luthier.data.encode import Rows
    from luthier.modalities import Modality


@dataclass(frozen=True)
class Batches:
    """Shuffled batches of `size` out of `rows` rows, or of those that `balanced` draws; the last one of an epoch may be smaller."""

    rows: int
    size: int
    seed: int
    balanced: Balanced | None = None

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over all rows."""
        return -(-(self.rows if self.balanced is None else len(self.balanced)) // self.size)

    def at(self, step: int) -> np.ndarray:
        """Row numbers of a step, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.per_epoch)
        order: np.ndarray = _order(self, epoch)
        return order[position * self.size : (position + 1) * self.size]


@dataclass(frozen=True)
class Sequences:
    """What the network reads of some rows: a sequence each, or several windows of a long row."""

    counts: np.ndarray
    """How many each row is, (rows,)."""
    lengths: np.ndarray
    """Positions of each that are no padding, (sequences,), row after row."""


class Feed(ABC):
    """Where batches come from: rows with their targets, asked for by number.

    Args:
        targets: encoded labels, first axis rows.
    """

    changing: ClassVar[bool] = False
    """Whether rows differ from epoch to epoch."""
    packed: ClassVar[bool] = False
    """Whether the rows of a call are joined to one sequence, so that nothing is padded."""

    def __init__(self, targets: np.ndarray) -> None:
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def begin(self, indices: np.ndarray, epoch: int) -> None:  # noqa: B027
        """Get some rows ready as they are in an epoch: those of the next step, before it asks for their lengths."""

    def expect(self, indices: np.ndarray, epoch: int) -> None:  # noqa: B027
        """Be told for which rows `begin` will be called next, while the step in progress is computed."""

    @property
    def views(self) -> tuple[Feed, ...]:
        """What the rows are in one epoch after the other, and then again from the first on: here the same in all."""
        return (self,)

    @property
    @abstractmethod
    def lengths(self) -> np.ndarray:
        """Positions of each row that the network is called with, (rows,)."""

    def sequences(self, indices: np.ndarray) -> Sequences:
        """What `inputs` gives of some rows."""
        return Sequences(np.ones(len(indices), dtype=np.int64), self.lengths[indices])

    @abstractmethod
    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """The network's inputs for some rows, padded to the longest of them."""

    def batch(self, indices: np.ndarray, device: torch.device) -> dict[str, torch.Tensor]:
        """Inputs and `target` of some rows on the device."""
        import torch

        batch = self.inputs(indices) | {"target": torch.from_numpy(padded(self.targets[indices]))}
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


IGNORED = -100
"""Stands where a row has no target, as in `torch.nn.functional.cross_entropy`."""


def padded(targets: np.ndarray) -> np.ndarray:
    """Targets of some rows as one array; those of different lengths (an object array) are filled up with `IGNORED`.

    Numbers become float32: devices such as MPS have nothing longer.
    """
    if targets.dtype != object:
        return targets.astype(np.float32) if targets.dtype == np.float64 else targets
    lengths = np.fromiter(map(len, targets), dtype=np.int64, count=len(targets))
    filled = np.full((len(targets), lengths.max(initial=0)), IGNORED, dtype=np.int64)
    filled[np.arange(filled.shape[1]) < lengths[:, None]] = np.concatenate([*targets, []])
    return filled


class EncodedFeed(Feed):
    """Rows as the modality has encoded them."""

    def __init__(self, rows: Rows, modality: Modality) -> None:
        super().__init__(rows.targets)
        self.rows = rows
        self.modality = modality

    @property
    def lengths(self) -> np.ndarray:
        """Of the rows as encoded."""
        return self.rows.lengths

    def sequences(self, indices: np.ndarray) -> Sequences:
        """The windows of rows that have several."""
        if not self.modality.windows:
            return super().sequences(indices)
        sizes = self.rows.take(indices)[self.modality.windows]
        return Sequences(np.array(list(map(len, sizes)), dtype=np.int64), np.concatenate(sizes))

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Collated by the modality."""
        return self.modality.collate(self.rows.take(indices))


class Views(Feed):
    """Rows of which there are several copies, that the epochs see in turn: epoch e the copies e modulo their number.

    Args:
        views: all rows as they are in an epoch; of any number.
    """

    def __init__(self, views: Sequence[Feed]) -> None:
        super().__init__(views[0].targets)
        self._views = tuple(views)
        self._seen = views[0]

    @property
    def views(self) -> tuple[Feed, ...]:
        """One for each copy."""
        return self._views

    def begin(self, indices: np.ndarray, epoch: int) -> None:
        """Turn to the copies of an epoch."""
        self._seen = self._views[epoch % len(self._views)]

    @property
    def lengths(self) -> np.ndarray:
        """Of the copies of the epoch in progress."""
        return self._seen.lengths

    def sequences(self, indices: np.ndarray) -> Sequences:
        """Of these copies."""
        return self._seen.sequences(indices)

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Of these copies."""
        return self._seen.inputs(indices)


def in_turn(views: Sequence[Feed]) -> Feed:
    """One feed of all copies, as `Feed.views` gives them."""
    return views[0] if len(views) == 1 else Views(views)


class PackedFeed(EncodedFeed):
    """Rows that a call reads as one sequence, in which none sees another."""

    packed: ClassVar[bool] = True

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Joined by the modality."""
        return self.modality.pack(self.rows.take(indices))


@lru_cache(maxsize=2)
def _order(batches: Batches, epoch: int) -> np.ndarray:
    random = np.random.default_rng([batches.seed, epoch])
    order = random.permutation(batches.rows if batches.balanced is None else batches.balanced.draw(random))
    order.setflags(write=False)
    return order
