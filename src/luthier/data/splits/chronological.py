"""Division by time: what is held out is never older than what is trained on."""

from __future__ import annotations

import numpy as np

from luthier.data.dates import moments
from luthier.data.splits.parts import Basis, Parts, Rows
from luthier.errors import DataError


def divide(basis: Basis, parts: Parts) -> Rows:
    """Give the oldest rows to the first part and the latest to the last; rows of the same moment stay together.

    Each border is put between two moments, as near to the asked size as the rows of a moment allow.

    Raises:
        DataError: a date cannot be read, or there are fewer different dates than parts.
    """
    numbers = basis.numbers if len(basis.numbers) else range(len(basis.keys))
    when = moments(basis.keys, basis.column, np.asarray(numbers), basis.format)
    distinct, which, counts = np.unique(when, return_inverse=True, return_counts=True)
    if len(distinct) < len(parts.shares):
        raise DataError(
            f"Column {basis.column!r} has {len(distinct)} different dates, and {len(parts.shares)} parts ({', '.join(parts.shares)}) need "
            "as many. Divide into fewer parts, or by: random."
        )
    edges = _edges(np.cumsum(counts), np.cumsum(parts.targets(len(when))))
    places = np.searchsorted(edges, which, side="left")
    return {name: np.flatnonzero(places == place) for place, name in enumerate(parts.shares)}


def _edges(reached: np.ndarray, wanted: np.ndarray) -> list[int]:
    """The last moment of every part but the last.

    Args:
        reached: rows up to and with each moment, (moments,).
        wanted: rows up to and with each part, (parts,).
    """
    edges: list[int] = []
    for place, rows in enumerate(wanted[:-1]):
        first = edges[-1] + 1 if edges else 0
        stop = len(reached) - (len(wanted) - 1 - place)  # every later part needs a moment of its own
        edges.append(first + int(np.argmin(np.abs(reached[first:stop] - rows))))
    return edges
