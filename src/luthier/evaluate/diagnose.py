"""What the curves of a run say: one verdict, the numbers behind it and one line of the recipe to change.

Judged by trends: a rise or fall counts when it is larger than the noise of its own curve, and no verdict rests on one epoch.
The readings are those of Goodfellow et al. 2016, "Deep Learning", sections 5.2 and 11.3 to 11.4; the thresholds are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from luthier.tasks import Target

Verdict = Literal["under-fitting", "over-fitting", "still improving", "unstable", "settled", "too little to tell"]
Values = NDArray[np.float64]

ENOUGH_STEPS, ENOUGH_EVALUATIONS = 10, 3
NOISE = 4.0
"""A climb of the training loss counts from this many standard errors."""
CLIMB = 0.25
"""... and from this share of the loss at the start."""
SWING = 0.15
"""Relative change of the validation loss that counts as a swing when the next evaluation takes it back."""
RISE = 0.08
"""Relative rise of the validation loss above its lowest value that counts as over-fitting."""
LEARNED = 0.15
"""Relative fall of the training loss below which next to nothing was learned."""
HIGH = 0.3
"""Training loss above which there is something left to learn."""
FALLING = 0.03
"""Relative fall of the validation loss per evaluation that is worth more epochs."""


@dataclass(frozen=True)
class Diagnosis:
    """A reading of the curves."""

    verdict: Verdict
    evidence: str
    """A sentence with the numbers."""
    suggestion: str
    """The recipe line to change, as on the command line: `train.epochs=6`."""


@dataclass(frozen=True)
class _Curves:
    """The log as arrays. Losses that are not numbers are kept as NaN."""

    steps: Values
    losses: Values
    rates: Values
    evaluated: Values
    """Step of each evaluation."""
    epochs: Values
    validation: Values
    monitored: Values
    monitor: str
    lower_is_better: bool
    """Of what is monitored."""
    smoothing: bool
    """Whether the loss asks for confidence in a class, which can be smoothed."""
    train: Mapping[str, Any]
    """The recipe's `train`."""
    seed: int

    @property
    def start(self) -> float:
        """Training loss over the first few steps, before much is learned."""
        return float(self.losses[: max(3, min(10, len(self.losses) // 20))].mean())

    def around(self, step: float) -> float:
        """Mean training loss over the tenth of the run that ends with `step`."""
        window = (self.steps > step - max(3, len(self.steps) / 10)) & (self.steps <= step)
        return float(self.losses[window].mean())

    @property
    def end(self) -> float:
        return self.around(self.steps[-1])

    @property
    def planned_epochs(self) -> int:
        return int(self.train.get("epochs") or math.ceil(self.epochs[-1]))

    def slower(self, factor: float) -> str:
        """The line that multiplies the learning rate."""
        return f"train.lr={float(self.rates.max()) * factor:.1g}"


def diagnose(log: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any], target: Target) -> Diagnosis:
    """Read the curves of a run.

    Args:
        log: records of log.jsonl.
        recipe: the resolved recipe; names the monitored metric and what is already set, so that it is not suggested again.
        target: what is learned.
    """
    curves = _read(log, recipe, target)
    found = (rule(curves) for rule in _RULES)
    return next((one for one in found if one), None) or _settled(curves)


def _read(log: Sequence[Mapping[str, Any]], recipe: Mapping[str, Any], target: Target) -> _Curves:
    train = recipe.get("train") or {}
    steps = [one for one in log if one.get("event") == "step"]
    evaluations = [
        one for one in log if one.get("event") == "evaluate" and one.get("split", "validation") == "validation"
    ]
    monitor = train.get("monitor") or target.judge.monitor
    monitor = monitor if any(monitor in one for one in evaluations) else "loss"
    return _Curves(
        steps=_column(steps, "step"),
        losses=_column(steps, "loss"),
        rates=_column(steps, "lr"),
        evaluated=_column(evaluations, "step"),
        epochs=_column(evaluations, "epoch"),
        validation=_column(evaluations, "loss"),
        monitored=_column(evaluations, monitor),
        monitor=monitor,
        lower_is_better=target.judge.lower_is_better(monitor),
        smoothing=target.smoothing,
        train=train,
        seed=recipe.get("seed") or 0,
    )


def _column(records: Sequence[Mapping[str, Any]], key: str) -> Values:
    values = (one.get(key) for one in records)
    return np.array([float("nan") if value is None else float(value) for value in values])


def _not_a_number(curves: _Curves) -> Diagnosis | None:
    broken = np.flatnonzero(~np.isfinite(curves.losses))
    if len(broken):
        where = f"The training loss is not a number at step {curves.steps[broken[0]]:.0f}"
    elif not np.isfinite(curves.validation).all():
        where = (
            f"The validation loss is not a number at step {curves.evaluated[~np.isfinite(curves.validation)][0]:.0f}"
        )
    else:
        return None
    return Diagnosis("unstable", f"{where}.", _calmer(curves))


def _too_little(curves: _Curves) -> Diagnosis | None:
    steps, evaluations = len(curves.steps), len(curves.validation)
    if steps >= ENOUGH_STEPS and evaluations >= ENOUGH_EVALUATIONS:
        return None
    change = f"train.evaluate_every={steps // 5}" if steps >= 2 * ENOUGH_STEPS else "train.epochs=10"
    return Diagnosis(
        "too little to tell",
        f"The log holds {_count(steps, 'step')} and {_count(evaluations, 'evaluation')} on validation rows; a trend needs "
        f"{ENOUGH_STEPS} and {ENOUGH_EVALUATIONS}.",
        change,
    )


def _climbing(curves: _Curves) -> Diagnosis | None:
    """The training loss rises far above what it had reached."""
    parts = np.array_split(curves.losses, min(20, len(curves.losses) // 5))
    means = np.array([part.mean() for part in parts])
    error = float(np.median([part.std(ddof=1) / math.sqrt(len(part)) for part in parts]))
    climbs = means - np.minimum.accumulate(means)
    worst = int(climbs.argmax())
    if climbs[worst] <= max(CLIMB * curves.start, NOISE * error):
        return None
    reached = int(means[: worst + 1].argmin())
    ends = np.cumsum([len(part) for part in parts])
    return Diagnosis(
        "unstable",
        f"The training loss climbed from {means[reached]:.3f} around step {curves.steps[ends[reached] - 1]:.0f} to "
        f"{means[worst]:.3f} around step {curves.steps[ends[worst] - 1]:.0f}.",
        _calmer(curves),
    )


def _swinging(curves: _Curves) -> Diagnosis | None:
    """The validation loss jumps up and back, more than once."""
    loss = curves.validation
    up = (loss[1:-1] > loss[:-2] * (1 + SWING)) & (loss[2:] < loss[1:-1] / (1 + SWING))
    if up.sum() < 2:
        return None
    jumps = ", ".join(
        f"{loss[i]:.3f} to {loss[i + 1]:.3f} and back to {loss[i + 2]:.3f}" for i in np.flatnonzero(up)[:2]
    )
    return Diagnosis("unstable", f"The validation loss swings: {jumps}.", _calmer(curves))


def _calmer(curves: _Curves) -> str:
    return curves.slower(1 / 3) if np.isfinite(curves.rates).any() else "train.clip=1.0"


def _over_fitting(curves: _Curves) -> Diagnosis | None:
    """The validation loss has turned and rises while the training loss keeps falling."""
    loss = curves.validation
    best = int(loss.argmin())
    after = loss[best + 1 :]
    rise = min(float(after.mean()), float(after[-2:].mean())) - loss[best] if len(after) >= 2 else 0.0
    if rise <= max(RISE * loss[best], 2 * _noise(loss)):
        return None
    then, now = curves.around(curves.evaluated[best]), curves.end
    if now > then and now > loss[-1]:
        return None
    return Diagnosis(
        "over-fitting",
        f"The validation loss was lowest, {loss[best]:.3f}, at epoch {curves.epochs[best]:.3g} and rose to {loss[-1]:.3f} by "
        f"epoch {curves.epochs[-1]:.3g}, while the training loss went from {then:.3f} to {now:.3f}{_meanwhile(curves, best)}.",
        _restraint(curves.train, curves.smoothing),
    )


def _meanwhile(curves: _Curves, best: int) -> str:
    if curves.monitor == "loss" or not np.isfinite(curves.monitored[[best, -1]]).all():
        return ""
    then, now = curves.monitored[best], curves.monitored[-1]
    worse = now > then if curves.lower_is_better else now < then
    unsure = ", only too sure of themselves" if curves.smoothing else ""
    reading = "the answers get worse" if worse else f"the answers are no worse{unsure}"
    return f"; {curves.monitor} went from {then:.3f} to {now:.3f}: {reading}"


def _restraint(train: Mapping[str, Any], smoothing: bool) -> str:
    """The first remedy that is not in use yet."""
    if not train.get("early_stopping"):
        return "train.early_stopping={patience: 2}"
    if smoothing and not train.get("label_smoothing"):
        return "train.label_smoothing=0.1"
    return f"train.weight_decay={10 * (train.get('weight_decay') or 0.01):.1g}"


def _under_fitting(curves: _Curves) -> Diagnosis | None:
    """The training loss is still about where it began, and high."""
    if curves.end < HIGH or curves.end < (1 - LEARNED) * curves.start:
        return None
    return Diagnosis(
        "under-fitting",
        f"The training loss went from {curves.start:.3f} to {curves.end:.3f} in {len(curves.steps)} steps and the validation "
        f"loss from {curves.validation[0]:.3f} to {curves.validation[-1]:.3f}: next to nothing was learned.",
        curves.slower(5) if np.isfinite(curves.rates).any() else f"train.epochs={2 * curves.planned_epochs}",
    )


def _improving(curves: _Curves) -> Diagnosis | None:
    """The validation loss was still falling at the end."""
    loss = curves.validation
    window = loss[-max(ENOUGH_EVALUATIONS, len(loss) // 2) :]
    slope = float(np.polyfit(np.arange(len(window)), window, 1)[0])
    falling = -slope > max(FALLING * window[-1], 2 * _noise(loss) / len(window))
    recent = window[:-1].min() - window[-1] > FALLING / 3 * window[-1]
    if not (falling and recent):
        return None
    return Diagnosis(
        "still improving",
        f"The validation loss was still falling at the end: {window[0]:.3f} at epoch {curves.epochs[-len(window)]:.3g}, "
        f"{window[-1]:.3f} at epoch {curves.epochs[-1]:.3g}.",
        f"train.epochs={2 * curves.planned_epochs}",
    )


def _settled(curves: _Curves) -> Diagnosis:
    return Diagnosis(
        "settled",
        f"The validation loss has levelled off at {curves.validation[-1]:.3f} (lowest {curves.validation.min():.3f}, at epoch "
        f"{curves.epochs[curves.validation.argmin()]:.3g}) and the training loss at {curves.end:.3f}. "
        "A second seed shows how much of the score is luck.",
        f"seed={curves.seed + 1}",
    )


def _noise(values: Values) -> float:
    """Standard deviation around the trend, from second differences, which a straight trend does not enter.

    Their median is used, so that the one bend of a learning curve counts little; sqrt(6) is their spread for unit noise and
    0.6745 the median of a half-normal variable.
    """
    return float(np.median(np.abs(np.diff(values, n=2)))) / (math.sqrt(6) * 0.6745)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")


_RULES: tuple[Callable[[_Curves], Diagnosis | None], ...] = (
    _not_a_number,
    _too_little,
    _climbing,
    _swinging,
    _over_fitting,
    _under_fitting,
    _improving,
)
