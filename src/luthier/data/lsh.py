"""Locality-sensitive hashing in bands: rows with a band in common are compared, and those that are alike are linked.

Leskovec, Rajaraman, Ullman: Mining of Massive Datasets, section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from luthier.data.shingles import Pairs

PERMUTATIONS = 128
"""Most hash functions of a signature."""

RECALL = 0.99
"""Least chance that a pair right at the threshold is compared."""

WINDOW = 32
"""Rows with one band in common are compared with this many of those beside them; where there are more they are crowded."""


def bands_for(threshold: float) -> tuple[int, int]:
    """Bands, and hash functions in each: as many in each as still find a pair at the threshold with the chance `RECALL`.

    Of two rows with similarity s a band of r hashes agrees with chance s^r, one of b bands with 1 - (1 - s^r)^b.
    """
    for each in range(PERMUTATIONS, 1, -1):
        if 1 - (1 - threshold**each) ** (PERMUTATIONS // each) >= RECALL:
            return PERMUTATIONS // each, each
    return PERMUTATIONS, 1


def link(keys: np.ndarray, pairs: Pairs, threshold: float, advance: Callable[[int], object]) -> tuple[np.ndarray, int]:
    """Groups of rows that are connected by pairs with a band in common and at least the threshold's similarity.

    Args:
        keys: (rows, bands) uint64, a hash of each band.
        pairs: compares rows. Rows without shingles stay alone.
        threshold: least similarity.
        advance: called after every band with its number.

    Returns:
        For each row the first row of its group, and how many rows were crowded: not compared with all they share a band with.
    """
    labels = np.arange(len(keys))
    crowded = np.zeros(keys.shape, dtype=bool)
    missed = np.zeros(len(keys), dtype=bool)
    filled = np.flatnonzero(pairs.counts)
    for band in range(keys.shape[1]):
        members, buckets = _buckets(keys, band, filled)
        crowded[members, band] = _sizes(buckets) > WINDOW + 1
        for distance in range(1, WINDOW + 1):
            members, buckets = _unsettled(members, buckets, labels, distance)
            if not len(members):
                break
            left, right = _beside(members, buckets, labels, distance)
            fresh = ~_compared(keys, crowded, left, right, band)
            left, right = left[fresh], right[fresh]
            alike = pairs.alike(left, right, threshold)
            if alike.any():
                labels = _merged(labels, left[alike], right[alike])
        missed[_unsettled(members, buckets, labels, WINDOW + 1)[0]] = True
        advance(band)
    return labels, int(missed.sum())


def _buckets(keys: np.ndarray, band: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows that share a band with others, and the ascending numbers of their buckets.

    Inside a bucket they are sorted by the next band, so that in crowded ones the more similar stand side by side.
    """
    order = rows[np.argsort(keys[rows, band], kind="stable")]
    same = keys[order[1:], band] == keys[order[:-1], band]
    members = order[np.append(same, False) | np.append(False, same)] if len(order) else order
    following = keys[members, (band + 1) % keys.shape[1]]
    here = keys[members, band]
    sort = np.lexsort((members, following, here))
    return members[sort], np.cumsum(np.diff(here[sort], prepend=here[sort][:1]) != 0)


def _sizes(buckets: np.ndarray) -> np.ndarray:
    """For each member, how many its bucket has."""
    _, inverse, counts = np.unique(buckets, return_inverse=True, return_counts=True)
    sizes: np.ndarray = counts[inverse]
    return sizes


def _unsettled(
    members: np.ndarray, buckets: np.ndarray, labels: np.ndarray, distance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Without the buckets that have no more than `distance` members or lie in one group already."""
    if not len(members):
        return members, buckets
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
    sizes = np.diff(starts, append=len(members))
    groups = labels[members]
    mixed = np.minimum.reduceat(groups, starts) != np.maximum.reduceat(groups, starts)
    left = np.repeat(mixed & (sizes > distance), sizes)
    return members[left], buckets[left]


def _beside(
    members: np.ndarray, buckets: np.ndarray, labels: np.ndarray, distance: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of one bucket and of different groups, `distance` places from each other."""
    left, right = members[:-distance], members[distance:]
    wanted = (buckets[:-distance] == buckets[distance:]) & (labels[left] != labels[right])
    return left[wanted], right[wanted]


def _compared(keys: np.ndarray, crowded: np.ndarray, left: np.ndarray, right: np.ndarray, band: int) -> np.ndarray:
    """Whether the two rows of each pair met in an earlier band, in a bucket where all were compared."""
    met = np.zeros(len(left), dtype=bool)
    for earlier in range(band):
        met |= (keys[left, earlier] == keys[right, earlier]) & ~crowded[left, earlier]
    return met


def _merged(labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Labels after the groups of each pair became one, which bears its smallest label."""
    nodes, ends = np.unique(labels[np.concatenate([left, right])], return_inverse=True)
    edges = (np.ones(len(left), dtype=bool), (ends[: len(left)], ends[len(left) :]))
    _, component = connected_components(coo_array(edges, shape=(len(nodes), len(nodes))), directed=False)
    smallest = np.full(len(nodes), len(labels))
    np.minimum.at(smallest, component, nodes)
    renamed = np.arange(len(labels))
    renamed[nodes] = smallest[component]
    merged: np.ndarray = renamed[labels]
    return merged
