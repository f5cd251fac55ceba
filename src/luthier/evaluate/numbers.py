"""Judging predicted numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.judge import Baseline, Errors, Figure, Judge
from luthier.evaluate.metrics import refuse

FIGURES: dict[str, Figure] = {
    "r2": Figure(
        "R2",
        "share of the variance that is explained; 0 is no better than the mean of these rows",
        hub=("r_squared", None),
    ),
    "spearman": Figure(
        "Spearman", "correlation of the ranks, from -1 to 1; 0 where all answers are the same", hub=("spearmanr", None)
    ),
    "mae": Figure(
        "MAE",
        "mean absolute error, in the unit of the numbers; set against always answering the training median",
        lower_is_better=True,
        hub=("mae", None),
    ),
    "rmse": Figure(
        "RMSE", "root of the mean squared error, in the unit of the numbers", lower_is_better=True, hub=("rmse", None)
    ),
    "mse": Figure("MSE", "mean squared error", lower_is_better=True, hub=("mse", None)),
}
"""Of several numbers a row, the mean over them."""

POINTS = 400
"""Rows drawn in a scatter plot."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class NumberJudge(Judge):
    """Figures of numbers; targets and scores have shape (rows, outputs), in the user's units.

    Args:
        names: of the outputs.
        means: of the training rows, one an output.
        medians: likewise.
        deviations: likewise, above 0.
    """

    def __init__(
        self, names: Sequence[str], means: Sequence[float], medians: Sequence[float], deviations: Sequence[float]
    ) -> None:
        self.names = list(names)
        self.means, self.medians, self.deviations = (
            np.asarray(one, dtype=np.float64) for one in (means, medians, deviations)
        )

    @property
    def monitor(self) -> str:
        """R2 puts the epochs in the same order as the squared error."""
        return "r2"

    @property
    def figures(self) -> Mapping[str, Figure]:
        """Of `FIGURES`."""
        return FIGURES

    def metrics(self, targets: Array, scores: Array) -> dict[str, float]:
        """As scikit-learn and scipy have them, but for Spearman 0 where the answers are all the same.

        R2 and Spearman are left out where the numbers are all the same.
        """
        refuse(targets, scores)
        return _figures(np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64))

    def measurable(self, targets: Array) -> list[str]:
        """Without R2 and Spearman where the numbers are all the same."""
        return list(self.metrics(targets, np.zeros(np.shape(targets))))

    def resampled(self, targets: Array, scores: Array, seed: int = 0) -> dict[str, Array]:
        """By sums over weighted rows: 2 s for 10,000 rows."""
        refuse(targets, scores)
        targets, scores = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        with threadpool_limits(1):
            blocks = [_weighted(weights, targets, scores) for weights in draw(len(targets), seed)]
        return {name: np.concatenate([block[name] for block in blocks]) for name in FIGURES}

    def errors(self, targets: Array, scores: Array) -> Errors:
        """The absolute error; of several numbers the mean, each in deviations of its training rows."""
        errors = np.abs(np.asarray(scores, dtype=np.float64) - targets)
        if len(self.names) == 1:
            return Errors(errors[:, 0], "Off by", "{:#.3g}", "with the largest error", graded=False)
        mean = (errors / self.deviations).mean(axis=1)
        return Errors(mean, "Off by", "{:#.2g} deviations", "with the largest error", graded=False)

    def baseline(self, targets: Array, train: Mapping[str, Any]) -> Baseline:
        """The mean of the training rows; for the absolute error their median, which is best there."""
        targets = np.asarray(targets, dtype=np.float64)
        figures = _figures(targets, np.broadcast_to(self.means, targets.shape))
        figures["mae"] = float(np.abs(targets - self.medians).mean())
        answer = f"the training mean ({self.means[0]:.4g})" if len(self.names) == 1 else "the training means"
        return Baseline("training mean", answer, figures)

    def constant(self, targets: Array, train: Mapping[str, Any]) -> Array:
        """The means of the training rows."""
        return np.broadcast_to(self.means, np.shape(targets))

    def sections(self, targets: Array, scores: Array) -> dict[str, Any]:
        """Predicted against true, of each output."""
        targets, scores = np.asarray(targets, dtype=np.float64), np.asarray(scores, dtype=np.float64)
        return {"numbers": [self._output(place, targets, scores) for place in range(len(self.names))]}

    def _output(self, place: int, targets: Array, scores: Array) -> dict[str, Any]:
        true, predicted = targets[:, place], scores[:, place]
        drawn = np.unique(np.linspace(0, len(true) - 1, min(POINTS, len(true))).astype(int))
        return {
            "name": self.names[place],
            "figures": _figures(true[:, None], predicted[:, None]),
            "points": np.stack([true[drawn], predicted[drawn]], axis=1).tolist(),
            "rows": len(true),
            "quantiles": [
                {"share": share, "true": float(one), "predicted": float(other)}
                for share, one, other in zip(
                    QUANTILES, np.quantile(true, QUANTILES), np.quantile(predicted, QUANTILES), strict=True
                )
            ],
        }


