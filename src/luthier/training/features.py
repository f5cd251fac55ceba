"""Outputs of a frozen part for all rows of a split, and the feed that gives them in place of what they were computed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from luthier.data.batches import Feed, Sequences
from luthier.models.above import KEPT
from luthier.training.selection import NONE, ONE, ROW, WHOLE, Selection


@dataclass(frozen=True)
class Shape:
    """One leaf of the output: what a row, or each of its positions, has of it."""

    inner: tuple[int, ...]
    dtype: torch.dtype
    part: str
    """What of it is kept, as in `Selection`."""

    @property
    def sequence(self) -> bool:
        """Whether rows have `inner` numbers for each position of their input; else they have them once."""
        return self.part == WHOLE

    def size(self, lengths: np.ndarray) -> int:
        """Numbers to store for sequences of these lengths."""
        entries = 0 if self.part == NONE else lengths.sum() if self.sequence else len(lengths)
        return int(np.prod(self.inner, dtype=np.int64)) * int(entries)


def shapes(leaves: Sequence[Tensor | None], selection: Selection) -> list[Shape | None]:
    """What is stored of each leaf; None for what was no tensor.

    Args:
        leaves: of some rows, whole.
        selection: what is kept of them.
    """
    return [
        None if leaf is None else Shape(_inner(leaf, part), leaf.dtype, part)
        for leaf, part in zip(leaves, selection.parts, strict=True)
    ]


def _inner(leaf: Tensor, part: str) -> tuple[int, ...]:
    if part == NONE:
        return (1,) * (leaf.dim() - 2) + tuple(leaf.shape[-1:])
    return tuple(leaf.shape[1:] if part == ROW else leaf.shape[2:])


class Features:
    """Outputs of all rows, unpadded.

    Args:
        shapes: of each leaf.
        tensors: for each leaf a flat tensor of `Shape.size` numbers, to fill; None where there is no leaf.
        sequences: that all rows are.
    """

    def __init__(self, shapes: Sequence[Shape | None], tensors: Sequence[Tensor | None], sequences: Sequences) -> None:
        self.shapes = shapes
        self.lengths = sequences.lengths
        self._starts = np.concatenate([[0], np.cumsum(sequences.lengths)])
        self._ends = np.cumsum(sequences.counts)
        self._counts = sequences.counts
        self._tensors = [
            None if shape is None or tensor is None or not tensor.numel() else tensor.view(-1, *shape.inner)
            for shape, tensor in zip(shapes, tensors, strict=True)
        ]

    def put(self, rows: np.ndarray, leaves: Sequence[Tensor | None]) -> None:
        """Store what is kept of some rows' leaves."""
        rows = self._sequences(rows)
        for shape, tensor, leaf in zip(self.shapes, self._tensors, leaves, strict=True):
            if shape is None or tensor is None or leaf is None:
                continue
            if not shape.sequence:
                tensor[torch.from_numpy(rows)] = leaf.reshape(len(rows), *shape.inner).to(tensor.device)
                continue
            for values, row in zip(leaf.to(tensor.device), rows, strict=True):
                tensor[self._starts[row] : self._starts[row + 1]] = values[: self.lengths[row]]

    def get(self, rows: np.ndarray) -> dict[str, Tensor]:
        """The leaves of some rows by number; those of one entry a position padded with zeros to the longest row."""
        rows = self._sequences(rows)
        return {
            f"{KEPT}{number}": self._leaf(shape, self._tensors[number], rows)
            for number, shape in enumerate(self.shapes)
            if shape is not None
        }

    def _sequences(self, rows: np.ndarray) -> np.ndarray:
        """The sequences that some rows are, by number."""
        if len(self._ends) == len(self.lengths):
            return rows
        return np.concatenate([np.arange(self._ends[row] - self._counts[row], self._ends[row]) for row in rows])

    def _leaf(self, shape: Shape, tensor: Tensor | None, rows: np.ndarray) -> Tensor:
        if tensor is None:
            return torch.zeros((), dtype=shape.dtype).expand(len(rows), *shape.inner)
        if not shape.sequence:
            picked = tensor.index_select(0, torch.from_numpy(rows))
            return picked.unsqueeze(1) if shape.part in ONE else picked
        pieces = [tensor[self._starts[row] : self._starts[row + 1]] for row in rows]
        return torch.nn.utils.rnn.pad_sequence(pieces, batch_first=True)


class FrozenFeed(Feed):
    """Rows with their features; where the network needs one position of each row only, they are that short.

    Args:
        feed: the rows themselves.
        features: of the same rows.
        selection: what the features hold.
    """

    def __init__(self, feed: Feed, features: Features, selection: Selection) -> None:
        super().__init__(feed.targets)
        self.feed = feed
        self.features = features
        self._short = _one_position(feed, selection) if selection.position else None
        self._lengths = feed.lengths if self._short is None else np.ones_like(feed.lengths)

    @property
    def lengths(self) -> np.ndarray:
        """Positions that the network is called with."""
        return self._lengths

    def inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The network's inputs, and what is kept of its frozen part."""
        kept = self.features.get(indices)
        if self._short is None:
            return self.feed.inputs(indices) | kept
        where = torch.from_numpy(indices)
        return {name: value.index_select(0, where) for name, value in self._short.items()} | kept


PORTION = 1 << 16
"""Positions, about, of the rows that are collated at once where only a little of each is kept: 330 images of 224 x 224 pixels."""


def portions(lengths: np.ndarray) -> list[np.ndarray]:
    """Numbers of all rows in their order, in parts that hold about `PORTION` positions each."""
    part = np.cumsum(lengths, dtype=np.int64) // PORTION
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(part)) + 1)


def _one_position(feed: Feed, selection: Selection) -> dict[str, Tensor]:
    """The one position of each row that the network is called with."""
    parts = []
    for indices in portions(feed.lengths):
        parts.append(selection.inputs(feed.inputs(indices), torch.from_numpy(feed.lengths[indices])))
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
