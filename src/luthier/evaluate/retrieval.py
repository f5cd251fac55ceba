"""Judging vectors by what they find: the partner of each row among the partners of all rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.judge import Baseline, Errors, Figure, Judge
from luthier.evaluate.metrics import refuse

DEPTHS = (1, 5, 10)
FIGURES: dict[str, Figure] = {
    "mrr": Figure("MRR", "mean of 1 / the place at which a row's partner is found among all of them"),
    **{
        f"recall_{depth}": Figure(f"Recall at {depth}", f"how often the partner is among the first {depth}")
        for depth in DEPTHS
    },
}
BLOCK = 4_000_000
"""Cosines held at once."""


class RetrievalJudge(Judge):
    """Figures of searches among the rows that are judged: more rows make them harder.

    Targets say nothing; scores have shape (rows, 2, width): the vector that is searched with, and that of the partner.
    """

    directions: ClassVar[int] = 1
    """How many there are in which is searched."""

    @property
    def monitor(self) -> str:
        """All places count."""
        return "mrr"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """`FIGURES`."""
        return FIGURES

    def ranks(self, scores: Array) -> list[Array]:
        """At which place each row's partner is found, from 1: (rows,) int64 for each direction in which is searched."""
        return [places(scores)]

    def found(self, ranks: Sequence[Array]) -> dict[str, Array]:
        """Each figure of each row, of what `ranks` gives."""
        return measured(ranks[0])

    def metrics(self, targets: Array, scores: Array) -> dict[str, float]:
        """Means over the rows."""
        refuse(targets, scores)
        return {name: float(values.mean()) for name, values in self.found(self.ranks(scores)).items()}

    def of_part(self, targets: Array, scores: Array, rows: Array) -> dict[str, float]:
        """Of rows that search among the partners of all."""
        return {name: float(values[rows].mean()) for name, values in self.found(self.ranks(scores)).items()}

    def resampled(self, targets: Array, scores: Array, seed: int = 0) -> dict[str, Array]:
        """Of rows that search, drawn again among the same partners."""
        refuse(targets, scores)
        found = self.found(self.ranks(scores))
        means = [np.stack([block @ values for values in found.values()]) for block in draw(len(scores), seed)]
        drawn = np.concatenate(means, axis=1) / len(scores)
        return dict(zip(found, drawn, strict=True))

    def right(self, targets: Array, scores: Array) -> dict[str, Array]:
        """Rows whose partner is found within each depth."""
        ranks = places(scores)
        return {f"recall_{depth}": ranks <= depth for depth in DEPTHS}

    def baseline(self, targets: Array, train: Mapping[str, Any]) -> Baseline:
        """The partners in any order."""
        anywhere = self.found([np.arange(1, len(targets) + 1)] * self.directions)
        return Baseline("chance", "in any order", {name: float(values.mean()) for name, values in anywhere.items()})

    def errors(self, targets: Array, scores: Array) -> Errors:
        """How many others are found before the partner."""
        sizes = np.mean(self.ranks(scores), axis=0) - 1.0
        return Errors(sizes, "Others before it", "{:.0f}", "whose partner is found last", graded=True)


def places(vectors: Array, alike: bool = False) -> Array:
    """At which place each row's partner is found, from 1: (rows,) int64; what is as near as the partner does not come before it.

    Args:
        vectors: (rows, 2, width).
        alike: let partners of rows that ask the same, by their vectors, be right too, so that they do not come before it either.
    """
    first, second = np.moveaxis(normed(vectors), 1, 0)
    own = (first * second).sum(axis=1)
    size = max(1, BLOCK // len(first))
    found = []
    for start in range(0, len(first), size):
        block = slice(start, start + size)
        nearer = first[block] @ second.T > own[block, None] + ROUNDING
        if alike:
            nearer &= first[block] @ first.T < 1 - ROUNDING
        found.append(nearer.sum(axis=1))
    return np.asarray(np.concatenate(found) + 1)


ROUNDING = 1e-6
"""Cosines of float32 that differ by less are the same."""


def normed(vectors: Array) -> Array:
    """Vectors of length 1 along the last axis; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def measured(ranks: Array) -> dict[str, Array]:
    """Each figure of each row, of the places at which partners are found."""
    return {"mrr": 1 / ranks, **{f"recall_{depth}": (ranks <= depth).astype(np.float64) for depth in DEPTHS}}
