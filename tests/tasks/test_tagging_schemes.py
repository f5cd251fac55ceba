from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import BILOU, IOB1, IOB2, IOBES, IOE2, Tokens

from luthier.tasks.tagging_schemes import (
    SCHEMES,
    Reading,
    Tagset,
    detect,
    flat_tags,
    illegal,
    kinds_of,
    spans,
)

Span = tuple[str, int, int]
"""Type, first word, first word behind."""
LETTERS = {"IOB2": "BI", "IOB1": "BI", "IOE2": "IE", "BIOES": "BIES"}
SEQEVAL = {"IOB2": IOB2, "IOB1": IOB1, "IOE2": IOE2, "BIOES": IOBES}
AS_WRITTEN = {"BILOU": str.maketrans("ES", "LU"), "BMES": str.maketrans("I", "M"), "BMEW": str.maketrans("IS", "MW")}
"""From the letters of BIOES."""


def tagged(letters: str) -> st.SearchStrategy[list[list[str]]]:
    """Rows of any tags with these letters, legal or not."""
    tags = ["O", *[f"{letter}-{kind}" for letter in letters for kind in ("X", "Y-Z")]]
    return st.lists(st.lists(st.sampled_from(tags), max_size=8), max_size=4)


def found(rows: list[list[str]], reading: Reading) -> list[list[Span]]:
    kinds = kinds_of(rows, reading)
    made = spans(flat_tags(rows, reading, kinds))
    by_row: list[list[Span]] = [[] for _ in rows]
    for row, start, end, kind in zip(made.rows, made.starts, made.ends, made.kinds, strict=True):
        by_row[row].append((kinds[kind], int(start), int(end)))
    return by_row


def expected(rows: list[list[str]], suffix: bool = False) -> list[list[Span]]:
    return [[(kind, start, end + 1) for kind, start, end in get_entities(row, suffix)] for row in rows]


def relettered(tag: str, table: dict[int, int]) -> str:
    return tag[0].translate(table) + tag[1:] if tag != "O" else tag


@given(tagged("BIES"))
def test_spans_of_any_tags_are_those_of_seqeval(rows: list[list[str]]) -> None:
    assert found(rows, Reading("B-TYPE", "BIOES")) == expected(rows)


@given(tagged("BIES"))
def test_tags_with_the_letter_behind(rows: list[list[str]]) -> None:
    turned = [[tag if tag == "O" else f"{tag[2:]}-{tag[0]}" for tag in row] for row in rows]
    # seqeval cuts the type `Y-Z` of a tag `Y-Z-B` down to `Y`
    assert found(turned, Reading("TYPE-B", "BIOES")) == found(rows, Reading("B-TYPE", "BIOES"))
    plain = [[tag.replace("Y-Z", "Y") for tag in row] for row in turned]
    assert found(plain, Reading("TYPE-B", "BIOES")) == expected(plain, suffix=True)


@pytest.mark.parametrize("other", AS_WRITTEN)
@given(rows=tagged("BIES"))
def test_other_letters_say_the_same(other: str, rows: list[list[str]]) -> None:
    written = [[relettered(tag, AS_WRITTEN[other]) for tag in row] for row in rows]
    assert found(written, Reading("B-TYPE", "BIOES")) == found(rows, Reading("B-TYPE", "BIOES"))


def test_letters_alone_are_spans_without_a_type() -> None:
    rows = [["B", "M", "E", "S", "O", "B", "E"]]  # as in word segmentation
    assert found(rows, Reading("B-TYPE", "BIOES")) == [[("_", 0, 3), ("_", 3, 4), ("_", 5, 7)]]
    assert found(rows, Reading("B-TYPE", "BIOES")) == expected([["B", "I", "E", "S", "O", "B", "E"]])


def test_types_alone_are_spans_of_what_touches() -> None:
    assert found([["PER", "PER", "O", "LOC", "PER"]], detect([["PER", "O"]])) == [
        [("PER", 0, 2), ("LOC", 3, 4), ("PER", 4, 5)]
    ]


def legal_reference(row: list[str], scheme: str) -> bool:
    """Whether a row's tags are what one writes for the spans that seqeval's strict reading finds in them."""
    made = [(one.tag, one.start, one.end) for one in Tokens(row, SEQEVAL[scheme]).entities]
    return write(made, len(row), scheme) == row


def write(entities: list[Span], words: int, scheme: str) -> list[str]:
    """The slow obvious writer of spans."""
    tags = ["O"] * words
    for number, (kind, start, end) in enumerate(entities):
        before = entities[number - 1] if number else ("", -1, -1)
        touching = before[0] == kind and before[2] == start
        for word in range(start, end):
            first, last = word == start, word == end - 1
            letter = {
                "IOB2": "B" if first else "I",
                "IOB1": "B" if first and touching else "I",
                "IOE2": "E" if last else "I",
                "BIOES": "S" if first and last else "B" if first else "E" if last else "I",
            }[scheme]
            tags[word] = f"{letter}-{kind}"
    return tags


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOE2", "BIOES"])
@given(data=st.data())
def test_illegal_tags_are_found_in_just_the_rows_that_nobody_would_write(scheme: str, data: st.DataObject) -> None:
    rows = data.draw(tagged(LETTERS[scheme]))
    reading = Reading("B-TYPE", scheme)
    tags = flat_tags(rows, reading, kinds_of(rows, reading))
    broken = set(tags.rows[illegal(tags, SCHEMES[scheme])].tolist())
    assert broken == {row for row, one in enumerate(rows) if one and not legal_reference(one, scheme)}


