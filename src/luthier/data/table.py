"""Rows of a split with their labels, before they are encoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import datasets
import numpy as np

NOTHING = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Table:
    """A split: its rows, their labels, and their numbers in the source, from 0."""

    rows: datasets.Dataset
    labels: Sequence[Any]
    numbers: np.ndarray
    same: np.ndarray = field(default_factory=NOTHING.copy)
    """A number for each row, the same for rows with the same text, over all splits; empty where nobody has looked."""
    alike: np.ndarray = field(default_factory=NOTHING.copy)
    """The same for rows with nearly the same text."""

    @property
    def firsts(self) -> np.ndarray:
        """Places of rows that no row before them is like; all where nobody has looked."""
        return np.sort(np.unique(self.alike, return_index=True)[1]) if len(self.alike) else np.arange(len(self.labels))

    def pick(self, indices: np.ndarray) -> Table:
        """Some of the rows."""
        return Table(
            self.rows.select(indices),
            [self.labels[index] for index in indices],
            self.numbers[indices],
            *(one[indices] if len(one) else one for one in (self.same, self.alike)),
        )

    def some(self, most: int, seed: int) -> Table:
        """Rows of which no two are alike, in their order: all of them, or as many as `most`, drawn by the seed."""
        firsts = self.firsts
        if len(firsts) > most:
            firsts = np.sort(np.random.default_rng(seed).choice(firsts, most, replace=False))
        return self.pick(firsts)

    def relabel(self, changed: Mapping[int, Any]) -> Table:
        """Other labels for some rows, by their places."""
        return replace(self, labels=[changed.get(place, label) for place, label in enumerate(self.labels)])
