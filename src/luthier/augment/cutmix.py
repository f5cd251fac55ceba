"""CutMix: a rectangle of every image comes from another one of its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Mixing

if TYPE_CHECKING:
    import torch


class CutMix(Mixing):
    """Pastes a rectangle, and weighs both losses by the pixels that are left of each image (Yun et al. 2019, "CutMix", section 3.1)."""

    name: ClassVar[str] = "cutmix"
    media: ClassVar[frozenset[str]] = frozenset({"image"})

    alpha: Annotated[float, Field(gt=0)] = 1.0
    """Both parameters of the beta distribution that the image's own share is drawn from; the paper takes 1, where all shares are as
    likely."""

    def mix(
        self, own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], random: np.random.Generator
    ) -> tuple[dict[str, torch.Tensor], float]:
        """Paste into each of `own`, of shape (rows, channels, height, width), at the same place."""
        side = np.sqrt(1 - random.beta(self.alpha, self.alpha))
        centre = random.random(2)
        mixed, share = {}, 1.0
        for name, value in own.items():
            height, width = value.shape[-2:]
            upper, lower = _cut(height, side, centre[0])
            left, right = _cut(width, side, centre[1])
            mixed[name] = value.clone()
            mixed[name][..., upper:lower, left:right] = other[name][..., upper:lower, left:right]
            share = 1 - (lower - upper) * (right - left) / (height * width)
        return mixed, share


def _cut(size: int, side: float, centre: float) -> tuple[int, int]:
    """First place and the one behind the last of `side * size` places around a centre, cut off at the border."""
    half, middle = round(side * size) // 2, int(centre * size)
    return max(middle - half, 0), min(middle + half, size)
