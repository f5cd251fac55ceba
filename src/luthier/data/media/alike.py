"""Rows whose images or sounds are the same, and images that look alike by the Hamming distance of their perceptual hashes.

Pairs within a distance d are found by multi-index hashing (Norouzi, Punjani, Fleet: Fast Search in Hamming Space with Multi-Index
Hashing, CVPR 2012, section 3): of 4 bands of 16 bits one differs in at most d // 4 bits, so only rows whose bands are that near
are compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from luthier.data.duplicates import Groups
from luthier.data.media.examined import Examined
from luthier.errors import DataError

DISTANCE = 5
"""Bits: Krawetz, who described this hash (hackerfactor.com, Looks Like It, 2011), takes 5 for pictures that are probably the same but
for a few things, and 10 or more for different ones. Of the 79,003 pairs of ants_bees none is within 12; its photographs saved as
JPEG of quality 20, made grey, or a quarter as wide are all within 4, and 99% of them made 1.2 times as bright."""

BANDS, WIDTH = 4, 16
FARTHEST = 3 * BANDS - 1
"""Bits that are searched: further ones would compare each band with most others."""

TOGETHER = 4_000_000
"""Pairs compared at once."""

PRICE = 10
"""How many times as long it takes to find and compare a pair by its bands as to compare one of all pairs in order."""


def groups(examined: Examined, distance: int = DISTANCE) -> Groups:
    """Group rows with the same content, and rows that are linked by pairs of hashes which differ in few bits.

    Args:
        examined: the rows; those that cannot be used are alone.
        distance: most bits, of 64, in which a pair may differ, from 0 to 11.

    Raises:
        DataError: the distance is out of range.
    """
    if not 0 <= distance <= FARTHEST:
        raise DataError(f"the distance of images that look alike must be from 0 to {FARTHEST} bits; got {distance}.")
    equal = _equal(examined)
    if examined.alike is None:
        return Groups(equal, equal)
    hashed = np.flatnonzero(examined.alike)
    hashes, owner = np.unique(examined.alike[hashed], return_inverse=True)
    code = np.arange(len(equal)) + len(hashes)
    code[hashed] = _linked(hashes, distance)[owner]
    return Groups(_first(code)[equal], equal)


def _equal(examined: Examined) -> np.ndarray:
    """For each row the first with the same content."""
    code = np.unique(examined.content.astype(str), return_inverse=True)[1]
    unusable = np.flatnonzero(examined.content == "")
    code[unusable] = len(code) + unusable
    return _first(code)


def _first(codes: np.ndarray) -> np.ndarray:
    """For each row the first that has its code."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _linked(hashes: np.ndarray, distance: int) -> np.ndarray:
    """A label for each of some distinct hashes, the same for those that are connected by near pairs."""
    labels = np.arange(len(hashes))
    for left, right in _near(hashes, distance):
        apart = labels[left] != labels[right]
        if apart.any():
            labels = _merged(labels, labels[left[apart]], labels[right[apart]])
    return labels


def _merged(labels: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    edges = coo_array((np.ones(len(left), dtype=bool), (left, right)), shape=(len(labels),) * 2)
    return np.asarray(connected_components(edges, directed=False)[1][labels])


def _near(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """Pairs (2, pairs) that differ in at most `distance` bits, a limited number at once; some come several times."""
    bands = [_Band(hashes, band, distance // BANDS) for band in range(BANDS)]
    if PRICE * sum(band.pairs for band in bands) > len(hashes) ** 2 / 2:
        yield from _near_of_all(hashes, distance)
        return
    for band in bands:
        for left, right in band.joined():
            near = np.bitwise_count(hashes[left] ^ hashes[right]) <= distance
            yield np.stack([left[near], right[near]])


def _near_of_all(hashes: np.ndarray, distance: int) -> Iterator[np.ndarray]:
    """The same by comparing every row with every later one."""
    height = max(1, TOGETHER // len(hashes))
    for start in range(0, len(hashes), height):
        differ = np.bitwise_count(hashes[start : start + height, None] ^ hashes[None, start:])
        yield np.stack(np.nonzero(np.triu(differ <= distance, 1))) + start


class _Band:
    """The rows in the order of one band of their hashes."""

    def __init__(self, hashes: np.ndarray, number: int, radius: int) -> None:
        band = (hashes >> np.uint64(number * WIDTH)).astype(np.uint16)
        self._order = np.argsort(band, kind="stable")
        self._values = band[self._order].astype(np.int64)
        self._starts = np.searchsorted(self._values, np.arange((1 << WIDTH) + 1))
        self._masks = _masks(radius)

    @property
    def pairs(self) -> int:
        """How many `joined` gives."""
        return sum(int(self._partners(mask)[1].sum()) for mask in self._masks)

    def joined(self) -> Iterator[np.ndarray]:
        """Pairs (2, pairs) of rows whose bands differ in one of the masks, each once."""
        for mask in self._masks:
            begin, counts = self._partners(mask)
            ends = np.cumsum(counts)
            cuts = np.searchsorted(ends, np.arange(TOGETHER, ends[-1] if len(ends) else 0, TOGETHER))
            for places in np.split(np.arange(len(counts)), cuts):
                each = counts[places]
                inside = np.arange(each.sum()) - np.repeat(np.cumsum(each) - each, each)
                right = np.repeat(begin[places], each) + inside
                yield self._order[np.stack([np.repeat(places, each), right])]

    def _partners(self, mask: int) -> tuple[np.ndarray, np.ndarray]:
        """For each place the first place behind it whose band is its own but for `mask`, and how many there are."""
        other = self._values ^ mask
        begin = np.maximum(self._starts[other], np.arange(1, len(other) + 1))
        return begin, np.maximum(self._starts[other + 1] - begin, 0)


def _masks(radius: int) -> list[int]:
    """Bands with at most `radius` bits set."""
    return [sum(1 << bit for bit in bits) for count in range(radius + 1) for bits in combinations(range(WIDTH), count)]
