"""The columns of an image and of the text that belongs to it, where the recipe or their names say so."""

from __future__ import annotations

from collections.abc import Iterable

import datasets

from luthier.data import media
from luthier.data.found import Found
from luthier.data.labels import arrow_type, is_text
from luthier.data.looks import TEXT_NAMES, Look, by_name, check_exist, look_at
from luthier.errors import DataError
from luthier.recipe.data import Columns

MEDIUM = "image+text"
CAPTION_NAMES = ("caption", "captions", "alt_text", "alt", *TEXT_NAMES, "图片描述", "说明")


def both(dataset: datasets.Dataset, given: Columns) -> tuple[str, str] | None:
    """The columns of the image and of the text; None where rows have but one of them, or nothing says which they are.

    Args:
        dataset: the rows.
        given: what the recipe says of them.
    """
    if given.input is not None:
        medium, columns = given.input
        return (columns[0], columns[1]) if medium == MEDIUM else None
    images = _images(dataset)
    named = by_name(texts := _texts(dataset, given, images), CAPTION_NAMES, texts) if len(images) == 1 else None
    return None if named is None else (images[0], named.name)


def pairs(dataset: datasets.Dataset, given: Columns) -> Found:
    """The columns of rows in which an image and a text belong together, and which need no label.

    Raises:
        DataError: a given column does not exist or is no text, or it is not clear which columns they are.
    """
    check_exist(dataset, given.input[1] if given.input else ())
    found = both(dataset, given) or _only(dataset, given)
    if found is None or not is_text(arrow_type(dataset, found[1])):
        raise DataError(
            "Task align learns which text belongs to which image, and it is not clear which columns hold them. The columns are: "
            f"{', '.join(dataset.column_names)}. Say it in the recipe:\ndata:\n  columns: {{image: photo, text: caption}}"
        )
    image, text = found
    why = f"{said(image, text, given)}; rows need no label, as each text belongs to its image."
    return Found(image, text, None, "none", why, medium=MEDIUM, also=(text,))


def said(image: str, text: str, given: Columns) -> str:
    """Which columns are read, and why."""
    reason = "as the recipe says" if given.input else "by what its cells are, and by name"
    return f"image and text are {image!r} and {text!r}, {reason}"


def _only(dataset: datasets.Dataset, given: Columns) -> tuple[str, str] | None:
    """The only image and the only text, whatever they are called."""
    images = _images(dataset)
    texts = _texts(dataset, given, images)
    return (images[0], texts[0].name) if given.input is None and len(images) == len(texts) == 1 else None


def _images(dataset: datasets.Dataset) -> list[str]:
    return [column for column, medium in media.held(dataset).items() if medium == "image"]


def _texts(dataset: datasets.Dataset, given: Columns, images: Iterable[str]) -> list[Look]:
    """Columns of texts that are no labels: of those of few words that rows share there are others."""
    labels = given.label if isinstance(given.label, list) else [given.label]
    looks = look_at(dataset.remove_columns([*images, *(name for name in labels if name in dataset.column_names)]))
    return [look for look in looks if look.kind == "text"]
