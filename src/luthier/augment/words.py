"""A text as words and the white space before each, and how many of them an augmentation changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from luthier import extras

HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
"""Chinese characters (Unicode blocks of CJK ideographs); Chinese writes no spaces between words."""

CHUNK = re.compile(r"(\s*)(\S+)")


@dataclass(frozen=True)
class Piece:
    """A word or a mark, with the white space that stands before it."""

    gap: str
    text: str

    @property
    def is_word(self) -> bool:
        """Whether there is a letter or a digit in it: lone punctuation marks and emoji are no words."""
        return any(character.isalnum() for character in self.text)


def divide(text: str) -> list[Piece]:
    """Words as white space parts them, and Chinese as jieba cuts it. Joined again they are the text, but for white space at its end.

    Raises:
        ExtraError: there is Chinese in it, and rjieba is not installed.
    """
    pieces = []
    for chunk in CHUNK.finditer(text):
        first, *others = _cut(chunk[2])
        pieces += [Piece(chunk[1], first), *(Piece("", other) for other in others)]
    return pieces


def join(pieces: Iterable[Piece], original: str) -> str:
    """The text of the pieces, ending in the same white space as the original."""
    return "".join(piece.gap + piece.text for piece in pieces) + original[len(original.rstrip()) :]


def is_chinese(texts: Iterable[str]) -> bool:
    """Whether there is any Chinese in them."""
    return any(map(HAN.search, texts))


def need_words(texts: Iterable[str]) -> None:
    """Make sure that these texts can be divided.

    Raises:
        ExtraError: there is Chinese in them, and rjieba is not installed.
    """
    if is_chinese(texts):
        extras.need("rjieba", extra="zh")


def places(pieces: Sequence[Piece]) -> list[int]:
    """Where the words are."""
    return [place for place, piece in enumerate(pieces) if piece.is_word]


def times(rate: float, count: int, random: np.random.Generator) -> int:
    """`rate * count` as a whole number: rounded up or down at random, so that it is exact on average."""
    return int(rate * count + random.random())


def _cut(chunk: str) -> list[str]:
    if not HAN.search(chunk):
        return [chunk]
    words: list[str] = extras.need("rjieba", extra="zh").cut(chunk)
    return words
