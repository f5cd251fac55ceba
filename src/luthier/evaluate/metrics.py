"""How good answers of one class or several labels a row are: every figure of them is computed here and nowhere else.

Targets are class indices of shape (rows,), or 0/1 of shape (rows, labels) for multi-label rows. Probabilities have shape
(rows, labels). A figure that is undefined for the rows at hand (ROC AUC with one class) is left out, never NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import config_context
from sklearn import metrics as reference

from luthier.errors import DataError, DivergedError
from luthier.evaluate.bootstrap import Array
from luthier.evaluate.judge import Figure

FIGURES: dict[str, Figure] = {
    "accuracy": Figure(
        "Accuracy", "share of rows answered right (multi-label: with every label right)", hub=("accuracy", None)
    ),
    "f1_macro": Figure(
        "F1, macro",
        "F1 averaged over classes; rare classes count as much as common ones",
        hub=("f1", {"average": "macro"}),
    ),
    "f1_micro": Figure("F1, micro", "F1 over all decisions together", hub=("f1", {"average": "micro"})),
    "f1_weighted": Figure(
        "F1, weighted", "F1 averaged over classes by their number of rows", hub=("f1", {"average": "weighted"})
    ),
    "precision_macro": Figure(
        "Precision, macro",
        "how often an answer is right, averaged over classes",
        hub=("precision", {"average": "macro"}),
    ),
    "recall_macro": Figure(
        "Recall, macro", "how much of each class is found, averaged over classes", hub=("recall", {"average": "macro"})
    ),
    "precision": Figure("Precision of {positive}", "how often {positive} is right when it is answered"),
    "recall": Figure("Recall of {positive}", "how much of {positive} is found"),
    "f1": Figure("F1 of {positive}", "harmonic mean of that precision and recall"),
    "roc_auc": Figure(
        "ROC AUC", "chance that a row of a class gets a higher score for it than a row without", hub=("roc_auc", None)
    ),
    "log_loss": Figure("Log loss", "mean of −ln(probability of the truth)", lower_is_better=True),
    "brier": Figure(
        "Brier score", "mean squared error of the probabilities", lower_is_better=True, hub=("brier_score", None)
    ),
    "ece": Figure("Calibration error", "mean distance between confidence and accuracy, 15 bins", lower_is_better=True),
}
"""`{positive}` stands for the second of two classes."""

SECOND_CLASS = ("precision", "recall", "f1")
"""Figures about the second of two classes, which more have not."""
THRESHOLD = 0.5
"""Probability from which a label of a multi-label row counts as answered."""


def measure(targets: Array, probabilities: Array, cuts: Array | None = None) -> dict[str, float]:
    """Every figure that is defined for these rows.

    Args:
        targets: class indices (rows,), or 0/1 (rows, labels) for multi-label rows.
        probabilities: (rows, labels).
        cuts: as in `decide`.

    Raises:
        DataError: there are no rows.
        DivergedError: a probability is not a number.
    """
    targets, probabilities = checked(targets, probabilities)
    with config_context(assume_finite=True, skip_parameter_validation=True):  # checked above; it takes half of the time
        figures = _figures(targets, probabilities, cuts)
    return {name: float(value) for name in FIGURES if (value := figures.get(name)) is not None}


def _figures(targets: Array, probabilities: Array, cuts: Array | None) -> dict[str, float | None]:
    answers = decide(targets, probabilities, cuts)
    return {
        "accuracy": reference.accuracy_score(targets, answers),
        **_averages(targets, answers),
        **_second_class(targets, answers, probabilities),
        "roc_auc": _roc_auc(targets, probabilities),
        "log_loss": _log_loss(targets, probabilities),
        "brier": _brier(targets, probabilities),
        "ece": _calibration_error(reliability(targets, probabilities, cuts=cuts)),
    }


def decide(targets: Array, probabilities: Array, cuts: Array | None = None) -> Array:
    """Answers in the form of `targets`: the likeliest class, or every label that reaches `THRESHOLD`.

    Args:
        targets: only their number of dimensions counts.
        probabilities: (rows, labels).
        cuts: (labels,), the probability from which a label is answered, in place of that; NaN where it has none of its own. Where
            rows have one class only one may have one, and it is answered from there on whatever is likeliest, and never below.
    """
    if targets.ndim == 2:
        limits = THRESHOLD if cuts is None else np.where(np.isnan(cuts), THRESHOLD, cuts)
        return (probabilities >= limits).astype(np.int64)
    if cuts is None or np.isnan(cuts).all():
        return np.asarray(probabilities.argmax(axis=1))
    watched = int(np.nanargmin(cuts))
    others = np.where(np.arange(len(cuts)) == watched, -np.inf, probabilities).argmax(axis=1)
    return np.where(probabilities[:, watched] >= cuts[watched], watched, others)


def one_vs_rest(targets: Array, probabilities: Array) -> tuple[Array, Array]:
    """Truth (bool) and scores of every yes-or-no question, both of shape (rows, questions).

    A question is a label; two classes are one question, about the second.
    """
    if targets.ndim == 2:
        return targets.astype(bool), probabilities
    if probabilities.shape[1] == 2:
        return targets[:, None] == 1, probabilities[:, 1:]
    return targets[:, None] == np.arange(probabilities.shape[1]), probabilities


def per_class(
    targets: Array, probabilities: Array, labels: Sequence[str], cuts: Array | None = None
) -> list[dict[str, Any]]:
    """Precision, recall, F1 and number of rows of each class; what divides by zero is 0."""
    targets, probabilities = checked(targets, probabilities)
    columns = reference.precision_recall_fscore_support(
        targets, decide(targets, probabilities, cuts), labels=np.arange(len(labels)), zero_division=0
    )
    return [
        {"label": label, "precision": float(precision), "recall": float(recall), "f1": float(f1), "rows": int(rows)}
        for label, precision, recall, f1, rows in zip(labels, *columns, strict=True)
    ]


def confusion(targets: Array, probabilities: Array, cuts: Array | None = None) -> Array:
    """Counts (truth, answer) of shape (labels, labels); for multi-label rows one 2 x 2 table a label: (labels, 2, 2)."""
    targets, probabilities = checked(targets, probabilities)
    answers = decide(targets, probabilities, cuts)
    if targets.ndim == 2:
        return np.asarray(reference.multilabel_confusion_matrix(targets, answers))
    return np.asarray(reference.confusion_matrix(targets, answers, labels=np.arange(probabilities.shape[1])))


def majority(train_counts: Sequence[int], targets: Array, train_rows: int | None = None) -> dict[str, float]:
    """The figures of always answering the most frequent training class; for multi-label rows, each label's majority.

    The answer's probabilities are the shares in the training rows, the best that can be said without reading the input.

    Args:
        train_counts: training rows with each label, in label order.
        targets: what is to be answered, as in `measure`.
        train_rows: number of training rows; needed for multi-label rows, where counts do not add up to it.

    Raises:
        DataError: `train_rows` is missing for multi-label rows.
    """
    if targets.ndim == 2 and train_rows is None:
        raise DataError("the majority baseline of multi-label rows needs train_rows, the number of training rows.")
    shares = np.asarray(train_counts, dtype=float) / (train_rows or sum(train_counts))
    return measure(targets, np.broadcast_to(shares, (len(targets), len(shares))))


def reliability(
    targets: Array, probabilities: Array, bins: int = 15, cuts: Array | None = None
) -> list[dict[str, float]]:
    """Confidence against accuracy in equal-width bins of confidence; empty bins are left out.

    Confidence is the probability of the answer given; for multi-label rows every label is an answer of its own, yes or no.
    Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2.
    """
    confidence, right = confidences(targets, probabilities, cuts)
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    sums = np.bincount(place, confidence, bins), np.bincount(place, right, bins)
    return [
        {
            "low": i / bins,
            "high": (i + 1) / bins,
            "rows": int(rows[i]),
            "confidence": float(sums[0][i] / rows[i]),
            "accuracy": float(sums[1][i] / rows[i]),
        }
        for i in np.flatnonzero(rows)
    ]


def checked(targets: Array, probabilities: Array) -> tuple[Array, Array]:
    """The same as integers and float64; the rows of single-label probabilities add up to 1 to the last digit.

    Raises:
        DataError: there are no rows.
        DivergedError: a probability is not a number.
    """
    refuse(targets, probabilities)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    if targets.ndim == 1:
        probabilities = probabilities / probabilities.sum(axis=1, keepdims=True)
    return np.asarray(targets).astype(np.int64), probabilities


def refuse(targets: Array, scores: Array) -> None:
    """Refuse to measure what says nothing.

    Args:
        targets: first axis rows.
        scores: first axis rows.

    Raises:
        DataError: there are no rows.
        DivergedError: a score is not a number.
    """
    if not len(targets):
        raise DataError("there are no rows to measure; expected at least one row with a label.")
    broken = int((~np.isfinite(scores)).reshape(len(targets), -1).any(axis=1).sum())
    if broken:
        raise DivergedError(
            f"the model's output is not a number for {broken} of {len(targets)} rows: training has diverged. "
            "Lower train.lr, or set train.precision=fp32."
        )


def _averages(targets: Array, answers: Array) -> dict[str, float]:
    """Of one table by class, as `precision_recall_fscore_support` averages it; two classes give those of the second, too."""
    precision, recall, f1, rows = reference.precision_recall_fscore_support(
        targets, answers, average=None, zero_division=0
    )
    scores = {
        "f1_macro": f1.mean(),
        "f1_weighted": np.average(f1, weights=rows) if rows.any() else 0.0,
        "precision_macro": precision.mean(),
        "recall_macro": recall.mean(),
    }
    if targets.ndim == 2:
        return scores | {"f1_micro": reference.f1_score(targets, answers, average="micro", zero_division=0)}
    return scores | {
        "f1_micro": float((targets == answers).mean())
    }  # each wrong answer misses one class and adds to one


def _second_class(targets: Array, answers: Array, probabilities: Array) -> dict[str, float]:
    """Precision, recall and F1 of the positive class, which only two-class tasks have."""
    if targets.ndim == 2 or probabilities.shape[1] != 2:
        return {}
    right = float((targets & answers).sum())
    precision, recall = right / max(1, answers.sum()), right / max(1, targets.sum())
    f1 = 2 * right / max(1, answers.sum() + targets.sum())
    return {"precision": precision, "recall": recall, "f1": f1}


def _roc_auc(targets: Array, probabilities: Array) -> float | None:
    """Mean over the labels that some rows have and others lack; None when there is no such label."""
    truth, scores = one_vs_rest(targets, probabilities)
    mixed = np.flatnonzero(truth.any(axis=0) & ~truth.all(axis=0))
    areas = [reference.roc_auc_score(truth[:, i], scores[:, i]) for i in mixed]
    return float(np.mean(areas)) if areas else None


def _log_loss(targets: Array, probabilities: Array) -> float:
    if targets.ndim == 2:
        return float(reference.log_loss(targets.ravel(), probabilities.ravel(), labels=[0, 1]))
    return float(reference.log_loss(targets, probabilities, labels=np.arange(probabilities.shape[1])))


def _brier(targets: Array, probabilities: Array) -> float:
    """Over two classes or over label decisions the square of one probability's error; over more classes the sum."""
    if targets.ndim == 2:
        return float(np.mean((probabilities - targets) ** 2))
    return float(reference.brier_score_loss(targets, probabilities, labels=np.arange(probabilities.shape[1])))


def confidences(targets: Array, probabilities: Array, cuts: Array | None = None) -> tuple[Array, Array]:
    """Probability of each answer given, and whether it was right."""
    answers = decide(targets, probabilities, cuts)
    if targets.ndim == 1:
        return probabilities[np.arange(len(answers)), answers], answers == targets
    return np.where(answers, probabilities, 1 - probabilities).ravel(), (answers == targets).ravel()


def _calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """Equation 3 of Guo et al. 2017."""
    gaps = sum(one["rows"] * abs(one["accuracy"] - one["confidence"]) for one in bins)
    return gaps / sum(one["rows"] for one in bins)
