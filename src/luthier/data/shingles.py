"""Character shingles as numbers, kept in a file, and the true Jaccard similarity of many pairs at once."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import numpy as np

from luthier.cache import cache_folder
from luthier.errors import DiskFullError

BITS = 50
"""Of a shingle's hash; the 14 above them number the rows or pairs worked on at once."""

MASK = np.uint64((1 << BITS) - 1)

TOGETHER = 1 << (64 - BITS)
"""Most rows or pairs worked on at once."""

AT_ONCE = 4_000_000
"""Shingles compared at once."""

BASE, SPREAD = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
"""Odd multipliers of the polynomial over code points and of the final mixing (Steele et al. 2014, SplitMix)."""


def split_up(texts: Sequence[str], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The different shingles of each text.

    Args:
        texts: at most `TOGETHER` of them.
        size: characters in a shingle. A shorter text is a single shingle; an empty one has none.

    Returns:
        Hashes of all texts behind one another, ascending within each, and how many each text has.
    """
    padded = "".join(text + "\0" * (size - 1) for text in texts)
    codes = np.frombuffer(padded.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    starts = np.cumsum(lengths + size - 1) - (lengths + size - 1)
    counts = np.where(lengths > 0, np.maximum(lengths - size + 1, 1), 0)
    packed = np.repeat(np.arange(len(texts), dtype=np.uint64) << np.uint64(BITS), counts)
    windows = max(len(codes) - size + 1, 0)
    hashes = fold(codes[offset : offset + windows] for offset in range(size))
    packed |= hashes[ranges(starts, counts)] >> np.uint64(64 - BITS)
    packed.sort()
    packed = packed[np.concatenate([np.ones(min(1, len(packed)), bool), packed[1:] != packed[:-1]])]
    return packed & MASK, np.bincount((packed >> np.uint64(BITS)).astype(np.int64), minlength=len(texts))


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`counts[0]` numbers from `starts[0]` on, then `counts[1]` from `starts[1]` on, and so forth."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(counts.sum())


def fold(columns: Iterable[np.ndarray]) -> np.ndarray:
    """One 64-bit hash of what stands at the same place in several arrays of uint64 of one shape."""
    total: np.ndarray = np.zeros(1, dtype=np.uint64)
    for column in columns:
        total = total * BASE + column
    total = (total ^ (total >> np.uint64(30))) * SPREAD
    mixed: np.ndarray = (total ^ (total >> np.uint64(27))) * BASE
    return mixed


class Shingles:
    """Shingle hashes of many rows in a file, 8 bytes each."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._counts: list[np.ndarray] = []

    def add(self, hashes: np.ndarray, counts: np.ndarray) -> None:
        """Append rows as `split_up` gives them.

        Raises:
            DiskFullError: the cache folder has no room for them.
        """
        try:
            self._file.write(hashes.tobytes())
        except OSError as failed:
            if failed.errno != errno.ENOSPC:
                raise
            raise DiskFullError(
                f"The disk is full: {cache_folder()} has no room for the shingles of near duplicates. Free some space there, or set "
                "LUTHIER_CACHE to a folder on another disk."
            ) from failed
        self._counts.append(counts)

    def done(self) -> Pairs:
        """All rows added so far, ready to be compared."""
        self._file.flush()
        counts = np.concatenate([np.zeros(0, np.int64), *self._counts])
        hashes = np.memmap(self._file, dtype=np.uint64, mode="r") if counts.any() else np.zeros(0, np.uint64)
        return Pairs(hashes, counts)


@contextmanager
def in_file() -> Iterator[Shingles]:
    """Shingles in a file of the cache folder that is gone afterwards."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_folder()) as file:
        yield Shingles(file)


class Pairs:
    """Compares rows by their shingles."""

    def __init__(self, hashes: np.ndarray, counts: np.ndarray) -> None:
        self._hashes = hashes
        self.counts = counts
        self._starts = np.cumsum(counts) - counts

    def alike(self, left: np.ndarray, right: np.ndarray, threshold: float) -> np.ndarray:
        """Whether the similarity of each pair of rows reaches the threshold.

        Args:
            left: (pairs,) row numbers in the order they were added.
            right: the other row of each pair; both rows have shingles.
            threshold: least similarity.
        """
        small, large = np.sort([self.counts[left], self.counts[right]], axis=0)
        possible = np.flatnonzero(small >= threshold * large)  # no more shingles can be shared than the shorter has
        answer = np.zeros(len(left), dtype=bool)
        for part in self._portions(left, right, possible):
            shared = self._shared(left[part], right[part])
            answer[part] = shared >= threshold * (self.counts[left[part]] + self.counts[right[part]] - shared)
        return answer

    def _portions(self, left: np.ndarray, right: np.ndarray, pairs: np.ndarray) -> list[np.ndarray]:
        ends = np.cumsum(self.counts[left[pairs]] + self.counts[right[pairs]])
        most = np.arange(len(pairs)) // TOGETHER
        cuts = np.flatnonzero(np.diff(ends // AT_ONCE) | np.diff(most)) + 1
        return np.split(pairs, cuts) if len(pairs) else []

    def _shared(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """How many shingles each pair has in common."""
        packed = np.concatenate([self._numbered(left), self._numbered(right)])
        packed.sort()
        twice = packed[1:][packed[1:] == packed[:-1]] >> np.uint64(BITS)
        return np.bincount(twice.astype(np.int64), minlength=len(left))

    def _numbered(self, rows: np.ndarray) -> np.ndarray:
        counts = self.counts[rows]
        pairs = np.repeat(np.arange(len(rows), dtype=np.uint64) << np.uint64(BITS), counts)
        numbered: np.ndarray = pairs | self._hashes[ranges(self._starts[rows], counts)]
        return numbered
