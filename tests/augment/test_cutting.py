"""Texts in words and back; rates that are exact on average."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.augment import words
from luthier.errors import ExtraError


@settings(deadline=None)
@given(st.text() | st.text(alphabet="酒店很a, \n。1"))
def test_pieces_joined_are_the_text(text: str) -> None:
    pieces = words.divide(text)
    assert words.join(pieces, text) == text or not text.strip()
    assert all(piece.text and not piece.gap.strip() for piece in pieces)


def test_english_parts_at_white_space_and_chinese_as_jieba_cuts_it() -> None:
    assert [piece.text for piece in words.divide("a well-made film, 酒店很便宜。 ok")] == [
        *("a", "well-made", "film,", "酒店", "很", "便宜", "。", "ok")
    ]
    assert words.divide("a  酒店很")[2].gap == ""


@pytest.mark.parametrize(
    ("text", "is_word"), [("ok", True), ("3.5", True), ("店", True), ("...", False), ("。", False), ("😀", False)]
)
def test_what_is_a_word(text: str, is_word: bool) -> None:
    assert words.Piece("", text).is_word is is_word


@pytest.mark.parametrize(("rate", "count"), [(0.1, 3), (0.1, 10), (0.37, 7), (1.0, 5), (0.5, 0)])
def test_times_is_exact_on_average(rate: float, count: int) -> None:
    random = np.random.default_rng(0)
    drawn = np.array([words.times(rate, count, random) for _ in range(4000)])
    assert set(drawn) <= {int(np.floor(rate * count)), int(np.ceil(rate * count))}
    assert abs(drawn.mean() - rate * count) < 4 * 0.5 / np.sqrt(4000)


def test_chinese_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rjieba", None)
    words.need_words(["no Chinese here"])
    assert words.divide("no Chinese here")
    for call in (lambda: words.need_words(["ok", "酒店"]), lambda: words.divide("酒店")):
        with pytest.raises(ExtraError) as missing:
            call()
        assert str(missing.value) == (
            "The package 'rjieba' is needed here and is not installed. Install it with: pip install 'luthier[zh]'"
        )
