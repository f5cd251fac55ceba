"""Two models on the same rows: whether the difference of their figures is more than chance.

Both are measured on the same resamples of the rows, so that what is easy or hard about the rows is in both and drops out of the
difference (Efron & Tibshirani 1993, chapter 16; Berg-Kirkpatrick et al. 2012, "An Empirical Investigation of Statistical
Significance in NLP"). Shares of right rows have an exact test (McNemar 1947).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from luthier.evaluate.bootstrap import Array


def mcnemar(one: Array, other: Array) -> float:
    """Exact two-sided p value of two models being right on the same share of rows, by the rows where only one of them is.

    Args:
        one: right or not, (rows,) bool.
        other: likewise, of the same rows.
    """
    from scipy.stats import binomtest

    only_one, only_other = int((one & ~other).sum()), int((~one & other).sum())
    return float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0


def two_sided(differences: Array) -> float:
    """P value of a difference being 0, from its resamples: twice the smaller share on one side of 0, 0 counted on both.

    Never below 2 / (resamples + 1), as more cannot be known from so many; 1 where nothing is known.

    Args:
        differences: (resamples,); NaN where the figure is undefined.
    """
    known = differences[np.isfinite(differences)]
    if not len(known):
        return 1.0
    below, above = int((known <= 0).sum()), int((known >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(known) + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in the same order (Holm 1979): none of them errs in more than 5 % of all tables."""
    ordered = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[ordered] * factors))
    found = np.empty(len(p_values))
    found[ordered] = corrected
    return [float(value) for value in found]


def over_seeds(values: Array, seed: int) -> Array:
    """The mean figure of a model that is trained again and scored on other rows, (resamples,).

    A resample draws rows, the same ones for all seeds, and as many seeds as there are, with replacement. Draws of k seeds vary less
    than k new trainings by a factor of (k - 1) / k, so their distance from the mean of all seeds is widened by the root of
    k / (k - 1) (Davison & Hinkley 1997, section 2.3). Of one seed nothing is known but the rows.

    Args:
        values: the figure of each seed on each resample of the rows, (seeds, resamples).
        seed: of the draws of seeds; two models that have different ones are drawn apart.
    """
    seeds, resamples = values.shape
    mean = np.asarray(values.mean(axis=0))
    if seeds == 1:
        return mean
    drawn = np.random.default_rng(seed).integers(seeds, size=(seeds, resamples))
    distance = np.take_along_axis(values, drawn, axis=0).mean(axis=0) - mean
    return np.asarray(mean + np.sqrt(seeds / (seeds - 1)) * distance)


def front(quality: Sequence[float | None], cost: Sequence[float | None], lower_is_better: bool = False) -> list[bool]:
    """Which are on the Pareto front: no other is at least as good and at most as costly, and better in one of the two.

    Args:
        quality: of each; None is on no front.
        cost: likewise; less is better.
        lower_is_better: of the quality.
    """
    sign = -1 if lower_is_better else 1
    points = [
        None if good is None or price is None else (sign * good, -price)
        for good, price in zip(quality, cost, strict=True)
    ]
    known = [point for point in points if point is not None]
    return [point is not None and not any(_beats(other, point) for other in known) for point in points]


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and one[0] >= other[0] and one[1] >= other[1]
