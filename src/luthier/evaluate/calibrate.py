"""How sure a model should be, and from which probability on it should answer: both chosen on rows that it did not train on.

Temperature scaling divides all logits by one number that makes the rows likeliest (Guo et al. 2017, "On Calibration of Modern
Neural Networks", section 4.2). It needs no logits: those of a softmax are its logarithms but for a constant, those of a sigmoid the
log odds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from luthier.errors import DataError
from luthier.evaluate.bootstrap import Array
from luthier.evaluate.metrics import checked, decide

COLDEST, HOTTEST = 0.02, 50.0
"""Temperatures that are tried."""


@dataclass(frozen=True)
class Goal:
    """What a threshold is chosen for."""

    precision: float | None = None
    """Share of the rows answered so that are to be so, above 0; as many of them as can be found are."""
    false_positive: float = 1.0
    """Cost of a row answered so that is not."""
    false_negative: float = 1.0
    """Cost of a row that is so and not answered."""

    @property
    def told(self) -> str:
        """In words."""
        if self.precision is not None:
            return f"precision {self.precision:g}"
        return f"cost {self.false_positive:g} of a false positive, {self.false_negative:g} of a false negative"


def tempered(probabilities: Array, temperature: float, several: bool) -> Array:
    """Probabilities as they would be with the logits divided by a temperature.

    Args:
        probabilities: (rows, labels).
        temperature: above 0; above 1 makes less sure.
        several: whether each label has a sigmoid of its own, not all a softmax.
    """
    from scipy.special import expit, softmax

    logits = _logits(probabilities, several) / temperature
    return np.asarray(expit(logits) if several else softmax(logits, axis=1), dtype=np.float32)


def temperature(targets: Array, probabilities: Array) -> float:
    """The temperature that makes the rows likeliest; their log loss has one minimum in its inverse.

    Args:
        targets: class indices (rows,), or 0/1 (rows, labels).
        probabilities: (rows, labels).

    Raises:
        DataError: all rows are answered right, or no better than by chance, so that no temperature is best.
    """
    from scipy.optimize import minimize_scalar

    targets, probabilities = checked(targets, probabilities)
    if (decide(targets, probabilities) == targets).all():
        raise DataError(
            f"All {len(targets)} validation rows are answered right, so they cannot tell how sure the model should be: it takes rows that "
            "are answered wrong. Give more validation rows, by data.split.parts or data.files.validation."
        )
    logits = _logits(probabilities, targets.ndim == 2)
    found = minimize_scalar(
        lambda log: _log_loss(targets, logits / np.exp(log)),
        bounds=(np.log(COLDEST), np.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    best = float(np.exp(found.x))
    if best > 0.99 * HOTTEST:
        raise DataError(
            f"The answers to the {len(targets)} validation rows are no better than chance, so no temperature makes their confidence right. "
            "Train longer, or look at the labels first."
        )
    return best


def threshold(truth: Array, scores: Array, goal: Goal, label: str) -> float:
    """The probability from which a label is best answered; between two that occur, so that rounding does not move a row.

    Args:
        truth: (rows,) bool.
        scores: (rows,), probabilities of the label.
        goal: what it is chosen for.
        label: for people.

    Raises:
        DataError: no row has the label, the precision is not reached, or it is cheapest never to answer so.
    """
    if not truth.any():
        raise DataError(f"No validation row has the label {label!r}, so no threshold can be chosen for it.")
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order], np.cumsum(truth[order])
    last = np.flatnonzero(np.append(values[1:] < values[:-1], True))  # of each stretch of equal scores
    hits, picked = hits[last], last + 1
    below = np.append(values[last][1:], 0.0)
    cuts = (values[last] + below) / 2
    return float(cuts[_best(hits, picked, int(truth.sum()), goal, label)])


def _best(hits: Array, picked: Array, positives: int, goal: Goal, label: str) -> int:
    if goal.precision is not None:
        precision = hits / picked
        reaching = np.flatnonzero(precision >= goal.precision)
        if not len(reaching):
            raise DataError(
                f"No threshold for {label!r} reaches a precision of {goal.precision:g} on the validation rows: the best is "
                f"{precision.max():.3f}. Ask for less, or train a better model."
            )
        return int(reaching[-1])
    costs = goal.false_positive * (picked - hits) + goal.false_negative * (positives - hits)
    best = int(np.argmin(costs))
    if goal.false_negative * positives <= costs[best]:
        raise DataError(
            f"At these costs it is cheapest never to answer {label!r} on the validation rows, so there is no threshold. Raise fn, or train "
            "a better model."
        )
    return best


def _logits(probabilities: Array, several: bool) -> Array:
    wide = np.asarray(probabilities, dtype=np.float64)
    smallest = float(np.finfo(np.float32).tiny)
    if not several:
        return np.asarray(np.log(np.maximum(wide, smallest)))
    wide = np.clip(wide, smallest, 1 - float(np.finfo(np.float32).epsneg))
    return np.asarray(np.log(wide) - np.log1p(-wide))


def _log_loss(targets: Array, logits: Array) -> float:
    from scipy.special import log_expit, log_softmax

    if targets.ndim == 2:
        return float(-log_expit(np.where(targets > 0, logits, -logits)).mean())
    return float(-log_softmax(logits, axis=1)[np.arange(len(targets)), targets].mean())
