"""Random crops: a part of the image, which the model then sees as large as the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.augment import Augmentation, Share
from luthier.augment.ranges import Ratios, Shares, box

if TYPE_CHECKING:
    import PIL.Image


class Crop(Augmentation):
    """Cuts out a random part (Szegedy et al. 2015, "Going deeper with convolutions", section 6).

    The model's own processor resizes what is left, so that a crop of other proportions is stretched where the processor stretches
    images. Where ten draws give no part that lies within the image, it stays whole.
    """

    name: ClassVar[str] = "crop"
    medium: ClassVar[str] = "image"

    share: Share = 1.0
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""
    scale: Shares = (0.6, 1.0)
    """Least and largest share of the image that is kept. Training from scratch usually takes [0.08, 1]; a pretrained model that is tuned
    on few images does better when objects stay in the picture."""
    ratio: Ratios = (3 / 4, 4 / 3)
    """Least and largest width of a part by its height."""

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """A part of the image, at its own size."""
        part = box(value.size, self.scale, self.ratio, random)
        return value.crop(part) if part else value
