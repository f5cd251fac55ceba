"""How much better one trial is than another, by the same resamples of the validation rows, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.auto.ledger import Probed, Resampled, Score, Trial
from luthier.evaluate.bootstrap import Array, percentiles


@dataclass(frozen=True)
class Gain:
    """A difference; above 0 the first one is better, whichever way the figure goes."""

    value: float
    interval: tuple[float, float] | None
    """95 %; None where nothing is known."""

    @property
    def sure(self) -> bool:
        """Whether the rows show that the first one is better."""
        return self.interval is not None and self.interval[0] > 0

    @property
    def hopeless(self) -> bool:
        """Whether the rows show that it is worse."""
        return self.interval is not None and self.interval[1] < 0

    @property
    def level(self) -> bool:
        """Whether the rows do not show that it is worse."""
        return self.interval is not None and not self.hopeless

    @property
    def said(self) -> str:
        """For people."""
        if self.interval is None:
            return f"{self.value:+.4f}"
        return f"{self.value:+.4f} (95 % interval {self.interval[0]:+.4f} to {self.interval[1]:+.4f})"


@dataclass(frozen=True)
class Scale:
    """Which way the figure goes."""

    lower_is_better: bool

    @property
    def sign(self) -> int:
        """1 where more is better."""
        return -1 if self.lower_is_better else 1

    def gain(self, one: Score | Probed, other: Score | Probed, more: float = 0.0) -> Gain:
        """How much better one is than the other.

        Args:
            one: with a value.
            other: likewise.
            more: that the first is hoped to gain yet, at least 0.
        """
        value = self.sign * ((one.value or 0.0) - (other.value or 0.0)) + more
        differences = self.sign * _apart(one.resampled, other.resampled) + more
        return Gain(value, percentiles(differences) if np.isfinite(differences).any() else None)

    def ranked(self, trials: Sequence[Trial], rung: int) -> list[tuple[Trial, Score]]:
        """Those that have a score at the end of a rung, the best first; of equal ones the earlier."""
        scored = [(one, score) for one in trials if not one.failed and (score := one.at(rung)) is not None]
        return sorted(scored, key=lambda pair: (-self.sign * pair[1].value, pair[0].number))

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The one to take, by the furthest that each came: of those that the rows do not tell from the leader, the lowest loss.

        A loss says of each row how likely the answer is, and not only whether it is right, so that few rows tell more by it.
        """
        leader = self.leader(trials)
        if leader is None or leader.scores[-1].loss is None:
            return leader
        scored = [one for one in trials if one.scores and not one.failed]
        level = [one for one in scored if one is leader or self.gain(one.scores[-1], leader.scores[-1]).level]
        return min(level, key=lambda one: (_loss(one), one is not leader, one.number))

    def leader(self, trials: Sequence[Trial]) -> Trial | None:
        """The best by the figure alone; of equal ones the earlier."""
        scored = [one for one in trials if one.scores and not one.failed]
        return min(scored, key=lambda one: (-self.sign * one.scores[-1].value, one.number), default=None)

    def hope(self, trials: Sequence[Trial], rung: int) -> float | None:
        """The most that a trial has gained from the end of a rung to its own, at least 0; None where none has been measured at both."""
        pairs = [(one.at(rung), one.last) for one in trials if one.whole and not one.failed]
        gains = [self.sign * (end.value - begun.value) for begun, end in pairs if begun and end and not begun.whole]
        return max(0.0, *gains) if gains else None


def _apart(one: Resampled, other: Resampled) -> Array:
    """Differences on the same resamples; empty where one of both has none."""
    if len(one) != len(other):
        return np.array([])
    return np.array(one, dtype=np.float64) - np.array(other, dtype=np.float64)


def _loss(one: Trial) -> float:
    known = one.scores[-1].loss
    return math.inf if known is None else known
