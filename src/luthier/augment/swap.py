"""Random swap: pairs of words change places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from luthier.augment import Advance, Augmentation, Share
from luthier.augment.words import divide, join, need_words, places, times


class Swap(Augmentation):
    """Lets words change places (Wei & Zou 2019, EDA, section 2); punctuation that stands alone, and spacing, stay where they are."""

    name: ClassVar[str] = "swap"

    rate: Share = 0.1
    """Share of a text's words that is moved, on average; EDA's alpha counts swaps, and each of them moves two words."""

    def apply(self, text: str, random: np.random.Generator) -> str:
        """The text with some of its words in each other's places."""
        pieces = divide(text)
        words = places(pieces)
        swaps = min(times(self.rate / 2, len(words), random), len(words) // 2)
        if swaps < 1:
            return text
        ones, others = random.choice(words, (2, swaps), replace=False).tolist()
        for one, other in zip(ones, others, strict=True):
            pieces[one], pieces[other] = (
                replace(pieces[one], text=pieces[other].text),
                replace(pieces[other], text=pieces[one].text),
            )
        return join(pieces, text)

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Look for what Chinese needs."""
        need_words(texts)
