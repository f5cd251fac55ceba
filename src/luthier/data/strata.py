"""What rows are divided by, so that every part has its share of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from luthier.data.answers import Answer
from luthier.data.labels import measured

FIFTHS = (0.2, 0.4, 0.6, 0.8)


def shared(labels: Sequence[Any]) -> Sequence[Any]:
    """Labels that many rows share, to divide rows by.

    Of numbers the fifth of the rows that each lies in, by the first of several; of several labels or tags each once; of answers in
    free words nothing.
    """
    if labels and isinstance(labels[0], list):
        return [sorted(set(one)) for one in labels]
    if not measured(labels):
        return labels
    if isinstance(labels[0], Answer):
        return [""] * len(labels)
    numbers = np.array([next(iter(one.values())) if isinstance(one, dict) else one for one in labels])
    edges = np.unique(np.quantile(numbers, FIFTHS))
    return [int(place) for place in np.searchsorted(edges, numbers, side="right")]
