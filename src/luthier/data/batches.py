"""Which rows each optimiser step sees: a function of (seed, epoch, step) and of nothing else.

That is why a run can be stopped at any step and go on exactly: no position in an iterator has to be kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

    from luthier.data.encode import Rows
    from luthier.modalities import Modality


@dataclass(frozen=True)
class Batches:
    """Shuffled batches of `size` out of `rows` rows; the last one of an epoch may be smaller."""

    rows: int
    size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """Steps in one pass over all rows."""
        return -(-self.rows // self.size)

    def at(self, step: int) -> np.ndarray:
        """Row numbers of a step, counted from 0 over all epochs."""
        epoch, position = divmod(step, self.per_epoch)
        order: np.ndarray = _order(self.rows, self.seed, epoch)
        return order[position * self.size : (position + 1) * self.size]


def make_batch(rows: Rows, modality: Modality, indices: np.ndarray, device: torch.device) -> dict[str, torch.Tensor]:
    """Inputs and `target` of some rows on the device."""
    import torch

    batch = modality.collate(rows.take(indices))
    batch["target"] = torch.from_numpy(rows.targets[indices])
    return {name: value.to(device, non_blocking=True) for name, value in batch.items()}


@lru_cache(maxsize=2)
def _order(rows: int, seed: int, epoch: int) -> np.ndarray:
    order = np.random.default_rng([seed, epoch]).permutation(rows)
    order.setflags(write=False)
    return order
