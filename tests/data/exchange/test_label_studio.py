"""Label Studio's three exports, written by hand as its documentation has them and, where it is installed, by its own converter."""

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from luthier.data.formats import Reading, Table, open_table
from luthier.errors import DataError


def choice(*labels: str, name: str = "sentiment") -> dict[str, Any]:
    return {"value": {"choices": list(labels)}, "from_name": name, "to_name": "text", "type": "choices"}


def annotation(who: Any, *results: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"completed_by": who, "result": list(results), "was_cancelled": False, **more}


def task(text: str, *annotations: dict[str, Any], **data: Any) -> dict[str, Any]:
    return {
        "id": sum(map(ord, text)),
        "annotations": list(annotations),
        "data": {"text": text, **data},
        "predictions": [],
    }


def export(tmp_path: Path, *tasks: dict[str, Any], annotators: str = "majority", name: str = "export.json") -> Table:
    file = tmp_path / name
    file.write_text(json.dumps(list(tasks), ensure_ascii=False), encoding="utf-8")
    return open_table(file, Reading(annotators=annotators))


THREE = (
    task("one", annotation(1, choice("good")), annotation(2, choice("good")), annotation(3, choice("bad")), stars=5),
    task("two", annotation(1, choice("bad")), annotation(2, choice("good")), stars=1),
    task("three", annotation(1, was_cancelled=True), stars=2),
    task("four", stars=3),
    task("five", annotation(1, choice("bad")), annotation({"id": 2, "email": "b@c.d"}, choice("bad")), stars=3),
)


def test_the_majority_decides_and_all_else_is_counted(tmp_path: Path) -> None:
    table = export(tmp_path, *THREE)
    assert table.rows.to_list() == [
        {"text": "one", "stars": 5, "sentiment": "good"},
        {"text": "two", "stars": 1, "sentiment": None},
        {"text": "three", "stars": 2, "sentiment": None},
        {"text": "four", "stars": 3, "sentiment": None},
        {"text": "five", "stars": 3, "sentiment": "bad"},
    ]
    facts = dict(table.facts)
    alpha = facts.pop("agreement")["sentiment"]["alpha"]
    # coincidences of the pairs above: o(gg)=1, o(gb)=o(bg)=2, o(bb)=2; n=7, n(g)=3, n(b)=4
    assert alpha == pytest.approx(1 - (7 - 1) * (2 + 2) / (2 * 3 * 4))
    assert facts == {
        "items": 5,
        "answers": 7,
        "annotators": 4,
        "skipped": 1,
        "without_answer": {"rows": 2, "examples": [3, 4]},
        "ties": {"rows": 1, "examples": [2]},
    }
    assert table.notes == (
        f"{tmp_path}/export.json: 2 of 5 rows without annotation; 1 annotation was skipped.",
        f"{tmp_path}/export.json: agreement on 'sentiment' over 3 rows, Krippendorff's alpha (nominal): {alpha:.3f}.",
        f"{tmp_path}/export.json: annotators are split evenly on 1 row, which has no label therefore: row 2.",
    )


def test_all_answers_can_be_kept(tmp_path: Path) -> None:
    table = export(tmp_path, *THREE, annotators="all")
    kept = [(row["item"], row["annotator"], row["sentiment"]) for row in table.rows]
    assert kept == [
        *((1, "1", "good"), (1, "2", "good"), (1, "3", "bad"), (2, "1", "bad"), (2, "2", "good")),
        *((5, "1", "bad"), (5, "b@c.d", "bad")),
    ]


def test_an_unknown_way_with_annotators_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.annotators: there is no way 'mean'; known: all, majority\."):
        export(tmp_path, *THREE, annotators="mean")


def test_without_the_package_agreement_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    table = export(tmp_path, *THREE)
    assert table.facts["agreement"] == {}
    assert any(
        "agreement on 'sentiment' was not measured" in note and "luthier[exchange]" in note for note in table.notes
    )


