"""Prodigy's JSONL, as its documentation has it."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.formats import Reading, Table, open_table
from luthier.errors import DataError


def answers(tmp_path: Path, *records: dict[str, Any], annotators: str = "majority") -> Table:
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return open_table(file, Reading(annotators=annotators))


def judged(text: str, label: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "label": label, "answer": answer, "_input_hash": sum(map(ord, text)), "_task_hash": 1, **more}


def chosen(text: str, *accept: str, answer: str = "accept", **more: Any) -> dict[str, Any]:
    options = [{"id": label, "text": label.title()} for label in ("good", "bad", "dear")]
    return {"text": text, "options": options, "accept": list(accept), "answer": answer, **more}


def test_one_label_that_is_accepted_or_rejected_makes_two_classes(tmp_path: Path) -> None:
    table = answers(
        tmp_path, judged("a", "SPAM", "accept"), judged("b", "SPAM", "reject"), judged("c", "SPAM", "ignore")
    )
    assert table.rows.to_list() == [
        {"text": "a", "label": "SPAM"},
        {"text": "b", "label": "not SPAM"},
        {"text": "c", "label": None},
    ]
    assert table.facts["skipped"] == 1
    assert table.facts["without_answer"] == {"rows": 1, "examples": [3]}


def test_several_labels_that_are_accepted_or_rejected_are_gathered_by_text(tmp_path: Path) -> None:
    table = answers(
        tmp_path,
        *(
            judged("a", "X", "reject"),
            judged("a", "Y", "accept"),
            judged("b", "X", "accept"),
            judged("c", "Y", "reject"),
        ),
    )
    assert list(table.rows["label"]) == ["Y", "X", None]


def test_several_accepted_labels_make_lists(tmp_path: Path) -> None:
    table = answers(
        tmp_path,
        *(
            judged("a", "X", "accept"),
            judged("a", "Y", "accept"),
            judged("b", "X", "reject"),
            judged("c", "Y", "accept"),
        ),
    )
    assert list(table.rows["label"]) == [["X", "Y"], [], ["Y"]]


def test_choices(tmp_path: Path) -> None:
    table = answers(
        tmp_path,
        chosen("a", "good"),
        chosen("b", "bad"),
        chosen("c", "bad", answer="reject"),
        chosen("d", answer="ignore"),
    )
    assert list(table.rows["label"]) == ["good", "bad", None, None]
    assert table.facts["skipped"] == 2


def test_multiple_choices(tmp_path: Path) -> None:
    assert list(answers(tmp_path, chosen("a", "good", "dear"), chosen("b")).rows["label"]) == [["good", "dear"], []]


def test_a_choice_of_several_stays_a_list_when_nobody_takes_two(tmp_path: Path) -> None:
    config = {"config": {"choice_style": "multiple"}}
    assert list(answers(tmp_path, chosen("a", "good", **config), chosen("b", **config)).rows["label"]) == [["good"], []]


def test_annotators_vote_and_their_agreement_is_measured(tmp_path: Path) -> None:
    said = [("a", "good"), ("b", "good"), ("c", "bad")]
    records = [chosen("text", label, _annotator_id=who) for who, label in said]
    table = answers(tmp_path, *records, chosen("more", "bad", _annotator_id="a"))
    assert list(table.rows["label"]) == ["good", "bad"]
    assert table.facts["agreement"]["label"]["rows"] == 1
    table = answers(tmp_path, *records, annotators="all")
    assert [(row["annotator"], row["label"]) for row in table.rows] == said


def test_spans(tmp_path: Path) -> None:
    span = {"start": 0, "end": 5, "label": "ORG", "token_start": 0, "token_end": 0}
    apple = {"text": "Apple", "spans": [span], "tokens": [], "answer": "accept", "meta": {"source": "x"}}
    table = answers(tmp_path, apple, apple | {"text": "None", "answer": "reject"})
    meta, marked = '{"source": "x"}', [{"start": 0, "end": 5, "label": "ORG"}]
    assert table.rows.to_list() == [
        {"text": "Apple", "meta": meta, "spans": marked, "tokens": ["Apple"], "tags": ["B-ORG"]},
        {"text": "None", "meta": meta, "spans": None, "tokens": ["None"], "tags": None},
    ]


def test_an_answer_that_prodigy_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"answers\.jsonl, row 2: `answer` is None; Prodigy writes accept, reject, ignore\. Export with `prodigy db-out`\.",
    ):
        answers(tmp_path, chosen("a", "good"), {"text": "b"})


def test_questions_with_answers_in_words_are_plain_rows(tmp_path: Path) -> None:
    table = answers(
        tmp_path, {"question": "Why?", "answer": "accept", "context": "c"}, {"question": "Who?", "answer": "me"}
    )
    assert table.rows.column_names == ["question", "answer", "context"]
