"""Cut the rows of one optimiser step into micro-batches of similar length.

A batch padded to its longest row computes mostly padding when lengths vary. Sorted by length and cut into a few calls,
the same rows give the same summed gradient with less work. Where to cut is a shortest path, solved exactly: a call
costs its padded tokens plus a constant, `CALL_COST`.

The cuts depend on the lengths and on constants only, never on a clock: a resumed run adds up the same floats.
"""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

CALL_COST = {"cpu": 100.0, "cuda": 4096.0, "mps": 2048.0}
"""What one forward and backward call costs beside its tokens, in tokens, by kind of device.

cpu: measured on MiniLM, two runs each, processor seconds per step of 32 reviews: 60 2.62, 100 2.37 to 2.88, 200 2.40,
320 2.60. Flat, so the lower price, which needs less memory. It is nearly the same for small and large models, because what
a call pays (adding up the gradient of every weight) and what a token pays (multiplying by every weight) both grow with the
weights.
cuda, mps: not measured; some 10 ms of kernel launches at half a million tokens a second.
"""

FEW = 0.1
"""Share of weights that train below which adding up their gradients is no longer what a call costs."""
FEW_TOKENS = {"cpu": 512}
"""Most padded tokens of a training call where few weights train, by kind of device: no slower, and activations are nearly all that
such methods take. LoRA on MiniLM, rows of up to 256 tokens: 18.4 processor seconds at 512 and 18.1 without a limit, 150 MB less.
"""

TOKENS_PER_CALL = 4096
"""Padded tokens of one forward call in scoring: on a CPU more is no faster and takes more memory (benchmarks/call_size.py)."""


def cut(lengths: NDArray[np.integer], cost: float, max_tokens: int | None = None) -> list[NDArray[np.intp]]:
    """Divide rows into micro-batches so that padded tokens plus `cost` per micro-batch are least.

    The longest rows come first: memory peaks in the first call or never.

    Args:
        lengths: tokens of each row, (rows,).
        cost: price of a call, in tokens; see `CALL_COST`.
        max_tokens: most padded tokens (rows x longest row) in a micro-batch; a longer row stands alone.

    Returns:
        Positions in `lengths`, one array a micro-batch; every row is in exactly one.
    """
    order = _longest_first(lengths)
    if len(order) and lengths.min() == lengths.max() and len(order) * int(lengths[0]) <= (max_tokens or math.inf):
        return [order]
    start = _last_starts(lengths[order].astype(np.float64), cost, max_tokens)
    ends = []
    end = len(order)
    while end > 0:
        ends.append(end)
        end = int(start[end])
    return [order[first:last] for first, last in pairwise([0, *reversed(ends)])]


def sorted_groups(lengths: NDArray[np.integer], max_tokens: int) -> list[NDArray[np.intp]]:
    """Divide a whole split into batches of similar length, longest first, each filled up to `max_tokens` padded tokens.

    Args:
        lengths: tokens of each row, (rows,).
        max_tokens: most padded tokens (rows x longest row) in a batch; a longer row stands alone.

    Returns:
        Positions in `lengths`, one array a batch; every row is in exactly one.
    """
    order = _longest_first(lengths)
    groups = []
    first = 0
    while first < len(order):
        rows = max(1, max_tokens // max(1, int(lengths[order[first]])))
        groups.append(order[first : first + rows])
        first += rows
    return groups


def fill(lengths: NDArray[np.integer], max_tokens: int | None) -> list[NDArray[np.intp]]:
    """Divide rows that are joined and not padded into as few micro-batches as hold them, longest rows first.

    Args:
        lengths: tokens of each row, (rows,).
        max_tokens: most tokens in a micro-batch; a longer row stands alone. Default: `TOKENS_PER_CALL`, as attention sets every token
            against every other one.

    Returns:
        Positions in `lengths`, one array a micro-batch; every row is in exactly one.
    """
    order, room = _longest_first(lengths), max_tokens or TOKENS_PER_CALL
    starts, held = [0], 0
    for place, length in enumerate(lengths[order].tolist()):
        if held and held + length > room:
            starts.append(place)
            held = 0
        held += length
    return [order[first:last] for first, last in pairwise([*starts, len(order)])]


def _longest_first(lengths: NDArray[np.integer]) -> NDArray[np.intp]:
    return np.argsort(-lengths.astype(np.int64), kind="stable")


def _last_starts(lengths: NDArray[np.float64], cost: float, max_tokens: int | None) -> NDArray[np.intp]:
    """Where the last group starts in the cheapest division of the first n rows, for each n.

    best(n) = min over starts s of best(s) + (n - s) * lengths[s] + cost, as a group is as wide as its first row.
    """
    rows = len(lengths)
    best = np.zeros(rows + 1)
    start = np.zeros(rows + 1, dtype=np.intp)
    positions = np.arange(rows + 1, dtype=np.float64)
    for end in range(1, rows + 1):
        padded = (end - positions[:end]) * lengths[:end]
        total = best[:end] + padded
        if max_tokens is not None:
            total[:-1][padded[:-1] > max_tokens] = np.inf
        start[end] = np.argmin(total)
        best[end] = total[start[end]] + cost
    return start
