"""Spans of several annotators: agreement against the krippendorff package letter by letter, the majority against counting letters."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import krippendorff
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.exchange import agreement, spans
from luthier.data.exchange.spans import Span
from luthier.data.formats import Reading, Table, open_table

LENGTH = 12


def span(start: int, end: int, label: str = "PER") -> Span:
    return {"start": start, "end": end, "label": label}


def letters(answer: list[Span], length: int) -> list[frozenset[str]]:
    """The labels of every letter, the slow obvious way."""
    return [frozenset(one["label"] for one in answer if one["start"] <= place < one["end"]) for place in range(length)]


MARKED = st.lists(
    st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH), st.sampled_from(["LOC", "PER"])).map(
        lambda drawn: span(*sorted(drawn[:2]), drawn[2])
    ),
    max_size=4,
)
PEOPLE = st.lists(MARKED, min_size=1, max_size=5)
APART = st.sets(st.integers(0, LENGTH), max_size=6).map(
    lambda ends: [span(*pair) for pair in zip(sorted(ends)[::2], sorted(ends)[1::2], strict=False)]
)
"""Spans of one label that neither overlap nor touch."""


@settings(deadline=None)
@given(st.lists(PEOPLE, min_size=1, max_size=4))
def test_agreement_is_that_of_the_letters_labels(rows: list[list[list[Span]]]) -> None:
    found = list(spans.units([({"text": "x" * LENGTH}, answers) for answers in rows]))
    units = [
        unit
        for answers in rows
        if len(answers) > 1
        for unit in zip(*(letters(one, LENGTH) for one in answers), strict=True)
    ]
    measured = agreement.measure([unit for unit, _ in found], "nominal", [times for _, times in found])
    domain = sorted({labels for unit in units for labels in unit}, key=sorted)
    if not units:
        assert measured is None
        return
    assert measured is not None
    assert measured.units == len(units)
    if len(domain) == 1:
        assert measured.alpha is None
        return
    number = {labels: index for index, labels in enumerate(domain)}
    data = [[number[unit[who]] if who < len(unit) else float("nan") for unit in units] for who in range(5)]
    alpha = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert measured.alpha == pytest.approx(alpha)


@given(st.lists(APART, min_size=1, max_size=5))
def test_the_majority_marks_the_letters_that_more_than_half_mark(answers: list[list[Span]]) -> None:
    found = spans.majority(answers)
    marked = [letters(answer, LENGTH) for answer in answers]
    most = {place for place in range(LENGTH) if 2 * sum(bool(one[place]) for one in marked) > len(answers)}
    assert {place for place, labels in enumerate(letters(found or [], LENGTH)) if labels} == most
    assert (found is None) == (not most and all(answers))
    assert found is None or all(one["start"] < one["end"] for one in found)
    assert found is None or all(one["end"] <= other["start"] for one, other in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("answers", "agreed"),
    [
        pytest.param([[span(0, 4)]], [span(0, 4)], id="one annotator counts as he is"),
        pytest.param([[span(0, 4), span(2, 6)]] * 2, [span(0, 4), span(2, 6)], id="all say the same"),
        pytest.param([[span(0, 5)], [span(0, 6)], [span(1, 9)]], [span(0, 6)], id="borders by majority"),
        pytest.param([[span(0, 4), span(4, 8)]] * 2 + [[span(0, 8)]], [span(0, 4), span(4, 8)], id="touching stay two"),
        pytest.param([[span(0, 8)]] * 2 + [[span(0, 4), span(4, 8)]], [span(0, 8)], id="and one stays one"),
        pytest.param([[span(0, 4)], [span(0, 4, "ORG")], [span(0, 4)]], [span(0, 4)], id="labels by majority"),
        pytest.param([[span(0, 9), span(2, 4, "LOC")]] * 2 + [[]], [span(0, 9), span(2, 4, "LOC")], id="nested labels"),
        pytest.param([[span(0, 4)], []], [], id="two are no majority against none"),
        pytest.param([[span(0, 4)], [span(5, 9)]], None, id="split evenly"),
        pytest.param([[span(0, 4)], [span(2, 9)]], [span(2, 4)], id="of two what both mark"),
    ],
)
def test_the_majority_of_spans(answers: list[list[Span]], agreed: list[Span] | None) -> None:
    assert spans.majority(answers) == agreed


def marked(who: int, *found: Span) -> dict[str, Any]:
    results = [
        {
            "from_name": "ner",
            "to_name": "text",
            "type": "labels",
            "value": {"start": one["start"], "end": one["end"], "labels": [one["label"]]},
        }
        for one in found
    ]
    return {"completed_by": who, "result": results, "was_cancelled": False}


def exported(folder: Path, *tasks: tuple[dict[str, Any], list[dict[str, Any]]]) -> Table:
    rows = [{"id": number, "data": data, "annotations": said} for number, (data, said) in enumerate(tasks)]
    (folder / "export.json").write_text(json.dumps(rows), encoding="utf-8")
    return open_table(folder / "export.json")


def test_label_studio_spans_are_measured_and_voted_on(tmp_path: Path) -> None:
    first = {"text": "Ann met Bo.", "source": "a"}, [marked(1, span(0, 3)), marked(2, span(0, 3)), marked(3)]
    second = {"text": "Nobody.", "source": "b"}, [marked(1), marked(2)]
    table = exported(tmp_path, first, second)
    assert list(table.rows["ner"]) == [[span(0, 3)], []]
    # 3 letters with PER, PER, O; 8 with O three times; 7 with O twice
    alpha = krippendorff.alpha(value_counts=[[2, 1]] * 3 + [[0, 3]] * 8 + [[0, 2]] * 7, level_of_measurement="nominal")
    assert table.facts["agreement"]["ner"] == {
        "alpha": pytest.approx(alpha),
        "level": "nominal",
        "rows": 2,
        "characters": 18,
    }
    assert table.notes == (
        f"{tmp_path}/export.json: agreement on 'ner' over 18 characters of 2 rows, Krippendorff's alpha (nominal): {alpha:.3f}.",
    )


def test_spans_that_fit_no_text_are_not_measured(tmp_path: Path) -> None:
    table = exported(tmp_path, ({"text": "short"}, [marked(1, span(0, 30)), marked(2)]))
    assert table.facts["agreement"] == {}
    assert table.notes == (
        f"{tmp_path}/export.json: agreement on 'ner' was not measured. No column holds a text that all marked spans fit into.",
    )


def test_prodigy_spans_are_measured_and_voted_on(tmp_path: Path) -> None:
    said = {"a": [span(0, 3)], "b": [span(0, 3)], "c": []}
    lines = [
        {"text": "Ann met Bo.", "spans": one, "answer": "accept", "_annotator_id": who} for who, one in said.items()
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    table = open_table(tmp_path / "answers.jsonl", Reading(annotators="majority"))
    assert list(table.rows["spans"]) == [[span(0, 3)]]
    alpha = krippendorff.alpha(value_counts=[[2, 1]] * 3 + [[0, 3]] * 8, level_of_measurement="nominal")
    assert table.facts["agreement"]["spans"]["alpha"] == pytest.approx(alpha)
    assert table.facts["agreement"]["spans"]["characters"] == 11
