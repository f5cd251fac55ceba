"""Findings about how much was learned: too little, too much by heart, or not yet enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from luthier.evaluate.diagnosis.curves import ENOUGH, Curves
from luthier.evaluate.diagnosis.finding import Finding
from luthier.evaluate.diagnosis.trend import Measured, noise

ENOUGH_STEPS, MANY_STEPS = 10, 100
"""Steps that make a trend, and those after which a flat loss is no longer put down to too few."""
LEARNED = 0.15
"""Relative fall of the training loss below which next to nothing was learned,"""
BEGUN = 0.03
"""... where no constant answer is known to begin from, as of texts that the base model writes well already."""
HIGH = 0.3
"""Training loss above which there is something left to learn."""
FALLING = 0.03
"""Relative fall of the validation loss in an evaluation that is worth more epochs."""
RISE = 0.08
"""Relative rise of the validation loss above its lowest value that counts as over-fitting."""
PLATEAU = 0.75
"""Share of the loss of one answer to all rows at which a flat training loss is high."""
STEEPEST = 0.1
"""Share of the training loss, in half of the run, less than which it may be falling where it is called flat."""
GAP = 0.1
"""Share of the training loss by which the validation loss may lie above it, at the near end of the interval, where it is called as low."""
SMALL, WHOLE = 0.05, 0.9
"""Share of the parameters below which a method trains few, and above which it trains all."""


def too_little(curves: Curves) -> Finding | None:
    """The log is too short for a trend."""
    steps, evaluations = len(curves.steps), len(curves.validation)
    if steps >= ENOUGH_STEPS and evaluations >= ENOUGH:
        return None
    return Finding(
        "too little to tell",
        f"The log holds {_count(steps, 'step')} and {_count(evaluations, 'evaluation')} on validation rows; a trend needs "
        f"{ENOUGH_STEPS} and {ENOUGH}.",
        f"train.evaluate_every={steps // 5}" if steps >= 2 * ENOUGH_STEPS else "train.epochs=10",
        {"steps": steps, "evaluations": evaluations},
        "advice",
    )


def little_learned(curves: Curves) -> bool:
    """Whether the training loss is still about where it began, and high; less will do where the answers beat a constant one."""
    known = curves.records.validated is None or curves.constant is not None
    fall = LEARNED if known and not curves.beaten else BEGUN
    return curves.end >= HIGH and curves.end >= (1 - fall) * curves.start


def falling(curves: Curves) -> bool:
    """Whether the validation loss was still falling at the end, by more than its noise and enough to be worth more epochs."""
    loss, slope = curves.validation, curves.validation_slope
    last = loss[-max(ENOUGH, (len(loss) + 1) // 2) :]
    if slope is None or slope.high >= 0:
        return False
    recent = last[:-1].min() - last[-1] > FALLING / 3 * last[-1]
    return bool(recent and (last[0] - last[-1]) / (len(last) - 1) > FALLING * last[-1])


def told_learned(curves: Curves) -> str:
    """How far the losses came."""
    validation = curves.validation
    return (
        f"The training loss went from {curves.start:.3f} to {curves.end:.3f} in {len(curves.steps)} steps and the validation "
        f"loss from {validation[0]:.3f} to {validation[-1]:.3f}."
    )


def flat(curves: Curves) -> bool:
    """Whether half of the run more at its largest rate would lower the training loss little, even at the steepest end of its slope."""
    slope = curves.training_slope
    if slope is None or len(curves.steps) < MANY_STEPS:
        return False
    return slope.low * curves.epochs[-1] / 2 > -STEEPEST * curves.end and not falling(curves)


def capacity(curves: Curves) -> Finding | None:
    """The training loss is flat and high while the rate was not yet low, and the validation loss is no higher."""
    share, gap = curves.trained_share, curves.gap
    high = curves.chance is not None and curves.end >= PLATEAU * curves.chance
    if not (high and share < WHOLE and flat(curves)) or (gap and gap.low > GAP * curves.end):
        return None
    return Finding(
        "capacity too small",
        f"{told_learned(curves)} One answer for all rows has {curves.chance:.3f}. It was flat before the learning rate fell: the "
        f"{share:.2%} of the parameters that are trained cannot take in more.",
        "method=top" if share < SMALL else "method=full",
        {"loss of one answer": float(curves.chance or 0)} | _slopes(curves),
        unfinished=True,
    )


def under_fitting(curves: Curves) -> Finding | None:
    """Next to nothing was learned, at a rate that is not far off."""
    if not little_learned(curves):
        return None
    return Finding(
        "under-fitting",
        f"{told_learned(curves)} Next to nothing was learned.",
        curves.slower(3) if flat(curves) else f"train.epochs={3 * curves.planned_epochs}",
        _slopes(curves),
        unfinished=True,
    )


def over_fitting(curves: Curves) -> Finding | None:
    """The validation loss has turned and rises while the training loss keeps falling."""
    loss = curves.validation
    lowest = int(loss.argmin())
    after = loss[lowest + 1 :]
    rise = min(float(after.mean()), float(after[-2:].mean())) - loss[lowest] if len(after) >= 2 else 0.0
    if rise <= max(RISE * loss[lowest], 2 * noise(loss)):
        return None
    then, now = curves.around(curves.evaluated[lowest]), curves.end
    if now > then and now > loss[-1]:
        return None
    return Finding(
        "over-fitting",
        f"The validation loss was lowest, {loss[lowest]:.3f}, at epoch {curves.epochs[lowest]:.3g} and rose to {loss[-1]:.3f} by "
        f"epoch {curves.epochs[-1]:.3g}, while the training loss went from {then:.3f} to {now:.3f}{_meanwhile(curves, lowest)}.",
        _restraint(curves.train, curves.records.target.smoothing),
        {"rise of the validation loss": rise, "its noise": noise(loss), **_slopes(curves)},
    )


def _meanwhile(curves: Curves, lowest: int) -> str:
    if curves.monitor == "loss" or not np.isfinite(curves.monitored[[lowest, -1]]).all():
        return ""
    then, now = curves.monitored[lowest], curves.monitored[-1]
    told_apart = curves.score is None or abs(now - then) > (curves.score.high - curves.score.low) / 2
    worse = told_apart and (now > then if curves.lower_is_better else now < then)
    unsure = ", only too sure of themselves" if curves.records.target.smoothing else ""
    reading = "the answers get worse" if worse else f"the answers are no worse{unsure}"
    return f"; {curves.monitor} went from {then:.3f} to {now:.3f}: {reading}"


def _restraint(train: Mapping[str, Any], smoothing: bool) -> str:
    """The first remedy that is not in use yet."""
    if not train.get("early_stopping"):
        return "train.early_stopping={patience: 2}"
    if smoothing and not train.get("label_smoothing"):
        return "train.label_smoothing=0.1"
    return f"train.weight_decay={10 * (train.get('weight_decay') or 0.01):.1g}"


def improving(curves: Curves) -> Finding | None:
    """The validation loss was still falling at the end."""
    if not falling(curves):
        return None
    loss, since = curves.validation, -max(ENOUGH, (len(curves.validation) + 1) // 2)
    return Finding(
        "still improving",
        f"The validation loss was still falling at the end: {loss[since]:.3f} at epoch {curves.epochs[since]:.3g}, "
        f"{loss[-1]:.3f} at epoch {curves.epochs[-1]:.3g}.",
        f"train.epochs={2 * curves.planned_epochs}",
        _slopes(curves),
        "advice",
        unfinished=True,
    )


def settled(curves: Curves) -> Finding:
    """What is said where nothing was found."""
    lowest = curves.validation.argmin()
    return Finding(
        "settled",
        f"The validation loss has levelled off at {curves.validation[-1]:.3f} (lowest {curves.validation[lowest]:.3f}, at epoch "
        f"{curves.epochs[lowest]:.3g}) and the training loss at {curves.end:.3f}. "
        "A second seed shows how much of the score is luck.",
        f"seed={curves.seed + 1}",
        _slopes(curves),
        "advice",
    )


def _slopes(curves: Curves) -> dict[str, float | Measured]:
    found = {
        "slope of the training loss, an epoch": curves.training_slope,
        "slope of the validation loss at the end, an epoch": curves.validation_slope,
        "validation loss less training loss": curves.gap,
    }
    return {name: one for name, one in found.items() if one is not None}


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
