"""Spans of annotation tools as words and tags: read back, they are the spans; and a recipe for them learns to tag."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import luthier
from luthier.data.exchange.tagged import tagged
from luthier.data.formats import open_table
from luthier.recipe.reading import read
from luthier.suggest import suggest


def span(start: int, end: int, label: str = "PER") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


@pytest.mark.parametrize(
    ("text", "spans", "words", "tags"),
    [
        ("Anna Lee, Rome.", [span(0, 8), span(10, 14, "LOC")], "Anna Lee , Rome .", "B-PER I-PER O B-LOC O"),
        ("abc", [span(1, 2)], "a b c", "O B-PER O"),
        ("李明在ABC公司", [span(0, 2), span(3, 8, "ORG")], "李 明 在 ABC 公 司", "B-PER I-PER O B-ORG I-ORG I-ORG"),
        ("a  b", [span(1, 4)], "a b", "O B-PER"),
        ("ab", [span(0, 1), span(1, 2)], "a b", "B-PER B-PER"),
        ("so on", [], "so on", "O O"),
        ("so on", [span(2, 2)], "so on", "O O"),
    ],
)
def test_words_and_their_tags(text: str, spans: list[dict[str, Any]], words: str, tags: str) -> None:
    assert tagged(text, spans) == (words.split(), tags.split(), 0)


def test_of_spans_that_overlap_the_longest_counts() -> None:
    assert tagged("New York Times", [span(0, 8, "LOC"), span(0, 14, "ORG"), span(9, 14)]) == (
        ["New", "York", "Times"],
        ["B-ORG", "I-ORG", "I-ORG"],
        2,
    )


@settings(deadline=None)
@given(st.text("ab 中.", min_size=1, max_size=20), st.sets(st.integers(0, 20), max_size=8))
def test_spans_are_found_again(text: str, ends: set[int]) -> None:
    """The words stand in the text in their order; those with tags are the letters of the spans, each span begun once."""
    places = sorted(end for end in ends if end <= len(text))
    spans = [span(*pair) for pair in zip(places[::2], places[1::2], strict=False)]
    words, tags, lost = tagged(text, spans)
    assert (lost, "".join(words)) == (0, "".join(text.split()))
    inside = [text[one["start"] : one["end"]] for one in spans]
    kept = [word for word, tag in zip(words, tags, strict=True) if tag != "O"]
    assert "".join(kept) == "".join("".join(one.split()) for one in inside)
    assert sum(tag.startswith("B-") for tag in tags) == sum(bool(one.strip()) for one in inside)


def tasks(count: int) -> list[dict[str, Any]]:
    names = ("Anna", "Li Ming", "Omar")
    return [
        {
            "id": row,
            "data": {"text": f"{names[row % 3]} saw film {row}."},
            "annotations": [
                {
                    "completed_by": 1,
                    "result": [
                        {
                            "from_name": "ner",
                            "type": "labels",
                            "value": {"start": 0, "end": len(names[row % 3]), "labels": ["PER"]},
                        }
                    ],
                }
            ],
        }
        for row in range(count)
    ]


def test_an_export_of_label_studio_is_tagged(tmp_path: Path, tiny_bert: Path) -> None:
    made = tasks(40)
    made[3]["annotations"][0]["result"] *= 2
    made[3]["annotations"][0]["result"][1] = {
        "from_name": "ner",
        "type": "labels",
        "value": {"start": 0, "end": 2, "labels": ["LOC"]},
    }
    made[5]["annotations"] = []
    file = tmp_path / "export.json"
    file.write_text(json.dumps(made), encoding="utf-8")
    assert f"{file}: 1 row with spans that overlap, of which the longest counts: row 4." in open_table(file).notes
    written = suggest(str(file))
    assert "row 6: no tags" in written
    (tmp_path / "recipe.yaml").write_text(written, encoding="utf-8")
    recipe = read(tmp_path / "recipe.yaml")
    assert (recipe.task.name, recipe.data.columns.text, recipe.data.columns.label) == ("tag", "tokens", "tags")
    run = luthier.train(recipe, model=str(tiny_bert), method="head", output=str(tmp_path / "run"), train={"epochs": 1})
    assert run.target.facts["types"] == ["PER"]
    assert run.data["bad_rows"]["examples"] == [{"split": "all", "row": 6, "reason": "no tags and no label"}]