def _figures(targets: Array, scores: Array) -> dict[str, float]:
    found = _weighted(np.ones((1, len(targets))), targets, scores)
    return {name: float(found[name][0]) for name in FIGURES if np.isfinite(found[name][0])}


def _weighted(weights: Array, targets: Array, scores: Array) -> dict[str, Array]:
    """Each figure of rows that count several times, (resamples,); NaN where it is not defined.

    Args:
        weights: (resamples, rows).
        targets: (rows, outputs) float64.
        scores: likewise.
    """
    total = weights.sum(axis=1, keepdims=True)
    squares = weights @ (targets - scores) ** 2 / total
    return {
        "r2": 1 - divided(squares, variance(weights, targets)).mean(axis=1),
        "spearman": spearman(weights, targets, scores),
        "mae": (weights @ np.abs(targets - scores) / total).mean(axis=1),
        "rmse": np.sqrt(squares).mean(axis=1),
        "mse": squares.mean(axis=1),
    }


def variance(weights: Array, columns: Array) -> Array:
    """Of rows that count several times, (resamples, columns); 0 where it is but rounding."""
    total = weights.sum(axis=1, keepdims=True)
    centred = columns - columns.mean(axis=0)
    spread = weights @ centred**2 / total - (weights @ centred / total) ** 2
    rounding = 1e-14 * (centred**2).max(axis=0) + 1e-28 * (columns**2).max(axis=0)
    return np.where(spread > rounding, spread, 0)


def spearman(weights: Array, targets: Array, scores: Array) -> Array:
    """Pearson's correlation of ranks, ties in the middle; the mean over outputs.

    Args:
        weights: (resamples, rows), how often each row counts.
        targets: (rows, outputs) float64.
        scores: likewise.

    Returns:
        (resamples,); NaN where the targets do not vary, 0 where the scores do not.
    """
    outputs = []
    for columns in zip(targets.T, scores.T, strict=True):
        first, second = (_ranks(weights, column) for column in columns)
        varied, answered = ((weights * ranks**2).sum(axis=1) for ranks in (first, second))
        together = (weights * first * second).sum(axis=1)  # 0 where the answers do not vary
        outputs.append(divided(together, np.sqrt(varied * np.where(answered > 0, answered, 1))))
    return np.asarray(np.mean(outputs, axis=0))


def _ranks(weights: Array, column: Array) -> Array:
    """Rank of each row among rows that count several times, from the middle: (resamples, rows), the same for equal numbers."""
    _, groups, sizes = np.unique(column, return_inverse=True, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    drawn = np.add.reduceat(weights[:, np.argsort(groups, kind="stable")], starts, axis=1)  # (resamples, values)
    below = np.cumsum(drawn, axis=1) - drawn
    middle = below + drawn / 2 - weights.sum(axis=1, keepdims=True) / 2
    return np.asarray(middle[:, groups])


def divided(above: Array, below: Array) -> Array:
    """The quotient; NaN where `below` is 0."""
    quotient: Array = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient
