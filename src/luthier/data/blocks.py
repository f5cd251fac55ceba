"""Rows in blocks that are small in rows and in characters, so that a few huge cells do not fill the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from luthier.data.tables import BATCH

CHARACTERS = 1 << 26
"""A block ends when its cells hold more; Arrow's strings end at 2 GiB, and 10,000 cells of 10 MB would be 100 GB."""

Row = TypeVar("Row")


def blocks(rows: Iterable[Row], weigh: Callable[[Row], int]) -> Iterator[list[Row]]:
    """Cut rows into blocks of at most `BATCH` rows and about `CHARACTERS` characters, as `weigh` counts them."""
    block: list[Row] = []
    weight = 0
    for row in rows:
        block.append(row)
        weight += weigh(row)
        if len(block) == BATCH or weight >= CHARACTERS:
            yield block
            block, weight = [], 0
    if block:
        yield block
