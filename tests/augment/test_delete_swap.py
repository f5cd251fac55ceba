"""Random deletion and random swap."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from augmentations import ENGLISH, MIXED

from luthier.augment.delete import Delete
from luthier.augment.swap import Swap

TEN = "one two three four five six seven eight nine ten"


def generators(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.33])
def test_the_rate_of_deleted_words_holds_and_every_word_is_as_likely(rate: float) -> None:
    left = [Delete(rate=rate).apply(TEN, random).split() for random in generators(2000)]
    assert abs(np.mean([10 - len(words) for words in left]) / 10 - rate) < 0.02
    times = Counter(word for words in left for word in words)
    assert all(abs(times[word] / 2000 - (1 - rate)) < 0.05 for word in TEN.split())


@pytest.mark.parametrize("text", ["word", "two words", "酒店", "酒店很好", TEN])
def test_one_word_is_always_left(text: str) -> None:
    for random in generators(20):
        left = Delete(rate=1).apply(text, random)
        assert left
        assert left in text
        assert not left.startswith(" ")


def test_deleting_keeps_order_punctuation_and_single_spaces() -> None:
    for random in generators(50):
        changed = Delete(rate=0.5).apply(ENGLISH, random)
        assert "  " not in changed
        left = iter(ENGLISH.split())
        assert all(word in left for word in changed.split())  # a subsequence: `in` moves the iterator on
        assert Counter(changed)["&"] == 1
        assert changed.endswith(" .")


def test_words_that_were_apart_stay_apart() -> None:
    for random in generators(50):
        changed = Delete(rate=0.5).apply("the 酒店很好 and cheap", random)
        assert "the酒" not in changed
        assert "好and" not in changed


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_the_rate_of_moved_words_holds(rate: float) -> None:
    moved = [
        np.mean(
            [one != other for one, other in zip(Swap(rate=rate).apply(TEN, random).split(), TEN.split(), strict=True)]
        )
        for random in generators(2000)
    ]
    assert abs(np.mean(moved) - rate) < 0.02


@pytest.mark.parametrize("text", [ENGLISH, MIXED, f"  {TEN}\n"])
def test_swapping_keeps_all_words_and_the_spacing(text: str) -> None:
    for random in generators(30):
        changed = Swap(rate=0.5).apply(text, random)
        assert Counter(changed) == Counter(text)
        assert len(changed.split()) == len(text.split())
        if text is ENGLISH:
            marks = {place: word for place, word in enumerate(text.split()) if not word.isalpha()}
            assert {place: changed.split()[place] for place in marks} == marks


def test_a_single_word_has_nothing_to_change_places_with() -> None:
    assert {Swap(rate=1).apply("word .", random) for random in generators(5)} == {"word ."}
    assert {Swap(rate=1).apply("two words", random) for random in generators(5)} == {"words two"}