def test_several_choices_become_lists_and_more_than_half_keeps_a_label(tmp_path: Path) -> None:
    table = export(
        tmp_path,
        task(
            "a",
            annotation(1, choice("noisy", "dear")),
            annotation(2, choice("noisy")),
            annotation(3, choice("noisy", "far")),
        ),
        task("b", annotation(1, choice("far")), annotation(2, choice("dear"))),
    )
    assert list(table.rows["sentiment"]) == [["noisy"], None]
    assert table.facts["agreement"]["sentiment"]["level"] == "masi"
    assert table.facts["ties"] == {"rows": 1, "examples": [2]}


def test_an_empty_annotation_says_that_none_fits_only_where_several_may(tmp_path: Path) -> None:
    several = export(tmp_path, task("a", annotation(1, choice("x", "y"))), task("b", annotation(1)))
    assert list(several.rows["sentiment"]) == [["x", "y"], []]
    single = export(tmp_path, task("a", annotation(1, choice("x"))), task("b", annotation(1)), name="single.json")
    assert list(single.rows["sentiment"]) == ["x", None]
    assert single.facts["without_answer"] == {"rows": 1, "examples": [2]}


def test_ground_truth_and_the_latest_answer_of_an_annotator_count(tmp_path: Path) -> None:
    early, late = {"created_at": "2024-01-01T00:00:00Z"}, {"created_at": "2024-02-01T00:00:00Z"}
    table = export(
        tmp_path,
        task(
            "a", annotation(1, choice("x")), annotation(2, choice("x")), annotation(3, choice("y"), ground_truth=True)
        ),
        task("b", annotation(1, choice("y"), **late), annotation(1, choice("x"), **early)),
        task("c", annotation(1, choice("x"), **early), annotation(1, **late, was_cancelled=True)),
    )
    assert list(table.rows["sentiment"]) == ["y", "y", None]


