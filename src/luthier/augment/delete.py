"""Random deletion: the text without some of its words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from luthier.augment import Advance, Augmentation, Share
from luthier.augment.words import Piece, divide, join, need_words, places, times


class Delete(Augmentation):
    """Leaves words out (Wei & Zou 2019, EDA, section 2). At least one stays, and so does punctuation that stands alone."""

    name: ClassVar[str] = "delete"

    rate: Share = 0.1
    """Share of a text's words that is left out, on average."""

    def apply(self, text: str, random: np.random.Generator) -> str:
        """The text without some of its words."""
        pieces = divide(text)
        words = places(pieces)
        count = min(times(self.rate, len(words), random), len(words) - 1)
        if count < 1:
            return text
        return join(_without(pieces, set(random.choice(words, count, replace=False).tolist())), text)

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Look for what Chinese needs."""
        need_words(texts)


def _without(pieces: Sequence[Piece], gone: Collection[int]) -> Iterator[Piece]:
    """What is left, spaced as before: a text starts as it started, and no two words that were apart run together."""
    waiting = ""
    first = True
    for place, piece in enumerate(pieces):
        waiting = waiting or piece.gap
        if place in gone:
            continue
        yield replace(piece, gap=pieces[0].gap if first else piece.gap or waiting)
        waiting, first = "", False
