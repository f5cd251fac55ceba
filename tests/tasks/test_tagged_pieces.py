"""Rows cut into pieces say the same as a look at each word does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from luthier.tasks.tag import Tag

TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"]
TARGET = Tag().learn([["B-PER", "I-PER", "B-ORG", "I-ORG", "O"]])


def entities(tags: list[str]) -> list[tuple[int, int, str]]:
    """The slow obvious way: word by word; a stray I begins an entity."""
    found: list[tuple[int, int, str]] = []
    for place, tag in enumerate(tags):
        goes_on = tag.startswith("I-") and place and tags[place - 1] != "O" and tags[place - 1][2:] == tag[2:]
        if tag != "O" and goes_on:
            found[-1] = (found[-1][0], place + 1, tag[2:])
        elif tag != "O":
            found.append((place, place + 1, tag[2:]))
    return found


rows = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=12)


@given(rows)
def test_every_word_is_in_the_piece_that_says_what_it_is(row: list[tuple[str, str]]) -> None:
    label, said = ([one[place] for one in row] for place in (0, 1))
    words = [f"word{place}" for place in range(len(row))]
    answer = [{"type": kind, "start": start, "end": end, "confidence": 1.0} for start, end, kind in entities(said)]
    pieces = TARGET.pieces(words, label, answer)
    assert "".join(one.text for one in pieces) == " ".join(words)
    both = set(entities(label)) & set(entities(said))
    assert [one.text.split() for one in pieces if one.right] == [words[start:end] for start, end, _ in sorted(both)]
    told = {word: (one.true, one.answered) for one in pieces for word in one.text.split()}
    for place, word in enumerate(words):
        assert told[word] == (label[place][2:], said[place][2:])


def test_words_without_spaces_and_tags_of_single_words() -> None:
    cut = TARGET.pieces(
        list("张三在清华"), ["B-PER", "I-PER", "O", "B-ORG", "I-ORG"], [{"type": "ORG", "start": 3, "end": 4}]
    )
    assert [(one.text, one.true, one.answered, one.right) for one in cut] == [
        ("张三", "PER", "", False),
        ("在", "", "", False),
        ("清", "ORG", "ORG", False),
        ("华", "ORG", "", False),
    ]
    alone = Tag().learn([["NOUN", "VERB"]])
    cut = alone.pieces(["dogs", "bark"], ["NOUN", "VERB"], ["NOUN", None])
    assert [(one.text, one.true, one.answered, one.right) for one in cut] == [
        ("dogs ", "NOUN", "NOUN", True),
        ("bark", "VERB", "", False),
    ]
