"""How far annotators agree beyond chance: Krippendorff's alpha."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from luthier import extras

CELLS = 2**24
"""Most units x values x values that the package may lay out in memory (8 bytes each); above it, units are drawn evenly."""


@dataclass(frozen=True)
class Agreement:
    """Krippendorff's alpha of one column."""

    alpha: float | None
    """1 is perfect, 0 is chance, below 0 is worse; None where it is not defined: everybody always said the same."""
    level: str
    """How far apart two answers are: nominal, ordinal, interval, or MASI for sets (Passonneau 2006)."""
    units: int
    """Rows, or characters, with answers of at least two annotators that it was measured on."""


def measure(answers: Sequence[Sequence[Hashable]], level: str, times: Sequence[int] | None = None) -> Agreement | None:
    """Krippendorff's alpha (Content Analysis, 2004, chapter 11) of the answers that each unit was given.

    Args:
        answers: for each unit the answers of its annotators, one each, in any order; sets as `frozenset`.
        level: `nominal`, `ordinal`, `interval` or `masi`.
        times: how often each unit occurs, as the characters of a text do that were answered alike; None for once each.

    Returns:
        None when no unit has two answers.

    Raises:
        ExtraError: the package krippendorff is not installed.
    """
    often = np.ones(len(answers), dtype=np.int64) if times is None else np.asarray(times)
    pairs = [index for index, unit in enumerate(answers) if len(unit) > 1 and often[index]]
    if not pairs:
        return None
    paired, often = [answers[index] for index in pairs], often[pairs]
    domain = _in_order({answer for unit in paired for answer in unit})
    if len(domain) == 1:
        return Agreement(None, level, int(often.sum()))
    drawn = _thinned(often, len(domain))
    used = [paired[index] for index in np.unique(drawn)]
    krippendorff = extras.need("krippendorff", extra="exchange")
    domain = _in_order({answer for unit in used for answer in unit})
    numbers = domain if level in {"ordinal", "interval"} else list(range(len(domain)))
    alpha = krippendorff.alpha(
        value_counts=_counts(used, domain)[np.unique(drawn, return_inverse=True)[1]],
        value_domain=numbers,
        level_of_measurement=_masi(domain) if level == "masi" else level,
    )
    return Agreement(float(alpha), level, len(drawn))


def _in_order(values: set[Hashable]) -> list[Any]:
    """Numbers by size, all else by its text, so that nothing hangs on the order of a set."""
    if all(isinstance(value, int | float) for value in values):
        return sorted(values, key=float)
    return sorted(values, key=lambda value: sorted(map(str, value)) if isinstance(value, frozenset) else [str(value)])


def _thinned(times: np.ndarray, values: int) -> np.ndarray:
    """Numbers of the units, each as often as it occurs; evenly drawn where they are too many."""
    most, total = max(1000, CELLS // values**2), int(times.sum())
    places = np.arange(total) if total <= most else np.linspace(0, total - 1, most).astype(np.int64)
    return np.searchsorted(np.cumsum(times), places, side="right")


def _counts(units: Sequence[Sequence[Hashable]], domain: Sequence[Hashable]) -> np.ndarray:
    """(units, values): how many annotators gave this unit that value."""
    place: Mapping[Hashable, int] = {value: index for index, value in enumerate(domain)}
    counts = np.zeros((len(units), len(domain)), dtype=np.int64)
    for row, unit in enumerate(units):
        for answer in unit:
            counts[row, place[answer]] += 1
    return counts


def _masi(domain: Sequence[frozenset[str]]) -> Callable[..., np.ndarray]:
    """Distance of two sets: 1 - Jaccard x (1 same, 2/3 one within the other, 1/3 overlapping, 0 apart) (Passonneau 2006)."""
    table = np.array([[masi(one, other) for other in domain] for one in domain])
    return lambda v1, v2, i1, i2, n_v, dtype=np.float64: table[i1, i2].astype(dtype)


def masi(one: frozenset[str], other: frozenset[str]) -> float:
    """MASI distance of two sets of labels, 0 (the same) to 1 (nothing in common)."""
    if one == other:
        return 0.0
    shared = len(one & other)
    weight = 2 / 3 if one <= other or other <= one else 1 / 3
    return 1 - weight * shared / len(one | other)
