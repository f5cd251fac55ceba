"""Memory that runs out, on whatever device: what says so, and work that goes on with fewer rows at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from accelerate.utils.memory import should_reduce_batch_size

Part = TypeVar("Part")


def out_of_memory(wrong: Exception) -> bool:
    """Whether an error says that memory has run out, on whatever device."""
    return isinstance(wrong, MemoryError | torch.OutOfMemoryError) or should_reduce_batch_size(wrong)


def in_parts(compute: Callable[[np.ndarray], Part], rows: np.ndarray) -> list[Part]:
    """What is computed of some rows; when memory runs out, of one half and of the other.

    Args:
        compute: takes numbers of rows, (rows,).
        rows: numbers of all of them, (rows,).

    Returns:
        Of each part that fitted, in the order of the rows.

    Raises:
        Exception: any other error of `compute`, and that memory does not suffice for a single row.
    """
    try:
        return [compute(rows)]
    except (RuntimeError, MemoryError) as wrong:
        if len(rows) == 1 or not out_of_memory(wrong):
            raise
    halves = np.array_split(rows, 2)  # outside of `except`, whose traceback holds the activations
    return [part for half in halves for part in in_parts(compute, half)]
