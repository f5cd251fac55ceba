"""The rows most similar to some rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def nearest(vectors: np.ndarray, wanted: Sequence[int], count: int) -> list[list[int]]:
    """The rows nearest to some rows by cosine, nearest first, each row itself left out.

    Args:
        vectors: of all rows, (rows, width).
        wanted: places of the rows in question.
        count: how many rows for each; fewer where there are no more.
    """
    from sklearn.neighbors import NearestNeighbors

    if not len(wanted):
        return []
    search = NearestNeighbors(n_neighbors=min(count + 1, len(vectors)), metric="cosine", algorithm="brute").fit(vectors)
    near = search.kneighbors(vectors[list(wanted)], return_distance=False)
    return [[int(one) for one in row if one != own][:count] for row, own in zip(near, wanted, strict=True)]
