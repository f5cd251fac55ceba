from __future__ import annotations

import pytest

from luthier.data.token_rows import faults, written


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["EU", "rejects", "German", "call"], "EU rejects German call"),
        (list("高勇：男，1998年MBA"), "高勇：男，1998年MBA"),
        (["我", "爱", "北京", "天安门", "Google"], "我爱北京天安门Google"),
        (list("東京タワー"), "東京タワー"),
        (["The", "word", "中国", "means", "China"], "The word 中国 means China"),
        (["서울", "은", "수도", "이다"], "서울 은 수도 이다"),  # Korean writes spaces
        (["a", "b"], "a b"),
        (["中"], "中"),
        ([], ""),
    ],
)
def test_words_are_written_as_their_script_is(words: list[str], text: str) -> None:
    assert written(words) == text


def test_rows_that_cannot_be_used_are_named() -> None:
    words = ["a", "b"]
    rows = [
        (words, ["O", "O"], None),
        (words * 7, ["O"] * 13, "14 tokens and 13 tags"),
        (["a"], ["O", "O"], "1 token and 2 tags"),
        ([], ["O"], "no tokens"),
        (None, ["O"], "no tokens"),
        (words, [], "no tags"),
        (words, None, "no tags"),
        (words, ["O", None], "no tag for token 2"),
        (words, [" ", "O"], "no tag for token 1"),
        (["a", None], ["O", "O"], "a token that is null"),
    ]
    tokens, tags = [row[0] for row in rows], [row[1] for row in rows]
    expected = [(index, row[2]) for index, row in enumerate(rows) if row[2]]
    assert list(faults(tokens, tags)) == expected  # type: ignore[arg-type]
