"""Images with what is written of them: which columns hold both."""

from __future__ import annotations

import datasets

from luthier.data import dialogues, media
from luthier.data.found import Found
from luthier.data.labels import arrow_type, is_text
from luthier.data.looks import check_exist
from luthier.errors import DataError
from luthier.recipe.data import Columns

MEDIUM = "image"
NAMES = (
    *("caption", "captions", "alt_text", "alt", "description", "text", "sentence", "label"),
    *("图片描述", "说明", "描述", "文本"),
)
"""Earlier names win."""


def find(dataset: datasets.Dataset, given: Columns) -> Found:
    """Find what is written and what it answers: an image, a prompt or a conversation.

    Raises:
        DataError: a given column does not exist or is of another kind, or it is not clear which they are.
    """
    if given.audio is not None:
        raise DataError(
            "Task generate writes captions of images and answers to texts; what is said in recordings is for task transcribe."
        )
    image = given.image or (None if given.text else _only(dataset))
    return dialogues.find(dataset, given) if image is None else _captions(dataset, given, image)


def _captions(dataset: datasets.Dataset, given: Columns, image: str) -> Found:
    """A column of images and that of their captions.

    Raises:
        DataError: it is not clear which holds the captions, or there is a text that is to be read too.
    """
    if given.text is not None:
        both = "Task generate reads an image or a text, and data.columns names both."
        if given.label is not None:
            raise DataError(
                f"{both} Leave out image or text; or, where the same few answers stand in many rows, take task: classify."
            )
        raise DataError(
            f"{both} Where {given.text!r} holds what is to be written of the image, say so:\ndata:\n  columns: {{image: {image}, label: "
            f"{given.text}}}"
        )
    if isinstance(given.label, list):
        raise DataError("data.columns.label: a caption stands in one column; got a list.")
    check_exist(dataset, [name for name in (image, given.label) if name is not None])
    texts = {name.strip().lower(): name for name in dataset.column_names if _may_be_caption(dataset, name, image)}
    label = given.label or next((texts[name] for name in NAMES if name in texts), None)
    label = label or (next(iter(texts.values())) if len(texts) == 1 else None)
    if label is None or label not in texts.values():
        raise DataError(
            "Task generate needs a column with what is written of each image. Columns with text are: "
            f"{', '.join(texts.values()) or 'none'}. Say which it is:\ndata:\n  columns: {{image: {image}, label: caption}}"
        )
    return Found(image, label, None, "captions", f"images are {image!r}; their captions are {label!r}.", medium=MEDIUM)


def _may_be_caption(dataset: datasets.Dataset, name: str, image: str) -> bool:
    return name != image and is_text(arrow_type(dataset, name))


def _only(dataset: datasets.Dataset) -> str | None:
    """The only column of images."""
    images = [name for name, medium in media.held(dataset).items() if medium == MEDIUM]
    return images[0] if len(images) == 1 else None
