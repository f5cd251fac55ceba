"""Random erasing: a rectangle of the image gives way to noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.augment import Augmentation
from luthier.augment.ranges import Ratios, Shares, box
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image


class Erase(Augmentation):
    """Fills a random rectangle with random pixels (Zhong et al. 2020, "Random Erasing Data Augmentation", algorithm 1, RE-R)."""

    name: ClassVar[str] = "erase"
    medium: ClassVar[str] = "image"

    scale: Shares = (0.02, 0.2)
    """Least and largest share of the image that is erased; the paper goes up to 0.4."""
    ratio: Ratios = (0.3, 3.3)
    """Least and largest width of the rectangle by its height."""

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """The image with a rectangle of noise, at its own size."""
        part = box(value.size, self.scale, self.ratio, random)
        if part is None:
            return value
        left, upper, right, lower = part
        noise = random.integers(0, 256, (lower - upper, right - left, 3), dtype=np.uint8)
        changed = value.copy()
        changed.paste(need("PIL.Image", extra="image").fromarray(noise), part)
        return changed
