"""The bootstrap intervals of `luthier.evaluate.bootstrap` for classes, the fast way.

A resample is kept as how often each row was drawn, so that every figure is a weighted count and a thousand of them cost a
few matrix products.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from luthier.evaluate.bootstrap import Array, draw
from luthier.evaluate.metrics import checked, decide, one_vs_rest


def resampled(
    targets: Array, probabilities: Array, seed: int = 0, resamples: int = 1000, cuts: Array | None = None
) -> dict[str, Array]:
    """Each headline figure of each resample, (resamples,), named as in `metrics.measure`.

    There is none for the calibration error: resampling adds to it, so its percentile interval misses it.
    Takes time in proportion to rows x resamples x labels: 1 s for 10,000 rows of ten classes.

    Args:
        targets: class indices (rows,), or 0/1 (rows, labels).
        probabilities: (rows, labels).
        seed: of the resampling.
        resamples: how many.
        cuts: as in `metrics.decide`.
    """
    targets, probabilities = checked(targets, probabilities)
    figures: list[Callable[[Array], dict[str, Array]]] = [
        _Counts(targets, probabilities, cuts),
        _Means(targets, probabilities),
        _Areas(targets, probabilities),
    ]
    with threadpool_limits(
        1
    ):  # the products are small, and waiting for a second thread on a busy machine costs ten times them
        blocks = [
            {name: values for figure in figures for name, values in figure(weights).items()}
            for weights in draw(len(targets), seed, resamples)
        ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


class _Counts:
    """Figures made of hits, answers and truths per label."""

    def __init__(self, targets: Array, probabilities: Array, cuts: Array | None) -> None:
        labels = np.arange(probabilities.shape[1])
        answers = decide(targets, probabilities, cuts)
        self.multilabel = targets.ndim == 2
        self.two_classes = not self.multilabel and len(labels) == 2
        true, answered = (one.astype(bool) if self.multilabel else one[:, None] == labels for one in (targets, answers))
        self.indicators = np.concatenate([true & answered, answered, true], axis=1).astype(np.float64)
        self.right = (true == answered).all(axis=1)

    def __call__(self, weights: Array) -> dict[str, Array]:
        hits, answered, true = np.split((weights @ self.indicators).T, 3)
        precision, recall, f1 = _ratio(hits, answered), _ratio(hits, true), _ratio(2 * hits, answered + true)
        seen = np.ones_like(true) if self.multilabel else (answered + true > 0).astype(np.float64)
        figures = {
            "accuracy": weights @ self.right / weights.sum(axis=1),
            "f1_macro": (f1 * seen).sum(axis=0) / seen.sum(axis=0),
            "f1_micro": _ratio(2 * hits.sum(axis=0), (answered + true).sum(axis=0)),
            "f1_weighted": _ratio((f1 * true).sum(axis=0), true.sum(axis=0)),
            "precision_macro": (precision * seen).sum(axis=0) / seen.sum(axis=0),
            "recall_macro": (recall * seen).sum(axis=0) / seen.sum(axis=0),
        }
        second = {"precision": precision[-1], "recall": recall[-1], "f1": f1[-1]} if self.two_classes else {}
        return figures | second


class _Means:
    """Figures that are means over rows."""

    def __init__(self, targets: Array, probabilities: Array) -> None:
        truth, scores = one_vs_rest(targets, probabilities)
        tiny = np.finfo(np.float64).eps
        if targets.ndim == 2:
            log_loss = -np.log(np.clip(np.where(truth, scores, 1 - scores), tiny, 1 - tiny)).mean(axis=1)
            brier = ((scores - truth) ** 2).mean(axis=1)
        else:
            log_loss = -np.log(np.clip(probabilities[np.arange(len(targets)), targets], tiny, 1 - tiny))
            brier = ((scores - truth) ** 2).sum(axis=1)
        self.rows = np.stack([log_loss, brier], axis=1)

    def __call__(self, weights: Array) -> dict[str, Array]:
        log_loss, brier = (weights @ self.rows).T / weights.sum(axis=1)
        return {"log_loss": log_loss, "brier": brier}


class _Areas:
    """Area under the ROC curve, averaged over the labels that a resample has both ways."""

    def __init__(self, targets: Array, probabilities: Array) -> None:
        truth, scores = one_vs_rest(targets, probabilities)
        self.labels = [wins(true, score) for true, score in zip(truth.T, scores.T, strict=True)]

    def __call__(self, weights: Array) -> dict[str, Array]:
        areas = np.stack([one(weights) for one in self.labels])
        known = np.isfinite(areas)
        return {"roc_auc": _ratio(np.where(known, areas, 0).sum(axis=0), known.sum(axis=0), empty=np.nan)}


def wins(true: Array, scores: Array) -> Callable[[Array], Array]:
    """Weights to the share of (positive, negative) pairs in order, ties half: the Mann-Whitney form of the area.

    Args:
        true: (rows,) bool, which are positive.
        scores: (rows,).

    Returns:
        What makes of weights (resamples, rows) the area of each resample, (resamples,); NaN where it has one kind only.
    """
    positives, negatives = np.flatnonzero(true), np.flatnonzero(~true)
    negatives = negatives[np.argsort(scores[negatives])]
    lower = np.searchsorted(scores[negatives], scores[positives], side="left")
    not_higher = np.searchsorted(scores[negatives], scores[positives], side="right")

    def area(weights: Array) -> Array:
        below = np.zeros((len(weights), len(negatives) + 1))
        np.cumsum(weights[:, negatives], axis=1, out=below[:, 1:])
        drawn = weights[:, positives]
        won = (drawn * (below[:, lower] + below[:, not_higher]) / 2).sum(axis=1)
        return _ratio(won, drawn.sum(axis=1) * below[:, -1], empty=np.nan)

    return area


def _ratio(above: Array, below: Array, empty: float = 0.0) -> Array:
    """Division in which nothing over nothing is `empty`, scikit-learn's `zero_division`."""
    quotient: Array = np.divide(above, below, out=np.full(np.shape(above), empty), where=below > 0)
    return quotient
