"""How sure a figure is: 95 % percentile intervals from 1,000 bootstrap resamples of the rows.

The same seed and number of rows draw the same resamples, so that those of two models can be compared one by one.

Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LEVEL = 95
BLOCK = 300_000
"""Numbers held at once, resamples of a block x rows: few enough for the processor's cache."""


def bootstrap(
    measure: Callable[[Array], Mapping[str, float]], rows: int, seed: int = 0, resamples: int = 1000
) -> dict[str, Array]:
    """Each figure of each resample, (resamples,), for figures that have no faster form; NaN where it is undefined.

    Args:
        measure: the figures of some rows, given by their numbers, each as often as it was drawn; what is undefined left out.
        rows: how many there are.
        seed: of the resampling.
        resamples: how many.
    """
    drawn = (times for block in draw(rows, seed, resamples) for times in block.astype(np.int64))
    found = [measure(np.repeat(np.arange(rows), times)) for times in drawn]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: np.array([one.get(name, np.nan) for one in found]) for name in names}


def draw(rows: int, seed: int, resamples: int = 1000) -> Iterator[Array]:
    """Resamples in blocks: how often each row was drawn, float64 of shape (resamples of this block, rows)."""
    generator = np.random.default_rng(seed)
    size = min(resamples, max(1, BLOCK // rows))
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        drawn = generator.integers(rows, size=(count, rows)) + rows * np.arange(count)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * count).reshape(count, rows).astype(np.float64)


def percentiles(values: Array) -> tuple[float, float]:
    """The ends of the interval; resamples in which the figure is undefined (a class was not drawn) do not count."""
    tail = (100 - LEVEL) / 2
    low, high = np.nanpercentile(values, [tail, 100 - tail])
    return float(low), float(high)
