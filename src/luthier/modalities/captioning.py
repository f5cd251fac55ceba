"""Images for an encoder, and what is said of them for a decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from luthier.modalities import Encoded
from luthier.modalities.image import Image
from luthier.modalities.perceived import Perceived
from luthier.modalities.text import Text
from luthier.objectives.next_token import LABELS


class Captioning(Perceived):
    """Rows of an image and its caption; a length counts tokens of the caption and patches of the image."""

    unit = Text.unit
    together = Image.together
    kind: ClassVar[str] = "captions"
    perceived: Image

    @property
    def limit(self) -> int:
        """Tokens of the longest caption that is kept whole."""
        return self._text.limit

    def encode(self, values: Sequence[Any]) -> Encoded:
        """What is seen in each row and, where rows are tuples of both, the labels of its caption."""
        encoded = super().encode(values)
        tokens = [len(row) for row in encoded.columns.get(LABELS, [()] * len(values))]
        lengths, full = (
            [length + more for length, more in zip(one, tokens, strict=True)]
            for one in (encoded.lengths, encoded.full_lengths)
        )
        return Encoded(encoded.columns, lengths, full)

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Tokens: lengths without the patches, which are the same for all rows."""
        return lengths - self.perceived.patches
