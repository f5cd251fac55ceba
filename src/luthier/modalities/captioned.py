"""An image and a text that belong together, each as the modality of its own reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch

from luthier.errors import DataError
from luthier.modalities import Encoded, Modality
from luthier.modalities.image import Image
from luthier.modalities.text import Text

ROWS = "target_rows"
"""Where rows have several texts: the number of the row that each text belongs to."""
MARKS = {"target_image": "pixel_values", "target_text": "input_ids"}
"""Numbers by which rows with the same image or the same text are known, and what they are numbers of."""


class Captioned(Modality):
    """Rows of an image and a text.

    Args:
        image: reads the images.
        text: reads the texts; its limit is that of rows.
        padded: whether each text is as long as the limit, as SigLIP's are, which read their last position, padding or not.
    """

    unit = Text.unit
    together = Image.together
    several: ClassVar[bool] = False
    """Whether a row that a person gives may have several texts, of which one is to be found."""

    def __init__(self, image: Image, text: Text, padded: bool = False) -> None:
        self.image = image
        self.text = text
        self.padded = padded

    @property
    def limit(self) -> int:
        """Tokens of the longest text that is kept whole."""
        return self.text.limit

    @property
    def fingerprint(self) -> str:
        """Hash of both."""
        parts = type(self).__name__, self.image.fingerprint, self.text.fingerprint, self.padded
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def given(self, value: Any) -> tuple[Any, Any]:
        """A mapping of `image` and `text`, or both in this order; the image as `Image.given` takes it.

        Raises:
            DataError: it is something else, or the image cannot be read.
        """
        row = [value.get("image"), value.get("text")] if isinstance(value, Mapping) else value
        if not isinstance(row, list | tuple) or len(row) < 2 or any(one is None for one in row[:2]):
            got = "a mapping of " + " and ".join(value) if isinstance(value, Mapping) else type(value).__name__
            raise DataError(
                'A model of images and texts predicts both together, as in {"image": "photo.jpg", "text": "a dog"} or ("photo.jpg", '
                f'"a dog"); got {got}.'
            )
        texts = row[1] if len(row) == 2 and isinstance(row[1], list | tuple) else row[1:]
        if not texts or not all(isinstance(one, str) for one in texts) or (len(texts) > 1 and not self.several):
            wanted = "one text or a list of them" if self.several else "one text"
            raise DataError(f"A row of an image and a text has {wanted} beside the image; got {row[1]!r:.60}.")
        return self.image.given(row[0]), list(texts) if len(texts) > 1 else texts[0]

    def rows(self, given: Any) -> list[Any]:
        """Texts that follow one another are one row: that of an image, by its path, and of what is said of it."""
        several = isinstance(given, list | tuple) and all(isinstance(one, str) for one in given)
        return [given] if several or _is_row(given) else super().rows(given)

    def encode(self, values: Sequence[tuple[Any, str]]) -> Encoded:
        """`pixel_values` and `input_ids` of each row. A length is that of both together: tokens, and the patches of the image."""
        seen = self.image.encode([image for image, _ in values])
        read = self.text.encode([text for _, text in values])
        ids = [self._filled(row) for row in read.columns["input_ids"]]
        lengths = [len(row) + patches for row, patches in zip(ids, seen.lengths, strict=True)]
        lost = [full - kept for full, kept in zip(read.full_lengths, read.lengths, strict=True)]
        full = [length + more for length, more in zip(lengths, lost, strict=True)]
        return Encoded({"input_ids": ids, **seen.columns}, lengths, full)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`pixel_values` (rows, 3, height, width), `input_ids` and `attention_mask` (rows, tokens)."""
        return self.image.collate(columns) | self.text.collate(columns)

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Tokens: lengths without the patches, which are the same for all rows."""
        return lengths - self.image.patches

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of tokens that stand for what is not in the vocabulary."""
        return self.text.unknown(columns)

    def save(self, folder: str) -> None:
        """Write the files of the processor and of the tokenizer."""
        self.image.save(folder)
        self.text.save(folder)

    def _filled(self, ids: Sequence[int]) -> list[int]:
        """Padded to the limit, where all texts are."""
        missing = self.limit - len(ids) if self.padded else 0
        return [*ids, *[self.text.tokenizer.pad_token_id] * missing]


class Matched(Captioned):
    """Rows of an image and its text, of which each is to be found by the other."""

    several: ClassVar[bool] = True

    def encode(self, values: Sequence[tuple[Any, Any]]) -> Encoded:
        """As `Captioned`, with `MARKS`; of rows that have several texts there is a list of ids for each text."""
        if any(isinstance(text, list) for _, text in values):
            return self._encode_several(values)
        encoded = super().encode(values)
        marks = {mark: [[_mark(row)] for row in encoded.columns[name]] for mark, name in MARKS.items()}
        return replace(encoded, columns={**encoded.columns, **marks})

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """As `Captioned`, with `MARKS`, (rows,) int64.

        Where rows have several texts, `input_ids` is (texts, tokens), and `target_rows`, (texts,), tells whose they are.
        """
        ids = columns["input_ids"]
        if not isinstance(ids[0][0], list):
            marks = {
                mark: torch.from_numpy(np.concatenate([np.asarray(one) for one in columns[mark]])) for mark in MARKS
            }
            return super().collate(columns) | marks
        whose = np.repeat(np.arange(len(ids)), [len(texts) for texts in ids])
        texts = self.text.collate({"input_ids": [one for some in ids for one in some]})
        return self.image.collate(columns) | texts | {ROWS: torch.from_numpy(whose)}

    def _encode_several(self, values: Sequence[tuple[Any, Any]]) -> Encoded:
        seen = self.image.encode([image for image, _ in values])
        read = [self.text.encode(text if isinstance(text, list) else [text]) for _, text in values]
        ids = [[self._filled(row) for row in one.columns["input_ids"]] for one in read]
        lengths = [sum(map(len, some)) + patches for some, patches in zip(ids, seen.lengths, strict=True)]
        return Encoded({"input_ids": ids, **seen.columns}, lengths, lengths)


def _mark(row: Any) -> int:
    """A number of 64 bits that rows share which are the same."""
    return int.from_bytes(hashlib.blake2b(np.asarray(row).tobytes(), digest_size=8).digest(), signed=True)


def _is_row(given: Any) -> bool:
    """Whether what a person gives is one row: a path or an image, and a text or several."""
    if isinstance(given, Mapping):
        return True
    return (
        isinstance(given, list | tuple)
        and len(given) == 2
        and not isinstance(given[0], Mapping | list | tuple)
        and not isinstance(given[1], Mapping | tuple)
    )