def test_ratings_numbers_pairs_texts_and_spans(tmp_path: Path) -> None:
    def said(who: int, stars: int, side: str) -> dict[str, Any]:
        return annotation(
            who,
            {"from_name": "stars", "type": "rating", "value": {"rating": stars}},
            {"from_name": "price", "type": "number", "value": {"number": 2.5 * stars}},
            {"from_name": "better", "type": "pairwise", "value": {"selected": side}},
            {"from_name": "why", "type": "textarea", "value": {"text": ["so", "there"]}},
            {"from_name": "ner", "type": "labels", "value": {"start": 0, "end": 2, "text": "ab", "labels": ["PER"]}},
            {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right"},
        )

    table = export(tmp_path, task("abc", said(1, 4, "left"), said(2, 5, "left"), said(3, 1, "right"), answer="def"))
    spans = [{"start": 0, "end": 2, "label": "PER"}]
    plain = {
        "text": "abc",
        "answer": "def",
        "stars": 4,
        "price": 10.0,
        "better": "left",
        "why": "so\nthere",
        "ner": spans,
    }
    assert table.rows.to_list() == [plain | {"tokens": ["ab", "c"], "tags": ["B-PER", "O"]}]
    assert {name: one["level"] for name, one in table.facts["agreement"].items()} == {
        "stars": "ordinal",
        "price": "interval",
        "better": "nominal",
        "ner": "nominal",
    }


def test_results_that_no_column_can_hold_are_counted(tmp_path: Path) -> None:
    box = {"from_name": "box", "type": "rectangle", "value": {"x": 1, "y": 2, "width": 3, "height": 4}}
    table = export(tmp_path, task("a", annotation(1, choice("x"), box)), task("b", annotation(1, choice("y"))))
    assert table.rows.column_names == ["text", "sentiment"]
    assert f"{tmp_path}/export.json: of the kind 'height, width, x, y' 1 result was left out." in table.notes


def test_a_data_column_that_is_called_like_the_answer_is_kept_apart(tmp_path: Path) -> None:
    table = export(tmp_path, task("a", annotation(1, choice("x")), sentiment="old"), task("b", sentiment="old"))
    assert table.rows.to_list() == [
        {"text": "a", "_data_sentiment": "old", "sentiment": "x"},
        {"text": "b", "_data_sentiment": "old", "sentiment": None},
    ]


def test_json_min_gives_a_row_a_task(tmp_path: Path) -> None:
    def flat(number: int, text: str, label: Any, who: int, **more: Any) -> dict[str, Any]:
        stamps = {"created_at": "2024", "updated_at": "2024", "lead_time": 1.5}
        return {
            "text": text,
            "id": number,
            "sentiment": label,
            **more,
            "annotator": who,
            "annotation_id": who,
            **stamps,
        }

    table = export(
        tmp_path,
        flat(1, "one", "good", 1, stars=[{"rating": 4}]),
        flat(1, "one", "good", 2, stars=[{"rating": 5}]),
        flat(1, "one", "bad", 3, stars=[{"rating": 5}]),
        flat(2, "two", "bad", 1, stars=[{"rating": 1}]),
    )
    assert table.rows.to_list() == [
        {"text": "one", "sentiment": "good", "stars": 5},
        {"text": "two", "sentiment": "bad", "stars": 1},
    ]
    assert table.facts["answers"] == 4


def test_json_min_of_one_annotator_with_plain_choices_is_fully_annotated(tmp_path: Path) -> None:
    stamps = {"annotator": 1, "created_at": "2024", "lead_time": 1.5}
    rows = [
        {"text": text, "id": n, "label": "x", "annotation_id": n, **stamps} for n, text in enumerate("abc", start=1)
    ]
    table = export(tmp_path, *rows)
    assert table.rows.to_list() == [{"text": text, "label": "x"} for text in "abc"]
    assert (table.facts["answers"], table.facts["without_answer"]["rows"], table.notes) == (3, 0, ())


def test_csv_gives_the_same_rows_as_json_min(tmp_path: Path) -> None:
    rows = [
        {
            "text": "a, b",
            "id": "1",
            "topics": json.dumps({"choices": ["x", "y"]}),
            "annotator": "1",
            "annotation_id": "7",
        },
        {"text": "c", "id": "2", "topics": "x", "annotator": "1", "annotation_id": "8"},
    ]
    file = tmp_path / "export.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, sorted([*rows[0], "lead_time"]), quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerows(row | {"lead_time": 1.0} for row in rows)
    assert open_table(file).rows.to_list() == [{"text": "a, b", "topics": ["x", "y"]}, {"text": "c", "topics": ["x"]}]


def test_a_dialogue_among_the_data_is_no_answer(tmp_path: Path) -> None:
    talk = [{"author": "a", "text": "hi"}]
    row = {"talk": talk, "id": 1, "label": "x", "annotator": 1, "annotation_id": 1, "lead_time": 1}
    (read,) = export(tmp_path, row).rows.to_list()
    assert read == {"talk": [json.dumps(talk[0])], "label": "x"}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (
            [THREE[0], {"data": "text"}],
            r"export\.json, task 2 is no task of Label Studio's JSON export: expected an object with",
        ),
        (
            [task("a", annotation(1, {"from_name": "x", "value": "y"}))],
            r"export\.json, task 1: a result of an annotation is .*; expected an object with `value`\.",
        ),
    ],
)
def test_what_is_no_task_is_refused(tmp_path: Path, tasks: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        export(tmp_path, *tasks)


def test_answers_of_nobody_cannot_all_be_kept(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"export\.json holds annotation tasks and no answers\."):
        export(tmp_path, task("a"), annotators="all")


@pytest.mark.parametrize(
    "value",
    [
        {"choices": "x"},
        {"rating": "four"},
        {"rating": float("nan")},
        {"start": 0.5, "end": 1.5, "labels": ["speech"]},
        {"start": "/p[1]", "end": "/p[2]", "labels": ["PER"]},
        {"text": "plain"},
        {},
    ],
)
def test_results_that_are_not_what_their_key_says_are_left_out(tmp_path: Path, value: dict[str, Any]) -> None:
    result = {"from_name": "other", "type": "any", "value": value}
    table = export(tmp_path, task("a", annotation(1, choice("x"), result)))
    assert table.rows.to_list() == [{"text": "a", "sentiment": "x"}]
    assert len([note for note in table.notes if "1 result was left out" in note]) == 1