@st.composite
def drawn_spans(draw: st.DrawFn) -> tuple[list[Span], int]:
    entities, place = [], 0
    for _ in range(draw(st.integers(0, 4))):
        start = place + draw(st.integers(0, 2))
        place = start + draw(st.integers(1, 3))
        entities.append((draw(st.sampled_from(["X", "Y"])), start, place))
    return entities, place + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOE2", "BIOES"])
@given(rows=st.lists(drawn_spans(), min_size=1, max_size=5))
def test_spans_written_in_any_scheme_are_read_and_become_the_same_numbers(
    scheme: str, rows: list[tuple[list[Span], int]]
) -> None:
    reading = Reading("B-TYPE", scheme)
    written = [write(entities, words, scheme) for entities, words in rows]
    assert found(written, reading) == [entities for entities, _ in rows]
    kinds = ("X", "Y")
    tags = flat_tags(written, reading, kinds)
    assert not illegal(tags, SCHEMES[scheme]).any()
    tagset = Tagset(kinds, alone=False)
    names = [*tagset.names, "|"]
    bio = [write(entities, words, "IOB2") for entities, words in rows]
    assert [names[tag] for tag in tagset.numbers(tags)] == [tag for row in bio for tag in (*row, "|")]


@pytest.mark.parametrize("scheme", ["IOB2", "IOB1", "IOE2", "BIOES"])
def test_the_scheme_is_told_from_the_tags(scheme: str) -> None:
    draw = random.Random(0)
    rows = []
    for _ in range(200):
        starts = range(0, 30, 3)
        rows.append(write([(draw.choice("XY"), at, at + draw.choice([1, 2, 3])) for at in starts], 30, scheme))
    assert detect(rows) == Reading("B-TYPE", scheme)
    rows[0] = ["I-X", "B-X", "O", "E-X"]  # mistakes do not change it
    assert detect(rows) == Reading("B-TYPE", scheme)
    assert detect([[tag if tag == "O" else f"{tag[2:]}_{tag[0]}" for tag in row] for row in rows]) == Reading(
        "TYPE-B", scheme
    )


@pytest.mark.parametrize(
    ("rows", "reading"),
    [
        ([["B-X", "O", "B-Y"]], Reading("B-TYPE", "IOB2")),
        ([["I-X", "I-X", "O"]], Reading("B-TYPE", "IOB1")),
        ([["B-X", "M-X", "E-X", "O", "S-Y"]], Reading("B-TYPE", "BIOES")),
        ([["B-X", "L-X", "U-Y"]], Reading("B-TYPE", "BIOES")),
        ([["S-X", "O"]], Reading("B-TYPE", "BIOES")),
        ([["B", "I", "O"]], Reading("B-TYPE", "IOB2")),
        ([["PER", "O"]], Reading("TYPE", "IOB1")),
        ([["NOUN", "VERB"], ["ADJ"]], Reading("TAG", "words")),
        ([["B-X", "I-X", "0"]], Reading("B-TYPE", "IOB2")),
    ],
)
def test_what_tags_look_like_says_how_to_read_them(rows: list[list[str]], reading: Reading) -> None:
    assert detect(rows) == reading


def test_each_illegal_tag_is_found() -> None:
    rows = [["O", "I-X", "I-X"], ["B-X", "I-Y"], ["B-X", "I-X", "O"], ["I-X"]]
    reading = Reading("B-TYPE", "IOB2")
    tags = flat_tags(rows, reading, ("X", "Y"))
    places = np.flatnonzero(illegal(tags, SCHEMES["IOB2"]))
    assert list(zip(tags.rows[places].tolist(), tags.words[places].tolist(), strict=True)) == [(0, 1), (1, 1), (3, 0)]


def test_bilou_is_the_reference_s_too() -> None:
    row = ["O", "B-X", "I-X", "L-X", "U-Y", "O"]
    strict = [(one.tag, one.start, one.end) for one in Tokens(row, BILOU).entities]
    assert found([row], detect([row])) == [strict]


def test_the_resumes_are_bmes(assets: Path) -> None:
    lines = (assets / "data" / "resume_ner_zh_dev.bmes").read_text(encoding="utf-8").split("\n\n")
    rows = [[line.split()[1] for line in block.splitlines() if line.strip()] for block in lines if block.strip()]
    reading = detect(rows)
    assert reading == Reading("B-TYPE", "BIOES")
    tags = flat_tags(rows, reading, kinds_of(rows, reading))
    assert not illegal(tags, SCHEMES["BIOES"]).any()
    beginnings = sum(tag[0] in "BS" for row in rows for tag in row)
    assert len(spans(tags)) == beginnings == 1497
