"""Small pictures inside a page, so that it shows images without a file beside it."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

from luthier.data.media import MEDIA
from luthier.errors import DataError

SIDE = 128
"""Pixels of the longer side."""
QUALITY = 80
"""Of the JPEG, 0 to 100."""


def thumbnail(value: Any) -> str:
    """A data URI with a small JPEG of an image; empty where the image cannot be opened any more.

    Args:
        value: a cell of an image column.
    """
    try:
        image = MEDIA["image"].open(value)
    except DataError:
        return ""  # the report of an old run is worth having without its pictures
    image.thumbnail((SIDE, SIDE))
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
