"""Synonyms: words give way to others of the same meaning, from a file that the user names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np

from luthier.augment import Advance, Augmentation, Share
from luthier.augment.thesaurus import Thesaurus, read
from luthier.augment.words import divide, join, need_words, places, times

EDGES = re.compile(r"(\W*)(.*?)(\W*)", re.DOTALL)
"""A word between the punctuation that is written to it."""


class Synonyms(Augmentation):
    """Puts synonyms in the place of words (Wei & Zou 2019, EDA, section 2), in the spelling of the dictionary.

    Of a word with several senses the most frequent one of each part of speech counts (WordNet), or every group (Cilin). An
    inflected word changes only where it is listed itself, so that plurals and tenses stay right. Stop words never change: scikit-
    learn's list for English; for Chinese, Cilin's function words and all words of one character.
    """

    name: ClassVar[str] = "synonyms"

    file: Path
    """A folder of WordNet's database, a WN-LMF file (.xml), or a text file of word groups in Cilin's form."""
    rate: Share = 0.1
    """Share of a text's words that is replaced, on average, as far as they have synonyms."""
    keep: tuple[str, ...] = ()
    """Words that stay, such as those that name a label."""

    def apply(self, text: str, random: np.random.Generator) -> str:
        """The text with some of its words replaced."""
        pieces = divide(text)
        words = places(pieces)
        count = times(self.rate, len(words), random)
        can = [place for place in words if self._synonyms(pieces[place].text)]
        if not count or not can:
            return text
        for place in random.choice(can, min(count, len(can)), replace=False).tolist():
            pieces[place] = replace(pieces[place], text=self._replaced(pieces[place].text, random))
        return join(pieces, text)

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Read the file, and look for what Chinese needs."""
        need_words(texts)
        read(self.file)

    @property
    def _thesaurus(self) -> Thesaurus:
        return read(self.file)

    @cached_property
    def _staying(self) -> frozenset[str]:
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

        return frozenset(ENGLISH_STOP_WORDS).union(word.lower() for word in self.keep)

    def _synonyms(self, piece: str) -> tuple[str, ...]:
        word = _parts(piece)[1].lower()
        return () if word in self._staying else self._thesaurus.get(word, ())

    def _replaced(self, piece: str, random: np.random.Generator) -> str:
        before, word, after = _parts(piece)
        return before + _in_case_of(word, str(random.choice(self._synonyms(piece)))) + after


def _parts(piece: str) -> tuple[str, str, str]:
    found = EDGES.fullmatch(piece)
    assert found  # the pattern fits every text
    return found[1], found[2], found[3]


def _in_case_of(word: str, other: str) -> str:
    """The other word with capitals where the word has them: in all of it, or at its start."""
    if word.isupper() and len(word) > 1:
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other
