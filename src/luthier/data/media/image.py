"""Images, decoded by Pillow to 8 bits of red, green and blue."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from luthier.data.media import Look, Medium
from luthier.data.media.stored import stream
from luthier.errors import DataError
from luthier.extras import need

if TYPE_CHECKING:
    import PIL.Image

FLAT = 8
"""Grey levels: an image that spans fewer has no structure, and its perceptual hash would be that of rounding."""

GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N", "F"}
"""Pillow's modes without colour."""

DEEP = {"I", "I;16", "I;16L", "I;16B", "I;16N", "F"}
"""Those of them with more than 8 bits."""

CONVERTED = {"CMYK", "YCbCr", "LAB", "HSV"}
"""Modes of other colour spaces."""

MOVING = {"GIF", "WEBP", "PNG", "AVIF", "FLI"}
"""Formats whose several images are frames of one film."""


class Image(Medium):
    """Pictures. `open` gives a `PIL.Image.Image` in mode RGB, turned as its EXIF orientation says, (height, width) pixels."""

    name = "image"
    endings = frozenset(
        (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".avif")
    )
    measures = ("width", "height")

    def open(self, value: Any) -> PIL.Image.Image:
        """See `Medium.open`. Of an animation the first frame; transparent parts become white."""
        return _decode(value)[0]

    def look(self, value: Any) -> Look:
        """See `Medium.look`."""
        image, remarks = _decode(value)
        digest = hashlib.blake2b(f"{image.width} {image.height} ".encode(), digest_size=16)
        digest.update(image.tobytes())
        facts = {"width": image.width, "height": image.height}
        return Look(digest.hexdigest(), _perceptual(image), facts, "; ".join(remarks))

    def recognises(self, data: bytes) -> bool:
        """See `Medium.recognises`."""
        pillow = need("PIL.Image", extra="image")
        try:
            with stream({"bytes": data}) as file, _header(pillow, file):
                return True
        except DataError:
            return False


def _decode(value: Any) -> tuple[PIL.Image.Image, list[str]]:
    """The image in RGB, and remarks on what it was."""
    pillow = need("PIL.Image", extra="image")
    if isinstance(value, pillow.Image):
        return _rgb(pillow, value)
    with stream(value) as file, _header(pillow, file) as image, _refusing(pillow):
        remarks = [*_frames(image), *_depth(image)]
        image.load()
        turned, unread = _upright(image)
        rgb, more = _rgb(pillow, turned)
    return rgb, [*remarks, *unread, *more]


def _header(pillow: Any, file: BinaryIO) -> PIL.Image.Image:
    """The image before its pixels are decoded, if there are not too many of them."""
    with _refusing(pillow):
        image: PIL.Image.Image = pillow.open(file)
    pixels, limit = image.width * image.height, pillow.MAX_IMAGE_PIXELS
    if limit is not None and pixels > limit:
        image.close()
        raise DataError(_too_large(f"{pixels:,}", limit))
    return image


@contextmanager
def _refusing(pillow: Any) -> Iterator[None]:
    """Pillow's errors as clauses about the image; trouble of the machine, with memory or the disk, stays what it is."""
    try:
        yield
    except pillow.UnidentifiedImageError as wrong:
        raise DataError("is no image that can be read") from wrong
    except pillow.DecompressionBombError as wrong:
        said = re.search(r"(\d+) pixels", str(wrong))
        raise DataError(_too_large(f"{int(said[1]):,}" if said else "too many", pillow.MAX_IMAGE_PIXELS)) from wrong
    except Exception as wrong:  # its decoders raise whatever their parsing meets
        if isinstance(wrong, MemoryError) or (isinstance(wrong, OSError) and wrong.errno is not None):
            raise
        text = str(wrong).strip().rstrip(".") or type(wrong).__name__
        raise DataError(f"is cut short: {text}" if "truncated" in text.lower() else f"is damaged: {text}") from wrong


def _too_large(pixels: str, limit: int) -> str:
    return f"has {pixels} pixels, more than the limit of {limit:,} (Pillow's guard against decompression bombs)"


def _upright(image: PIL.Image.Image) -> tuple[PIL.Image.Image, list[str]]:
    """The image turned as its EXIF orientation says, if that can be read: damage there is none of the pixels."""
    try:
        turned: PIL.Image.Image = need("PIL.ImageOps", extra="image").exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, OSError, struct.error):
        return image, ["has EXIF data that cannot be read: it is not turned"]
    return turned, []


def _frames(image: PIL.Image.Image) -> list[str]:
    if not getattr(image, "is_animated", False):  # only formats with several images have it
        return []
    return [
        "is animated: its first frame is used" if image.format in MOVING else "holds several images: its first is used"
    ]


def _depth(image: PIL.Image.Image) -> list[str]:
    """Told from the layout of the raw data (`RGB;16B`): Pillow cuts colours of 16 bits while it decodes them."""
    deep = any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return ["has 16 bits a channel: scaled to 8"] if deep else []


def _rgb(pillow: Any, image: PIL.Image.Image) -> tuple[PIL.Image.Image, list[str]]:
    remarks = ["is grey"] if image.mode in GREY else []
    if image.mode in CONVERTED:
        remarks.append(f"is {image.mode}: converted to RGB")
    if image.mode in DEEP:
        image = pillow.fromarray(_eight_bits(image))
    if not image.has_transparency_data:
        return image.convert("RGB"), remarks
    layered = image.convert("RGBA")
    if layered.getchannel("A").getextrema() != (255, 255):
        remarks.append("has transparent parts: they become white")
    white = pillow.new("RGBA", layered.size, "white")
    return pillow.alpha_composite(white, layered).convert("RGB"), remarks


def _eight_bits(image: PIL.Image.Image) -> np.ndarray:
    """Grey levels of 16 bits by their full range, of 32 bits (whose range no format fixes) by their least and largest."""
    levels = np.asarray(image)
    if levels.dtype.itemsize == 2:
        return np.asarray(np.round(levels / 257), dtype=np.uint8)
    finite = np.nan_to_num(levels.astype(np.float64))
    least, most = finite.min(), finite.max()
    return np.asarray(np.round((finite - least) * (255 / (most - least or 1))), dtype=np.uint8)


def _perceptual(image: PIL.Image.Image) -> int | None:
    """64 signs of low frequencies of the cosine transform of a small grey copy (pHash; Zauner 2010)."""
    grey = image.convert("L")
    least, most = grey.getextrema()
    if most - least < FLAT:  # type: ignore[operator]
        return None
    signs = need("imagehash", extra="image").phash(grey).hash
    return int.from_bytes(np.packbits(signs).tobytes(), "big")
