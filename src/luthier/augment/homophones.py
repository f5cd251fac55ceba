"""Homophones: Chinese characters give way to others of the same sound, as people mistype them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np

from luthier import extras
from luthier.augment import Advance, Augmentation, Share
from luthier.augment.words import HAN, is_chinese, times

CHARACTERS = range(0x4E00, 0xA000)
"""CJK unified ideographs: the block that holds every character in common use."""

UNKNOWN = 2
"""What `suggest_freq` says of a character that jieba's dictionary does not have."""


@dataclass(frozen=True)
class Sound:
    """Characters of one pinyin, and how often each is drawn: as often as jieba's dictionary counts it as a word."""

    characters: np.ndarray
    weights: np.ndarray

    def other(self, character: str, random: np.random.Generator) -> str:
        """Another character of this sound."""
        weights = np.where(self.characters == character, 0.0, self.weights)
        return str(random.choice(self.characters, p=weights / weights.sum()))


class Homophones(Augmentation):
    """Puts characters of the same pinyin, tones aside, in the place of Chinese characters, frequent ones more often.

    This is how most texts typed by pinyin go wrong (Liu et al. 2011, "Visually and phonologically similar characters in incorrect
    Chinese words"). A character is read as its context has it. Other scripts stay as they are.
    """

    name: ClassVar[str] = "homophones"

    rate: Share = 0.1
    """Share of a text's Chinese characters that is replaced, on average."""

    def apply(self, text: str, random: np.random.Generator) -> str:
        """The text with some of its characters replaced."""
        if not is_chinese([text]):
            return text
        readings = _readings(text)
        sounds = _sounds()
        can = [place for place, reading in readings.items() if reading in sounds]
        changed = list(text)
        for place in random.choice(can, times(self.rate, len(can), random), replace=False).tolist() if can else ():
            changed[place] = sounds[readings[place]].other(text[place], random)
        return "".join(changed)

    def ready(self, texts: Sequence[str], advance: Advance = lambda texts: None) -> None:
        """Count the characters of each sound."""
        if is_chinese(texts):
            _sounds()


def _readings(text: str) -> dict[int, str]:
    """Pinyin of each Chinese character without its tone, by its place."""
    pypinyin = extras.need("pypinyin", extra="zh")
    readings: dict[int, str] = {}
    for run in HAN.finditer(text):
        spoken = pypinyin.lazy_pinyin(run[0], errors=lambda silent: [""] * len(silent))
        readings.update(zip(range(*run.span()), spoken, strict=True))
    return readings


@cache
def _sounds() -> Mapping[str, Sound]:
    """Sounds that several characters have."""
    rjieba = extras.need("rjieba", extra="zh")
    known = {one: count for one in map(chr, CHARACTERS) if (count := rjieba.suggest_freq(one)) > UNKNOWN}
    by_sound: dict[str, list[str]] = {}
    for character in known:
        by_sound.setdefault(_readings(character)[0], []).append(character)
    return {
        sound: Sound(np.array(characters), np.array([float(known[one]) for one in characters]))
        for sound, characters in by_sound.items()
        if sound and len(characters) > 1
    }
