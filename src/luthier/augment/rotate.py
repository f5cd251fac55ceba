"""Turned images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Augmentation
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image


class Rotate(Augmentation):
    """Turns by a few degrees (Simard, Steinkraus & Platt 2003); corners that become empty get the image's mean colour."""

    name: ClassVar[str] = "rotate"
    medium: ClassVar[str] = "image"

    degrees: Annotated[float, Field(gt=0, le=180)] = 15.0
    """Most that it turns, either way; drawn evenly."""

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """The turned image, at its own size."""
        bilinear = need("PIL.Image", extra="image").Resampling.BILINEAR
        mean = tuple(round(level) for level in need("PIL.ImageStat", extra="image").Stat(value).mean)
        return value.rotate(random.uniform(-self.degrees, self.degrees), bilinear, fillcolor=mean)
