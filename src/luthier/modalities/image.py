"""Images, by a transformers image processor."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.image_processing_utils import BaseImageProcessor

from luthier.data.media import MEDIA
from luthier.errors import ModelError, RecipeError
from luthier.modalities import Encoded, Modality

if TYPE_CHECKING:
    import PIL.Image

PIXELS = "pixel_values"
COLOUR = ("do_rescale", "do_normalize", "include_top")
"""Steps of a processor that change numbers; all others move or cut pixels. EfficientNet's include_top normalises once more."""
PATCH = 16
"""Side in pixels of the square that counts as one position: the patch of ViT-B/16 (https://arxiv.org/abs/2010.11929)."""
PROBES = ((48, 64), (64, 48))
"""Height and width of the images that show what a processor does: one lying, one standing."""


class Image(Modality):
    """Images as the model's own processor makes them.

    The processor's work is done in two halves whose result is that of one pass, which the constructor checks. `encode` resizes and
    crops, and keeps bytes; `collate` rescales and normalises. A row so takes a quarter of its floats' space.

    Args:
        processor: opened by AutoImageProcessor.
        size: pixels of a side of the square that each image becomes; None for what the processor says.

    Raises:
        RecipeError: the processor keeps each image's own proportions, and `size` is None.
        ModelError: what the processor makes of an image is not an image, or depends on more than its halves.
    """

    unit = "pixels"
    together = 100

    def __init__(self, processor: BaseImageProcessor, size: int | None = None) -> None:
        self.processor = _resized(processor, size) if size else processor
        shape = _shape(self.processor)
        if shape is None:
            raise RecipeError(
                f"The image processor of this model keeps each image's own proportions (size: {dict(self.processor.size)}), and a batch "
                "needs images of one size. Set data.max_length: the pixels of a side of the square that each image becomes, such as 224."
            )
        self._shape = shape
        _check_halves(self.processor)

    @property
    def limit(self) -> int:
        """Pixels of the longer side of every row."""
        return max(self._shape[1:])

    @property
    def patches(self) -> int:
        """Patches of 16 x 16 pixels in every row."""
        height, width = self._shape[1:]
        return -(-height // PATCH) * -(-width // PATCH)

    @property
    def fingerprint(self) -> str:
        """Hash of the processor's class and settings, `size` among them."""
        parts = type(self.processor).__name__, sorted(self.processor.to_dict().items())
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def given(self, value: Any) -> Any:
        """The path of a file, or what its medium gives when it opens one.

        Raises:
            DataError: it is neither, or cannot be read.
        """
        from luthier.data.media import opened

        return opened(value, "image")

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Bytes of each image, resized and cropped: `pixel_values`, a flat uint8 array of 3 x height x width a row.

        A length counts patches of 16 x 16 pixels and is the same for all rows: nothing is lost by cutting.
        """
        medium = MEDIA["image"]
        rows: list[Any] = [_moved(self.processor, medium.open(value)).ravel() for value in values]
        lengths = [self.patches] * len(rows)
        return Encoded({PIXELS: rows}, lengths, lengths)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """Rescale and normalise: `pixel_values`, float32 of shape (rows, 3, height, width)."""
        images = [np.asarray(row, dtype=np.uint8).reshape(self._shape) for row in columns[PIXELS]]
        return {PIXELS: _coloured(self.processor, images)}

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """The pixels of a side, the same for all rows."""
        return np.full(len(lengths), self.limit)

    def save(self, folder: str) -> None:
        """Write preprocessor_config.json, the whole processor with the size that `encode` uses."""
        self.processor.save_pretrained(folder)


def _moved(processor: BaseImageProcessor, image: PIL.Image.Image | np.ndarray) -> np.ndarray:
    """The half that moves pixels: uint8 of shape (3, height, width)."""
    off = {name: False for name in COLOUR if name in processor.valid_kwargs.__annotations__}
    return np.asarray(processor([image], **off)[PIXELS][0])


def _coloured(processor: BaseImageProcessor, images: Sequence[np.ndarray]) -> torch.Tensor:
    """The half that changes numbers, in whatever way the family does: float32 of shape (images, 3, height, width)."""
    steps = (name for name in processor.valid_kwargs.__annotations__ if name.startswith("do_"))
    off: dict[str, Any] = {name: False for name in steps if name not in COLOUR}
    done: torch.Tensor = processor(list(images), **off, input_data_format="channels_first", return_tensors="pt")[PIXELS]
    return done


def _shape(processor: BaseImageProcessor) -> tuple[int, int, int] | None:
    """(3, height, width) of every image; None where it depends on the image's own proportions.

    Raises:
        ModelError: what comes out are no bytes of an image.
    """
    if PIXELS not in processor.model_input_names:
        raise _unfit(processor)
    lying, standing = (_moved(processor, image) for image in _probes())
    if lying.ndim != 3 or lying.dtype != np.uint8:
        raise _unfit(processor)
    channels, height, width = lying.shape
    return (channels, height, width) if lying.shape == standing.shape else None


def _check_halves(processor: BaseImageProcessor) -> None:
    """Compare two halves with one pass.

    Raises:
        ModelError: they differ.
    """
    images = _probes()
    whole = processor(images, return_tensors="pt")[PIXELS]
    if not torch.equal(whole, _coloured(processor, [_moved(processor, image) for image in images])):
        raise _unfit(processor)


def _resized(processor: BaseImageProcessor, side: int) -> BaseImageProcessor:
    """The same processor for squares of `side` pixels; one that crops resizes to as much more than it crops as before.

    The kind of size that the family knows is tried first (ConvNeXt crops a square from a shortest edge), then plain height and width.
    """
    settings, edge = processor.to_dict(), side
    if processor.do_center_crop:
        edge = round(side * min(settings["size"].values()) / min(settings["crop_size"].values()))
        settings["crop_size"] = {"height": side, "width": side}
    for names in (settings["size"], ("height", "width")):
        resized = type(processor).from_dict(settings | {"size": dict.fromkeys(names, edge)})
        if _shape(resized) is not None:
            break
    return resized


def _probes() -> list[np.ndarray]:
    """Images in which every byte occurs, uint8 of shape (height, width, 3)."""
    return [np.resize(np.arange(256, dtype=np.uint8), (*shape, 3)) for shape in PROBES]


def _unfit(processor: BaseImageProcessor) -> ModelError:
    return ModelError(
        f"The image processor {type(processor).__name__} of this model cannot be used here: expected one that makes {PIXELS} of shape (3, "
        "height, width) of an image, and whose colours can be rescaled and normalised after it has resized and cropped. Take another model."
    )
