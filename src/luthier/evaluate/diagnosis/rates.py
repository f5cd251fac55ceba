"""Findings about the learning rate: too high, and too low."""

from __future__ import annotations

import math

import numpy as np

from luthier.evaluate.diagnosis.curves import Curves
from luthier.evaluate.diagnosis.finding import Finding
from luthier.evaluate.diagnosis.learning import falling, little_learned, told_learned
from luthier.evaluate.diagnosis.trend import Measured

HIGH_NAME, LOW_NAME = "learning rate too high", "learning rate too low"
NOISE = 4.0
"""A climb of the training loss counts from this many standard errors."""
CLIMB = 0.25
"""... and from this share of the loss at the start."""
SWING = 0.15
"""Relative change of the validation loss that counts as a swing when the next evaluation takes it back."""
FAR = 5.0
"""Times the usual rate of a method from which, or below one over which, a rate is far from it."""


def not_a_number(curves: Curves) -> Finding | None:
    """The loss is NaN or infinite."""
    broken = np.flatnonzero(~np.isfinite(curves.losses))
    lost = np.flatnonzero(~np.isfinite(curves.validation))
    if len(broken):
        where = f"The training loss is not a number at step {curves.steps[broken[0]]:.0f}"
    elif len(lost):
        where = f"The validation loss is not a number at step {curves.evaluated[lost[0]]:.0f}"
    else:
        return None
    return Finding(HIGH_NAME, f"{where}.", _calmer(curves), unfinished=True)


def climbing(curves: Curves) -> Finding | None:
    """The training loss rises far above what it had reached."""
    if len(curves.losses) < 10:
        return None
    parts = np.array_split(curves.losses, min(20, len(curves.losses) // 5))
    means = np.array([part.mean() for part in parts])
    error = float(np.median([part.std(ddof=1) / math.sqrt(len(part)) for part in parts]))
    climbs = means - np.minimum.accumulate(means)
    worst = int(climbs.argmax())
    if climbs[worst] <= max(CLIMB * curves.start, NOISE * error):
        return None
    reached = int(means[: worst + 1].argmin())
    ends = np.cumsum([len(part) for part in parts])
    return Finding(
        HIGH_NAME,
        f"The training loss climbed from {means[reached]:.3f} around step {curves.steps[ends[reached] - 1]:.0f} to "
        f"{means[worst]:.3f} around step {curves.steps[ends[worst] - 1]:.0f}.",
        _calmer(curves),
        {"climb of the training loss": float(climbs[worst]), "its standard error": error},
        unfinished=True,
    )


def swinging(curves: Curves) -> Finding | None:
    """The validation loss jumps up and back, more than once."""
    loss = curves.validation
    up = (loss[1:-1] > loss[:-2] * (1 + SWING)) & (loss[2:] < loss[1:-1] / (1 + SWING))
    if up.sum() < 2:
        return None
    jumps = ", ".join(
        f"{loss[i]:.3f} to {loss[i + 1]:.3f} and back to {loss[i + 2]:.3f}" for i in np.flatnonzero(up)[:2]
    )
    return Finding(
        HIGH_NAME,
        f"The validation loss swings: {jumps}.",
        _calmer(curves),
        {"swings of the validation loss": float(up.sum())},
        unfinished=True,
    )


def stuck(curves: Curves) -> Finding | None:
    """Next to nothing was learned, the loss was on average above where it began, and the rate far above the method's usual one."""
    if not (little_learned(curves) and curves.losses.mean() >= curves.start and curves.rate >= FAR * curves.usual):
        return None
    return Finding(
        HIGH_NAME,
        f"{told_learned(curves)} The learning rate, {curves.rate:.2g}, is {curves.rate / curves.usual:.0f} times the usual one.",
        _calmer(curves),
        {"learning rate": curves.rate, "usual rate": curves.usual},
        unfinished=True,
    )


def too_low(curves: Curves) -> Finding | None:
    """Next to nothing was learned, or the loss was still falling, at a rate far below what the method usually takes."""
    if not curves.rate <= curves.usual / FAR or not (little_learned(curves) or falling(curves)):
        return None
    slope = curves.training_slope
    trend: dict[str, float | Measured] = {"slope of the training loss, an epoch": slope} if slope else {}
    return Finding(
        LOW_NAME,
        f"{told_learned(curves)} The learning rate, {curves.rate:.2g}, is 1/{curves.usual / curves.rate:.0f} of the usual one.",
        f"train.lr={curves.usual:g}",
        {"learning rate": curves.rate, "usual rate": curves.usual, **trend},
        unfinished=True,
    )


def _calmer(curves: Curves) -> str:
    """The usual rate where the run's was far above it, else a third of the run's."""
    return f"train.lr={curves.usual:g}" if curves.rate >= FAR * curves.usual else curves.slower(1 / 3)
