"""The linear probe of a task: how well a linear model of frozen vectors answers rows that it has not seen.

Alain & Bengio 2016, "Understanding intermediate layers using linear classifier probes". Which model is linear is the target's to say
(`Target.linear`): logistic regression of classes, ridge regression of numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from luthier.data.probe import FOLDS, STRENGTH, folds
from luthier.data.strata import shared
from luthier.errors import DataError
from luthier.evaluate.bootstrap import percentiles
from luthier.tasks import Target

STRENGTHS = (1.0, 1 / 30, 1 / STRENGTH)
"""Of the regularisation, as `Target.linear` takes it: vectors of 64 numbers and of 1,280 want different ones."""
FEWEST = 20
"""Rows of which something can be said."""


@dataclass(frozen=True)
class Probed:
    """What a linear probe answers to each row."""

    target: Target
    targets: np.ndarray
    """Of the rows, encoded."""
    scores: np.ndarray
    """What each row gets from a model that was fitted without it and its copies, as `Target.scores` gives them."""
    strength: float
    """The best of `STRENGTHS` by the same rows: chosen among so few, it flatters by less than the interval is wide."""
    seed: int

    @property
    def figure(self) -> str:
        """Name of the figure that the task watches, such as `f1_macro`."""
        return self.target.judge.monitor

    @cached_property
    def value(self) -> float:
        """The figure."""
        return self.target.judge.metrics(self.targets, self.scores)[self.figure]

    @property
    def interval(self) -> tuple[float, float]:
        """Of the figure, 95 %, by the bootstrap over rows."""
        return percentiles(self.resampled)

    @cached_property
    def resampled(self) -> np.ndarray:
        """The figure of each resample, (resamples,): the same resamples for all models of the same rows."""
        return self.target.judge.resampled(self.targets, self.scores, self.seed)[self.figure]


def probe(
    target: Target, vectors: np.ndarray, labels: Sequence[Any], groups: np.ndarray | None = None, seed: int = 0
) -> Probed:
    """Fit a linear model to four fifths of the rows and let it answer the fifth that is left, five times.

    Args:
        target: learned from these labels or more.
        vectors: (rows, width), as `embed` gives them.
        labels: of the rows, as the data has them.
        groups: equal for rows that are copies of each other, which are in one fold. Default: there are none.
        seed: of the folds, and of the resamples of the interval.

    Raises:
        DataError: there are too few rows, or of classes fewer than two that are in all folds; or the task has no linear model.
    """
    groups = np.arange(len(labels)) if groups is None else groups
    counts = enough(labels, groups)
    fold = folds(_strata(labels, counts), groups, seed)
    targets, judge = target.encode(labels), target.judge
    sign = -1 if judge.lower_is_better(judge.monitor) else 1
    tried = {one: _out_of_fold(target, vectors, targets, fold, one) for one in STRENGTHS}
    best = max(tried, key=lambda one: sign * judge.metrics(targets, tried[one])[judge.monitor])
    return Probed(target, targets, tried[best], best, seed)


def _out_of_fold(
    target: Target, vectors: np.ndarray, targets: np.ndarray, fold: np.ndarray, strength: float
) -> np.ndarray:
    """Scores of all rows, in their order, by models that have not seen them.

    Raises:
        DataError: the task has no linear model.
    """
    from sklearn.preprocessing import StandardScaler

    parts, places = [], []
    for number in range(FOLDS):
        fit, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        scaler = StandardScaler().fit(vectors[fit])
        model = target.linear(scaler.transform(vectors[fit]), targets[fit], strength)
        if model is None:
            raise DataError("There is no linear model of this task's answers, so nothing can be probed.")
        parts.append(model.scores(scaler.transform(vectors[held])))
        places.append(held)
    scores: np.ndarray = np.concatenate(parts)[np.argsort(np.concatenate(places))]
    return scores


def enough(labels: Sequence[Any], groups: np.ndarray) -> Counter[str]:
    """How many rows share what, copies counted once, where that is enough to say something.

    Args:
        labels: as in `probe`.
        groups: likewise.

    Raises:
        DataError: there are too few rows, or too few with another label than the most common.
    """
    names = _names(labels)
    counts = Counter(names[place] for place in np.unique(groups, return_index=True)[1])
    rows = counts.total()
    if rows < FEWEST:
        raise DataError(f"A linear probe takes {FEWEST} rows of which no two are alike, and there are {rows}.")
    common, most = counts.most_common(1)[0]
    if rows - most < FOLDS:
        raise DataError(
            f"A linear probe takes {FOLDS} rows with another label than the most common, {common!r}, and there are {rows - most}."
        )
    return counts


def _names(labels: Sequence[Any]) -> list[str]:
    """What rows share: their label, the set of their labels, or the fifth of the rows that their number is in."""
    return [str(one) for one in shared(labels)]


def _strata(labels: Sequence[Any], counts: Counter[str]) -> np.ndarray:
    """Integers, equal for rows of which every fold should have its share; what fewer than `FOLDS` rows share is one stratum."""
    numbers = {name: place for place, (name, count) in enumerate(counts.most_common(), 1) if count >= FOLDS}
    strata = np.array([numbers.get(name, 0) for name in _names(labels)], dtype=np.int64)
    if numbers and sum(count for name, count in counts.items() if name not in numbers) < FOLDS:
        strata[strata == 0] = 1
    return strata
