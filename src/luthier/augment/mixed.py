"""Training rows that are mixed with others of the same optimiser step."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from luthier.augment import Mixing
from luthier.data.batches import Feed, padded


class MixedFeed(Feed):
    """Rows mixed with partners: a function of the seed, the epoch and the rows of the step, however the step is cut into micro-batches.

    Each row is one's own row once and a partner once; one share is drawn for the whole step, as in the papers' code. A batch
    holds `target_other`, the partners' targets, and `target_share`, what share of each row is its own, beside what the feed
    below gives.

    Args:
        feed: rows as they would be without mixing.
        mixing: how two rows become one.
        seed: of the run.
    """

    changing: ClassVar[bool] = True

    def __init__(self, feed: Feed, mixing: Mixing, seed: int) -> None:
        super().__init__(feed.targets)
        self._feed = feed
        self._mixing = mixing
        self._seed = seed
        self._lengths = feed.lengths
        self._partners: dict[int, int] = {}
        self._draw = np.random.SeedSequence(seed)

    @property
    def lengths(self) -> np.ndarray:
        """Of each row of the step in progress the longer one of it and its partner."""
        return self._lengths

    def expect(self, indices: np.ndarray, epoch: int) -> None:
        """Passed on."""
        self._feed.expect(indices, epoch)

    def begin(self, indices: np.ndarray, epoch: int) -> None:
        """Draw partners for the rows of the next step."""
        self._feed.begin(indices, epoch)
        pairs, self._draw = np.random.SeedSequence([self._seed, epoch, *indices.tolist()]).spawn(2)
        others = np.random.default_rng(pairs).permutation(indices)
        self._partners = dict(zip(indices.tolist(), others.tolist(), strict=True))
        self._lengths = self._feed.lengths.copy()
        self._lengths[indices] = np.maximum(self._feed.lengths[indices], self._feed.lengths[self._others(indices)])

    def inputs(self, indices: np.ndarray) -> dict[str, torch.Tensor]:
        """Mixed; a row of no step is mixed with itself."""
        return self._mixed(indices)[0]

    def batch(self, indices: np.ndarray, device: torch.device) -> dict[str, torch.Tensor]:
        """Mixed inputs, both targets, and the share of the first."""
        inputs, share = self._mixed(indices)
        others = torch.from_numpy(padded(self.targets[self._others(indices)]))
        own = torch.from_numpy(padded(self.targets[indices]))
        batch = inputs | {"target": own, "target_other": others, "target_share": torch.tensor(share)}
        return {name: value.to(device, non_blocking=True) for name, value in batch.items()}

    def _mixed(self, indices: np.ndarray) -> tuple[dict[str, torch.Tensor], float]:
        both = self._feed.inputs(np.concatenate([indices, self._others(indices)]))  # together: padded to one length
        own = {name: value[: len(indices)] for name, value in both.items()}
        other = {name: value[len(indices) :] for name, value in both.items()}
        return self._mixing.mix(own, other, np.random.default_rng(self._draw))

    def _others(self, indices: np.ndarray) -> np.ndarray:
        return np.array([self._partners.get(row, row) for row in indices.tolist()], dtype=np.int64)
