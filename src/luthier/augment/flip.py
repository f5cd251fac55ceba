"""Mirrored images."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.augment import Augmentation
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image


class Flip(Augmentation):
    """Mirrors left and right (Krizhevsky, Sutskever & Hinton 2012, section 4.1). Not for images with letters, or where sides matter."""

    name: ClassVar[str] = "flip"
    medium: ClassVar[str] = "image"

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """The mirrored image."""
        mirrored: PIL.Image.Image = need("PIL.ImageOps", extra="image").mirror(value)
        return mirrored
