"""Settings that are drawn anew for each row between two ends."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise PydanticCustomError(
            "member", "expected [from, to], the smaller number first; got {ends}", {"ends": list(ends)}
        )
    return ends


Ordered = AfterValidator(_in_order)
Shares = Annotated[tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]], Ordered]
Ratios = Annotated[tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], Ordered]
Decibels = Annotated[tuple[float, float], Ordered]


def box(
    size: tuple[int, int], area: tuple[float, float], ratio: tuple[float, float], random: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """A rectangle within an image: left, upper, right, lower, in pixels; None where ten draws gave none that fits.

    Args:
        size: width and height of the image.
        area: least and largest share of the image that it covers, drawn evenly.
        ratio: least and largest width by height, its logarithm drawn evenly.
        random: to draw from.
    """
    width, height = size
    for _ in range(10):
        covered = width * height * random.uniform(*area)
        shape = np.exp(random.uniform(*np.log(ratio)))
        wide, high = round(np.sqrt(covered * shape)), round(np.sqrt(covered / shape))
        if 0 < wide <= width and 0 < high <= height:
            left, upper = (int(one) for one in random.integers(0, (width - wide + 1, height - high + 1)))
            return left, upper, left + wide, upper + high
    return None
