"""Rows that say the same: equal after normalisation, or nearly so by the Jaccard similarity of their character shingles.

Near duplicates are searched by MinHash (Broder 1997) with locality-sensitive hashing in bands (Leskovec et al., Mining of Massive
Datasets, chapter 3), and every pair found is verified by its true similarity. Characters need no segmenter, so Chinese works.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import datasets
import numpy as np

from luthier.data.lsh import bands_for, link
from luthier.data.normal import mark, normal
from luthier.data.shingles import SPREAD, TOGETHER, Shingles, fold, in_file, split_up
from luthier.data.tables import scan
from luthier.errors import DataError
from luthier.extras import need

Advance = Callable[[int], object]
"""Told how many more rows are done, as the function that `Console.bar` yields."""

PASSES = {"exact": 1, "near": 3}
"""How often each search reports every row, for the total of a progress bar."""

PORTION = 2_000_000
"""Characters shingled at once."""

BLANK = mark("")


def silent(rows: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class Groups:
    """Which rows say the same; a row without text is alone."""

    first: np.ndarray
    """(rows,) int64: the first row of each row's group, its own number where it is alone."""
    equal: np.ndarray
    """(rows,) int64: the first row with the same text after normalisation."""
    crowded: int = 0
    """Rows that look like so many others that not all of them were compared; near duplicates among them may be missed."""

    @property
    def facts(self) -> dict[str, int]:
        """Counts for data.json; `exact` and `near` are rows beyond the first of their group."""
        beyond, repeated = self.first != np.arange(len(self.first)), self.equal != np.arange(len(self.equal))
        return {
            "groups": len(np.unique(self.first[beyond])),
            "exact": int(repeated.sum()),
            "near": int((beyond & ~repeated).sum()),
            "crowded": self.crowded,
        }


def in_both(one: Groups, other: Groups) -> Groups:
    """Rows that two searches, over the same rows, found to be alike."""
    first = _first_equal(np.stack([one.first, other.first], axis=1))
    equal = _first_equal(np.stack([one.equal, other.equal], axis=1))
    return Groups(first, equal, max(one.crowded, other.crowded))


def exact(dataset: datasets.Dataset, column: str, advance: Advance = silent) -> Groups:
    """Group rows whose texts are the same after `normal`. Memory grows with the number of rows, not with their length.

    Args:
        dataset: rows; passed through in batches.
        column: of text.
        advance: told of progress, each row once.
    """
    parts, row = [], 0
    for table in scan(dataset, column):
        texts = table[column].to_pylist()
        marks = (mark(text or "") for text in texts)
        parts.append(b"".join(one if one != BLANK else at.to_bytes(16) for at, one in enumerate(marks, row)))
        row += len(texts)
        advance(len(texts))
    first = _first_equal(np.frombuffer(b"".join(parts), dtype="<u8").reshape(-1, 2))
    return Groups(first, first)


def near(
    dataset: datasets.Dataset,
    column: str,
    threshold: float = 0.8,
    shingle: int = 3,
    seed: int = 0,
    advance: Advance = silent,
) -> Groups:
    """Group rows that are linked by pairs of similar texts, over any number of steps.

    Similarity is the share of common shingles among all shingles of two normalised texts; a text shorter than a shingle is one.
    Shingles wait in a temporary file that is mapped, so only numbers of a fixed size a row must stay in memory: a million texts of 80
    characters peaked at 1.3 GB, the mapped file included (benchmarks/duplicates.py).

    Args:
        dataset: rows; passed through twice in batches.
        column: of text.
        threshold: least similarity of a pair, above 0 and at most 1.
        shingle: characters in a shingle.
        seed: of the hash functions. The same seed finds the same groups.
        advance: told of progress, each row three times.

    Raises:
        DataError: the threshold or the shingle is out of range.
        ExtraError: rensa is not installed.
        DiskFullError: the cache folder has no room for the shingles (8 bytes a character).
    """
    if not 0 < threshold <= 1:
        raise DataError(f"the threshold of near duplicates must be above 0 and at most 1; got {threshold:g}.")
    if shingle < 1:
        raise DataError(f"a shingle must have at least 1 character; got {shingle}.")
    bands = bands_for(threshold)
    signer = need("rensa", extra="clean").RMinHash
    sign = partial(signer.digest_matrix_from_flat_token_hashes, num_perm=bands[0] * bands[1], seed=seed)
    equal = exact(dataset, column, advance).first
    rows = np.flatnonzero(equal == np.arange(len(equal)))
    with in_file() as shingles:
        keys = _sketch(_portions(dataset.select(rows), column), shingles, shingle, bands, sign, advance)
        advance(len(equal) - len(rows))
        ends = np.linspace(0, len(equal), bands[0] + 1).astype(int)
        steps = iter(np.diff(ends).tolist())
        labels, crowded = link(keys, shingles.done(), threshold, lambda band: advance(next(steps)))
    first = np.arange(len(equal))
    first[rows] = rows[labels]
    return Groups(first[equal], equal, crowded)


def _first_equal(marks: np.ndarray) -> np.ndarray:
    """Of 128-bit hashes (rows, 2): the first row with the same one."""
    order = np.lexsort((marks[:, 1], marks[:, 0]))  # stable: the first of a run is the first row
    ordered = marks[order]
    new = np.concatenate([np.ones(min(1, len(marks)), bool), (ordered[1:] != ordered[:-1]).any(axis=1)])
    first = np.zeros(len(marks), dtype=np.int64)
    first[order] = order[new][np.cumsum(new) - 1]
    return first


def _sketch(
    texts: Iterator[list[str]],
    shingles: Shingles,
    size: int,
    bands: tuple[int, int],
    sign: Callable[[np.ndarray, np.ndarray], Any],
    advance: Advance,
) -> np.ndarray:
    """Write the shingles of all texts and return their bands (rows, bands), each hashed to a number."""
    keys = [np.zeros((0, bands[0]), dtype=np.uint64)]
    for portion in texts:
        hashes, counts = split_up(portion, size)
        shingles.add(hashes, counts)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.uint64)
        matrix = sign(hashes * SPREAD, offsets)  # spread over all 64 bits, as hashes should be
        signatures = np.array(matrix.to_rows(), dtype=np.uint64).reshape(len(portion), *bands)
        keys.append(fold(np.moveaxis(signatures, 2, 0)))
        advance(len(portion))
    return np.concatenate(keys)


def _portions(dataset: datasets.Dataset, column: str) -> Iterator[list[str]]:
    """Normalised texts, a limited number and length at once."""
    portion: list[str] = []
    characters = 0
    for table in scan(dataset, column):
        for text in table[column].to_pylist():
            plain = normal(text or "")
            if portion and (characters + len(plain) > PORTION or len(portion) == TOGETHER):
                yield portion
                portion, characters = [], 0
            portion.append(plain)
            characters += len(plain)
    if portion:
        yield portion
