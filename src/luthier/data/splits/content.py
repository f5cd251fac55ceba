"""Division by content: the hash of a row says where it belongs, so new rows move no old one.

A row's normalised text (or the value of another column) is hashed to a number in [0, 1), and the parts are intervals of it. Where a
row goes hangs on nothing but the row, the shares and the seed: not on its place, not on the other rows. Rows with the same text are
on the same side. The price is that sizes and shares of classes are right in expectation only: of n rows a part with the share p has
n p give or take about 2 sqrt(n p (1 - p)). That is why `random`, which is exact, stays the default for data that do not grow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from luthier.data.normal import mark
from luthier.data.splits.parts import Basis, Parts, Rows
from luthier.errors import DataError

RANGE = 2.0**64


def divide(basis: Basis, parts: Parts) -> Rows:
    """Divide rows by the hash of their keys.

    The intervals of the parts that are held out come first, the last part's at 0, so that test rows stay when a validation split is
    added and when it changes its size.

    Raises:
        DataError: numbers of rows were asked for, which cannot hold when rows are added.
    """
    if parts.exact:
        raise DataError(
            "data.split: by: content divides by shares, because numbers of rows cannot stay the same when rows are added. Write "
            "data.split.parts, such as 8:1:1, in place of data.split.sizes."
        )
    names = list(reversed(parts.shares))
    edges = list(accumulate(parts.shares[name] for name in names))[:-1]
    places = np.searchsorted(edges, units(basis.keys, f"{basis.seed}/{basis.salt}"), side="right")
    return {name: np.flatnonzero(places == names.index(name)) for name in parts.shares}


def units(keys: Sequence[Any], salt: str) -> np.ndarray:
    """A number in [0, 1) for each key: the same one for keys that are the same once normalised."""
    hashes = (hashlib.blake2b(mark(str(key)), digest_size=8, salt=_salt(salt)).digest() for key in keys)
    return np.fromiter((int.from_bytes(one) / RANGE for one in hashes), dtype=float, count=len(keys))


def _salt(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
