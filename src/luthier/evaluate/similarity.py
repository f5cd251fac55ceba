"""Judging how alike two texts are said to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate import numbers
from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.intervals import wins
from luthier.evaluate.judge import Errors, Figure, Judge
from luthier.evaluate.metrics import refuse

FIGURES: dict[str, Figure] = {
    "spearman": numbers.FIGURES["spearman"],
    "pearson": Figure(
        "Pearson", "linear correlation, from -1 to 1; 0 where all answers are the same", hub=("pearsonr", None)
    ),
}
DECIDED: dict[str, Figure] = {
    "roc_auc": Figure(
        "ROC AUC",
        "chance that a pair that belongs together gets a higher score than one that does not; 0.5 is chance",
        hub=("roc_auc", None),
    ),
    "average_precision": Figure(
        "Average precision",
        "precision averaged over the pairs that belong together, in the order of their scores; chance is their share",
        hub=("average_precision", None),
    ),
}
"""Where pairs belong together or not."""


class SimilarityJudge(Judge):
    """Figures of similarities; targets and scores have shape (rows, 1).

    Args:
        binary: whether targets are 0 and 1.
    """

    def __init__(self, binary: bool) -> None:
        self.binary = binary

    @property
    def monitor(self) -> str:
        """What does not hang on the scale of the scores."""
        return next(iter(self.figures))

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Of `FIGURES` and, for pairs that belong together or not, `DECIDED`."""
        return {**DECIDED, **FIGURES} if self.binary else FIGURES

    def metrics(self, targets: Array, scores: Array) -> dict[str, float]:
        """As scipy and scikit-learn have them, but for 0 where the answers are all the same.

        None where the targets are all the same.
        """
        refuse(targets, scores)
        truth, said = (np.asarray(one, dtype=np.float64)[:, 0] for one in (targets, scores))
        if np.ptp(truth) == 0:
            return {}
        ranks, said_ranks = rankdata(truth), rankdata(said)
        decided = _decided(truth, said, said_ranks) if self.binary else {}
        return {**decided, "spearman": _correlation(ranks, said_ranks), "pearson": _correlation(truth, said)}

    def measurable(self, targets: Array) -> list[str]:
        """None where the targets are all the same."""
        return list(self.metrics(targets, np.zeros(np.shape(targets))))

    def resampled(self, targets: Array, scores: Array, seed: int = 0) -> dict[str, Array]:
        """By sums over weighted rows."""
        refuse(targets, scores)
        truth, said = (np.asarray(one, dtype=np.float64) for one in (targets, scores))
        together = truth[:, 0] > 0
        figures: dict[str, Callable[[Array], Array]] = {
            "roc_auc": wins(together, said[:, 0]),
            "average_precision": _precision(together, said[:, 0]),
            "spearman": lambda weights: numbers.spearman(weights, truth, said),
            "pearson": lambda weights: _pearson(weights, truth, said),
        }
        with threadpool_limits(1):
            blocks = [{name: figures[name](weights) for name in self.figures} for weights in draw(len(truth), seed)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in self.figures}

    def errors(self, targets: Array, scores: Array) -> Errors:
        """The absolute error, in the unit of the targets."""
        sizes = np.abs(np.asarray(scores, dtype=np.float64) - targets)[:, 0]
        return Errors(sizes, "Off by", "{:.3g}", "with the largest error", graded=False)


def _correlation(one: Array, other: Array) -> float:
    """Pearson's; 0 where `other` does not vary."""
    one, other = one - one.mean(), other - other.mean()
    norms = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / norms) if norms > 0 else 0.0


def _decided(truth: Array, said: Array, ranks: Array) -> dict[str, float]:
    """The area by ranks (Mann & Whitney 1947); average precision by scikit-learn."""
    from sklearn.metrics import average_precision_score

    together = truth > 0
    yes, no = int(together.sum()), int((~together).sum())
    area = (ranks[together].sum() - yes * (yes + 1) / 2) / (yes * no)
    return {"roc_auc": float(area), "average_precision": float(average_precision_score(together, said))}


def _pearson(weights: Array, truth: Array, said: Array) -> Array:
    """Of rows that count several times, (resamples,); NaN where `truth` does not vary, 0 where `said` does not."""
    total = weights.sum(axis=1, keepdims=True)
    one, other = truth - truth.mean(), said - said.mean()
    shared = weights @ (one * other) / total - (weights @ one / total) * (weights @ other / total)
    varied, answered = (numbers.variance(weights, column) for column in (truth, said))
    together = np.where(answered > 0, shared, 0)
    return numbers.divided(together, np.sqrt(varied * np.where(answered > 0, answered, 1)))[:, 0]


def _precision(together: Array, said: Array) -> Callable[[Array], Array]:
    """Weights to the average precision, NaN where a resample has one kind only: rows of one score are taken in together."""
    order = np.argsort(-said, kind="stable")
    starts = np.flatnonzero(np.diff(said[order], prepend=np.nan))

    def average(weights: Array) -> Array:
        taken = np.cumsum(np.add.reduceat(weights[:, order], starts, axis=1), axis=1)
        right = np.add.reduceat((weights * together)[:, order], starts, axis=1)
        found = np.cumsum(right, axis=1)
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        both = (found[:, -1] > 0) & (found[:, -1] < taken[:, -1])
        return np.where(both, (right * precision).sum(axis=1) / np.maximum(found[:, -1], 1), np.nan)

    return average
