"""Other light and other colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Augmentation, Share
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image

Strength = Annotated[float, Field(ge=0, le=1)]
ENHANCERS = {"brightness": "Brightness", "contrast": "Contrast", "saturation": "Color"}
"""Settings and the classes of PIL.ImageEnhance that they drive."""


class Colour(Augmentation):
    """Changes brightness, contrast, saturation and hue, in an order that is drawn too.

    As Howard 2013, "Some improvements on deep convolutional neural network based image classification", with hue.
    """

    name: ClassVar[str] = "colour"
    medium: ClassVar[str] = "image"

    share: Share = 1.0
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""
    brightness: Strength = 0.2
    """Factors are drawn evenly from 1 - this to 1 + this."""
    contrast: Strength = 0.2
    """As `brightness`."""
    saturation: Strength = 0.2
    """As `brightness`; a factor of 0 makes the image grey."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.02
    """Most that hues are turned either way, in turns of the colour circle."""

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """The image in other colours, at its own size."""
        for step in random.permutation([*ENHANCERS, "hue"]).tolist():
            most = getattr(self, step)
            drawn = random.uniform(-most, most)
            value = enhanced(value, ENHANCERS[step], 1 + drawn) if step in ENHANCERS else turned(value, drawn)
        return value


def enhanced(image: PIL.Image.Image, kind: str, factor: float) -> PIL.Image.Image:
    """What a class of PIL.ImageEnhance makes of an image; a factor of 1 leaves it."""
    made: PIL.Image.Image = getattr(need("PIL.ImageEnhance", extra="image"), kind)(image).enhance(factor)
    return made


def turned(image: PIL.Image.Image, turn: float) -> PIL.Image.Image:
    """The image with its hues turned, in turns of the colour circle; Pillow's HSV divides it in 256 steps."""
    steps = round(turn * 256)
    if not steps:
        return image
    hue, *others = image.convert("HSV").split()
    moved = hue.point([(level + steps) % 256 for level in range(256)])
    return need("PIL.Image", extra="image").merge("HSV", (moved, *others)).convert("RGB")  # type: ignore[no-any-return]
