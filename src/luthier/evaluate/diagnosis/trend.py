"""What is said of a noisy curve: smoothed, its slope with an interval, its noise, and how far two means are apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from luthier.evaluate.bootstrap import draw, percentiles

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


def smoothed(values: Values, span: float) -> Values:
    """Exponentially weighted mean of each value and those before it, (values,).

    The weights of the first few are divided by their sum, so that the curve begins at its first value and not at zero: the
    correction of Kingma & Ba 2015 (Adam), section 3.

    Args:
        values: (values,).
        span: about how many values count, at least 1.
    """
    return pd.Series(values).ewm(span=span, adjust=True).mean().to_numpy()


def slope(at: Values, values: Values) -> Measured | None:
    """Median of the slopes of all pairs of points, and its interval (Theil 1950, Sen 1968); None for fewer than three points.

    One wild point moves it little. With three or four points the interval is that of all slopes there are.
    """
    from scipy.stats import theilslopes

    if len(values) < 3 or not np.isfinite(values).all():
        return None
    value, _, low, high = theilslopes(values, at, alpha=0.95)
    return Measured(float(value), float(low), float(high))


def noise(values: Values) -> float:
    """Standard deviation around the trend, from second differences, which a straight trend does not enter.

    Their median is used, so that the one bend of a learning curve counts little; sqrt(6) is their spread for unit noise and
    0.6745 the median of a half-normal variable.
    """
    return float(np.median(np.abs(np.diff(values, n=2)))) / (math.sqrt(6) * 0.6745)


def above(drawn: Values, mean: float, values: Values, seed: int) -> Measured:
    """How far a resampled mean lies above that of other values, which are resampled as well.

    Args:
        drawn: of each resample, (resamples,).
        mean: that was resampled.
        values: what it is compared with.
        seed: of their resampling.
    """
    others = np.concatenate([block @ values / len(values) for block in draw(len(values), seed, len(drawn))])
    low, high = percentiles(drawn - others)
    return Measured(mean - float(values.mean()), low, high)
