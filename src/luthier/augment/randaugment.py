"""RandAugment: some operations out of fourteen, all as strong as one number says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Augmentation, Share
from luthier.augment.colour import enhanced
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image

    Operation = Callable[[PIL.Image.Image, float], PIL.Image.Image]

STRONGEST = 30
"""The magnitude at which every operation does its utmost."""
GREY = (128, 128, 128)
"""What fills empty corners."""


class RandAugment(Augmentation):
    """Applies `number` operations, drawn anew for each image (Cubuk et al. 2020, "RandAugment", section 3).

    The fourteen operations are the paper's, their ranges torchvision's; `luthier.augment.randaugment.OPERATIONS` lists them.
    """

    name: ClassVar[str] = "randaugment"
    medium: ClassVar[str] = "image"

    share: Share = 1.0
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""
    number: Annotated[int, Field(ge=1, le=14)] = 2
    """How many operations, one after the other."""
    magnitude: Annotated[float, Field(ge=0, le=STRONGEST)] = 9.0
    """How strong they are, up to 30; the paper takes 9 for ResNet-50 on ImageNet and more for larger networks."""

    def apply(self, value: PIL.Image.Image, random: np.random.Generator) -> PIL.Image.Image:
        """The image after all operations, at its own size."""
        for name in random.choice(list(OPERATIONS), self.number).tolist():
            value = OPERATIONS[name](value, random.choice((-1, 1)) * self.magnitude / STRONGEST)
        return value


def _by_pillow(name: str) -> Operation:
    return lambda image, level: getattr(need("PIL.ImageOps", extra="image"), name)(image)


def _by_factor(kind: str) -> Operation:
    return lambda image, level: enhanced(image, kind, 1 + 0.9 * level)


def _solarize(image: PIL.Image.Image, level: float) -> PIL.Image.Image:
    return need("PIL.ImageOps", extra="image").solarize(image, round(256 * (1 - abs(level))))  # type: ignore[no-any-return]


def _posterize(image: PIL.Image.Image, level: float) -> PIL.Image.Image:
    return need("PIL.ImageOps", extra="image").posterize(image, 8 - round(4 * abs(level)))  # type: ignore[no-any-return]


def _rotate(image: PIL.Image.Image, level: float) -> PIL.Image.Image:
    return image.rotate(30 * level, fillcolor=GREY)


def _moved(image: PIL.Image.Image, matrix: tuple[float, ...]) -> PIL.Image.Image:
    """The image seen through an affine map: `matrix` says where each pixel of the result comes from."""
    affine = need("PIL.Image", extra="image").Transform.AFFINE
    return image.transform(image.size, affine, matrix, fillcolor=GREY)


FARTHEST = 150 / 331
"""Of an image's side: AutoAugment's 150 pixels of the 331 that its images had."""
OPERATIONS: Mapping[str, Operation] = {
    "identity": lambda image, level: image,
    "auto_contrast": _by_pillow("autocontrast"),
    "equalize": _by_pillow("equalize"),
    "rotate": _rotate,
    "solarize": _solarize,
    "colour": _by_factor("Color"),
    "posterize": _posterize,
    "contrast": _by_factor("Contrast"),
    "brightness": _by_factor("Brightness"),
    "sharpness": _by_factor("Sharpness"),
    "shear_x": lambda image, level: _moved(image, (1, 0.3 * level, 0, 0, 1, 0)),
    "shear_y": lambda image, level: _moved(image, (1, 0, 0, 0.3 * level, 1, 0)),
    "translate_x": lambda image, level: _moved(image, (1, 0, FARTHEST * level * image.width, 0, 1, 0)),
    "translate_y": lambda image, level: _moved(image, (1, 0, 0, 0, 1, FARTHEST * level * image.height)),
}
"""Each takes an image in RGB and a level from -1 to 1; its sign is the direction, where there are two."""
