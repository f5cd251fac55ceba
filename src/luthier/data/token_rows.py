"""Rows of words with a tag each: how they are written as a text, and what can be wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from luthier.counted import many

UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
"""A Chinese character or a kana (Unicode blocks of CJK ideographs, Hiragana and Katakana)."""


def written(words: Sequence[str]) -> str:
    """The words as one text."""
    return (" " if spaced(words) else "").join(words)


def spaced(words: Sequence[str]) -> bool:
    """Whether there are spaces between the words.

    There are none where some word holds a Chinese character or a kana and most are such words or single characters, so that in a
    row of characters digits and Latin letters belong together as well.
    """
    unspaced = [UNSPACED.search(word) is not None for word in words]
    short = sum(one or len(word) == 1 for one, word in zip(unspaced, words, strict=True))
    return not any(unspaced) or 2 * short <= len(words)


def faults(tokens: Sequence[Sequence[str] | None], tags: Sequence[Sequence[str] | None]) -> Iterator[tuple[int, str]]:
    """Rows that cannot be used, by index from 0, and why: no words, a word without a tag, or another number of tags than of words."""
    for row, (words, marks) in enumerate(zip(tokens, tags, strict=True)):
        reason = _fault(words, marks)
        if reason:
            yield row, reason


def _fault(words: Sequence[str] | None, marks: Sequence[str] | None) -> str:
    if not words:
        return "no tokens"
    if not marks:
        return "no tags"
    if len(words) != len(marks):
        return f"{many(len(words), 'token')} and {many(len(marks), 'tag')}"
    missing = [number for number, mark in enumerate(marks, start=1) if mark is None or not str(mark).strip()]
    if missing:
        return f"no tag for token {missing[0]}"
    return "a token that is null" if any(word is None for word in words) else ""
