"""Which of several models is suited best, and whether that is more than noise of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from luthier.advise.logme import logme
from luthier.advise.transfer import Sample, Suited
from luthier.evaluate.bootstrap import percentiles
from luthier.evaluate.judge import Judge

HALVES = 30
"""Halves of the rows that LogME's noise is judged by."""
DEALS = 199
"""Times that answers are dealt out at random, which gives p-values from 0.005."""
ALPHA = 0.05
"""Above this p-value an answer may be one by chance."""
NORMAL = 1.96
"""Standard errors to either side of a 95 % interval."""


@dataclass(frozen=True)
class Gap:
    """How much better one model is than another, by a score."""

    value: float
    """Above 0 where it is better."""
    interval: tuple[float, float]
    """95 %."""

    @property
    def sure(self) -> bool:
        """Whether it is more than noise of the rows."""
        return self.interval[0] > 0 or self.interval[1] < 0

    def __str__(self) -> str:
        return f"{self.value:+.3f} (95 % interval {self.interval[0]:+.3f} to {self.interval[1]:+.3f})"


def ranked(models: Sequence[Suited]) -> list[Suited]:
    """The best first, by the figure of the linear probe."""
    return sorted(models, key=lambda one: -_sign(one) * one.probed.value)


def probe_gap(one: Suited, other: Suited) -> Gap:
    """By the figure of the linear probe: both answered the same resamples of the same rows."""
    return _gap(one, other.probed.value, other.probed.resampled)


def by_chance(one: Suited) -> float:
    """The p-value that the probe's answers have nothing to do with the labels: how often its answers, dealt out to the rows at random,
    fit as well as where they belong (Ojala & Garriga 2010, "Permutation Tests for Studying Classifier Performance"). A baseline of one
    answer for all rows would not do, as F1 macro prefers guesses to it.
    """
    probed, judge = one.probed, one.probed.target.judge
    draw = np.random.default_rng(probed.seed)

    def dealt() -> float:
        return judge.metrics(probed.targets, probed.scores[draw.permutation(len(probed.scores))])[probed.figure]

    found = np.array([dealt() for _ in range(DEALS)])
    return float((1 + (_sign(one) * found >= _sign(one) * probed.value).sum()) / (1 + DEALS))


def logme_gap(one: Suited, other: Suited, rows: Sample) -> Gap:
    """By LogME. A resample with repeated rows would be taken for more evidence than it is, so halves without repetition are drawn:
    the spread of the halves' differences is the standard error of all rows' (Shao & Wu 1989, "A General Theory for Jackknife Variance
    Estimation", with half of the rows deleted).
    """
    mine, others = (_halves(each, rows) for each in (one, other))
    value, error = one.logme - other.logme, float((mine - others).std(ddof=1))
    return Gap(value, (value - NORMAL * error, value + NORMAL * error))


def short_names(names: Sequence[str]) -> dict[str, str]:
    """By name the end of it, as long as that tells all of them apart."""
    for parts in (1, 2):
        ends = {name: str(Path(*Path(name).parts[-parts:])) for name in names}
        if len(set(ends.values())) == len(ends) and "model" not in ends.values():
            return ends
    return {name: name for name in names}


def _gap(one: Suited, value: float, resampled: np.ndarray) -> Gap:
    sign = _sign(one)
    return Gap(sign * (one.probed.value - value), percentiles(sign * (one.probed.resampled - resampled)))


def _sign(one: Suited) -> int:
    judge: Judge = one.probed.target.judge
    return -1 if judge.lower_is_better(one.probed.figure) else 1


def _halves(one: Suited, rows: Sample) -> np.ndarray:
    """LogME of halves of the rows, (HALVES,): the same halves for all models."""
    draw = np.random.default_rng(rows.recipe.seed)
    count = len(one.vectors)
    halves = [draw.choice(count, count // 2, replace=False) for _ in range(HALVES)]
    return np.array([logme(one.vectors[half], rows.truth.pick(half).columns) for half in halves])
