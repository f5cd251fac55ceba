"""Judging vectors by what they find: the partner of each row among the partners of all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from luthier.evaluate.bootstrap import Array, draw, percentiles
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

    @property
    def monitor(self) -> str:
        """All places count."""
        return "mrr"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """`FIGURES`."""
        return FIGURES

    def metrics(self, targets: Array, scores: Array) -> dict[str, float]:
        """Means over the rows."""
        refuse(targets, scores)
        return {name: float(values.mean()) for name, values in _found(places(scores)).items()}

    def intervals(self, targets: Array, scores: Array, seed: int = 0) -> dict[str, tuple[float, float]]:
        """Of rows that search, drawn again among the same partners."""
        refuse(targets, scores)
        found = _found(places(scores))
        means = [np.stack([block @ values for values in found.values()]) for block in draw(len(scores), seed)]
        drawn = np.concatenate(means, axis=1) / len(scores)
        return {name: percentiles(values) for name, values in zip(found, drawn, strict=True)}

    def baseline(self, targets: Array, train: Mapping[str, Any]) -> Baseline:
        """The partners in any order."""
        rows = len(targets)
        chance = {f"recall_{depth}": min(1.0, depth / rows) for depth in DEPTHS}
        figures = {"mrr": float((1 / np.arange(1, rows + 1)).mean()), **chance}
        return Baseline("chance", "in any order", figures)

    def errors(self, targets: Array, scores: Array) -> Errors:
        """How many others are found before the partner."""
        return Errors(places(scores) - 1.0, "Others before it", "{:.0f}", "whose partner is found last", graded=True)


def places(vectors: Array) -> Array:
    """At which place each row's partner is found, from 1: (rows,) int64; what is as near as the partner does not come before it.

    Args:
        vectors: (rows, 2, width).
    """
    first, second = np.moveaxis(normed(vectors), 1, 0)
    own = (first * second).sum(axis=1)
    size = max(1, BLOCK // len(first))
    blocks = [slice(start, start + size) for start in range(0, len(first), size)]
    nearer = [(first[block] @ second.T > own[block, None] + ROUNDING).sum(axis=1) for block in blocks]
    return np.asarray(np.concatenate(nearer) + 1)


ROUNDING = 1e-6
"""Cosines of float32 that differ by less are the same."""


def normed(vectors: Array) -> Array:
    """Vectors of length 1 along the last axis; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1))


def _found(ranks: Array) -> dict[str, Array]:
    """Each figure of each row."""
    return {"mrr": 1 / ranks, **{f"recall_{depth}": (ranks <= depth).astype(np.float64) for depth in DEPTHS}}
