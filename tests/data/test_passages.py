"""Questions about passages: how they are written in files, where their answers stand, and which rows cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import passages_sample
from luthier.data import columns, looked, passages, source
from luthier.data.health import examine
from luthier.errors import DataError
from luthier.prepare import prepare
from luthier.recipe.data import Columns, Data
from luthier.recipe.reading import read
from luthier.suggest import suggest

TEXT = "Anna built a lute in Rome. Anna built a harp in Oslo."


def answers_of(rows: datasets.Dataset) -> list[Any]:
    return columns.labels(rows, columns.infer(rows, Columns(), "answers"))


def rows_of(file: Path) -> datasets.Dataset:
    return next(iter(source.read(Data(files=str(file))).splits.values()))


@pytest.mark.parametrize("sample", [passages_sample.ENGLISH, passages_sample.CHINESE], ids=["english", "chinese"])
def test_squad_files_are_read_question_by_question(sample: tuple[passages_sample.Passage, ...], tmp_path: Path) -> None:
    rows = rows_of(passages_sample.write(tmp_path, sample))
    expected = [(title, text, *one) for title, text, asked in sample for one in asked]
    found = answers_of(rows)
    assert len(rows) == len(expected)
    for row, answer, (title, text, question, true) in zip(rows, found, expected, strict=True):
        assert (row["title"], row["context"], row["question"]) == (title, text, question)
        assert answer.texts == true
        assert all(text[at:].startswith(one) for at, one in zip(answer.starts, true, strict=True))
    assert not list(passages.faults(found))
    assert not list(passages.remarks(found, "all"))


def test_a_file_of_version_one_says_nothing_of_impossible_questions(tmp_path: Path) -> None:
    content = passages_sample.content(passages_sample.ENGLISH[:1])
    for asked in content["data"][0]["paragraphs"][0]["qas"]:
        del asked["is_impossible"]
    (tmp_path / "old.json").write_text(json.dumps(content), encoding="utf-8")
    assert [one.texts for one in answers_of(rows_of(tmp_path / "old.json"))] == [
        true for _, true in passages_sample.ENGLISH[0][2]
    ]


WAYS: dict[str, Any] = {
    "struct": {"text": ["Oslo"], "answer_start": [48]},
    "struct without places": {"text": ["Oslo"]},
    "one": {"text": "Oslo", "answer_start": 48},
    "plain": "Oslo",
    "several plain": ["Oslo", "a harp"],
    "json": '{"text": ["Oslo"], "answer_start": [48]}',
    "list of answers": '[{"text": "Oslo", "answer_start": 48}]',
    "no answer": {"text": [], "answer_start": []},
    "no answer in json": '{"text": [], "answer_start": []}',
}
FOUND: dict[str, tuple[str, ...]] = {"several plain": ("Oslo", "a harp"), "no answer": (), "no answer in json": ()}


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_read_however_they_are_written(way: str) -> None:
    rows = datasets.Dataset.from_list([{"question": "Where?", "context": TEXT, "answers": WAYS[way]}])
    (answer,) = answers_of(rows)
    texts = FOUND.get(way, ("Oslo",))
    assert (answer.texts, answer.starts) == (texts, tuple(map(TEXT.index, texts)))


def test_flat_rows_of_jsonl_and_csv_say_the_same(tmp_path: Path) -> None:
    given = [{"text": ["Rome"], "answer_start": [21]}, {"text": [], "answer_start": []}]
    flat = [{"question": "Where?", "context": TEXT, "answers": one} for one in given]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, flat)), encoding="utf-8")
    pd.DataFrame([one | {"answers": json.dumps(one["answers"])} for one in flat]).to_csv(
        tmp_path / "rows.csv", index=False
    )
    datasets.Dataset.from_list(flat).to_parquet(tmp_path / "rows.parquet")
    for name in ("rows.jsonl", "rows.csv", "rows.parquet"):
        assert [(one.texts, one.starts) for one in answers_of(rows_of(tmp_path / name))] == [
            (("Rome",), (21,)),
            ((), ()),
        ]


def test_an_answer_keeps_no_white_space_at_its_ends() -> None:
    found = passages.marked(TEXT, [(" Rome ", 20), ("\tOslo", None)])
    assert (found.texts, found.starts, found.moved) == (("Rome", "Oslo"), (21, 48), False)


@pytest.mark.parametrize(("said", "place"), [(0, 0), (5, 0), (20, 27), (27, 27), (99, 27), (-5, 0)])
def test_the_place_nearest_to_the_one_that_is_said_counts(said: int, place: int) -> None:
    found = passages.marked(TEXT, [("Anna", said)])
    assert (found.starts, found.moved) == ((place,), said != place)


def test_rows_whose_answer_is_not_in_its_context_are_named_and_left_out(tmp_path: Path) -> None:
    lines = [
        ("Where?", TEXT, "Rome"),
        ("Where?", TEXT, "Paris"),
        ("Who?", "", "Anna"),
        ("Who?", TEXT, ""),
        ("What?", TEXT, "a lute"),
    ]
    rows = pd.DataFrame(lines * 8, columns=["question", "context", "answer"])
    rows["context"] = [f"{number} {text}" if text else "" for number, text in enumerate(rows["context"])]
    rows.to_csv(tmp_path / "rows.csv", index=False)
    recipe = {"task": "answer", "model": "none", "data": {"files": str(tmp_path / "rows.csv")}}
    bad = prepare(read(recipe, (), {})).facts["bad_rows"]
    assert bad["rows"] == 24
    assert [(one["row"], one["reason"]) for one in bad["examples"][:3]] == [
        (2, "the answer 'Paris' is not in its context"),
        (3, "no text in 'context'"),
        (4, "no label"),
    ]
    recipe["data"]["bad_rows"] = "error"
    with pytest.raises(
        DataError, match=r"24 of 40 rows of the data cannot be used: row 2 \(the answer 'Paris' is not in its context\)"
    ):
        prepare(read(recipe, (), {}))


def test_answers_that_stand_elsewhere_are_said() -> None:
    said = [{"text": ["Oslo"], "answer_start": [at]} for at in (3, 48, 40)]
    rows = datasets.Dataset.from_list([{"question": "Where?", "context": TEXT, "answers": one} for one in said])
    seen = looked.look({"train": rows}, columns.infer(rows, Columns(), "answers"))
    assert seen.odd == [
        "2 rows of train with an answer that does not stand where answer_start says, such as row 1, 3: the nearest place where it does "
        "was taken."
    ]


def test_questions_about_one_text_are_no_copies(tmp_path: Path) -> None:
    recipe = {
        "task": "answer",
        "model": "none",
        "data": {
            "files": str(passages_sample.write(tmp_path)),
            "duplicates": "drop",
            "split": {"by": "group", "column": "title"},
        },
    }
    facts = prepare(read(recipe, (), {})).facts
    assert (facts["duplicates"]["exact"], facts["duplicates"]["near"]) == (0, 0)
    assert sum(part["rows"] for part in facts["splits"].values()) == sum(
        len(asked) for *_, asked in passages_sample.ENGLISH
    )


BROKEN = {
    "context": ({"qas": []}, "`context` is missing"),
    "qas": ({"context": "a"}, "`qas` is missing"),
    "question": ({"context": "a", "qas": [{"answers": []}]}, "`question` is missing"),
    "text": ({"context": "a", "qas": [{"question": "b", "answers": [{"answer_start": 0}]}]}, "`text` is missing"),
    "answer_start": (
        {"context": "a", "qas": [{"question": "b", "answers": [{"text": "a", "answer_start": "0"}]}]},
        "'0' where a int belongs",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_squad_file_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    paragraph, said = BROKEN[name]
    if name == "context":
        paragraph = {"qas": [{"question": "b", "answers": []}]}
    (tmp_path / "rows.json").write_text(
        json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}), encoding="utf-8"
    )
    with pytest.raises(DataError, match=f"article 1, paragraph 1: .*{name}.*expected SQuAD's") as wrong:
        rows_of(tmp_path / "rows.json")
    assert said in str(wrong.value)


def test_columns_that_are_not_there_are_named() -> None:
    rows = datasets.Dataset.from_dict({"q": ["a"], "p": ["b"], "a": ["b"]})
    with pytest.raises(DataError, match=r"(?s)Task answer needs a column of questions.*q, p, a.*Say which they are"):
        columns.infer(rows, Columns(), "answers")
    with pytest.raises(DataError, match="There is no column 'question'"):
        columns.infer(rows, Columns(text="question", pair="p", label="a"), "answers")
    with pytest.raises(DataError, match="three different columns"):
        columns.infer(rows, Columns(text="q", pair="p", label="q"), "answers")
    with pytest.raises(DataError, match="answers stand in one column; got a list"):
        columns.infer(rows, Columns(text="q", pair="p", label=["a", "p"]), "answers")
    found = columns.infer(rows, Columns(text="q", pair="p", label="a"), "answers")
    assert (found.inputs, found.label, found.medium) == (("q", "p"), "a", "question")


def test_init_sees_what_they_are(tmp_path: Path) -> None:
    text = suggest(str(passages_sample.write(tmp_path)))
    recipe = read(write_text(tmp_path, text))
    assert recipe.task.name == "answer"
    assert (recipe.data.columns.text, recipe.data.columns.pair, recipe.data.columns.label) == (
        "question",
        "context",
        "answers",
    )
    assert (recipe.data.split.by, recipe.data.split.column) == ("group", "title")
    assert "with an answer: 22" in text
    assert "without an answer: 5" in text


def test_init_takes_answers_in_other_words_for_texts_to_write(tmp_path: Path) -> None:
    rows = [
        {"question": f"How is it {at}?", "context": f"{TEXT} {at}", "answer": f"In my own words, {at}."}
        for at in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert "task: generate" in suggest(str(tmp_path / "rows.jsonl"))


def write_text(place: Path, text: str) -> Path:
    (place / "recipe.yaml").write_text(text, encoding="utf-8")
    return place / "recipe.yaml"


def asked(rows: int, name: str = "") -> list[dict[str, Any]]:
    """Three questions about each of some texts."""
    return [
        {
            "question": f"What is number {row}{name}?",
            "context": f"Text {row // 3}{name} says that it is red, green or blue and nothing else.",
            "answer": ("red", "green", "blue")[row % 3],
        }
        for row in range(rows)
    ]


def certified(files: Any, **data: Any) -> dict[str, Any]:
    recipe = {"task": "answer", "model": "demo/minilm-en", "data": {"files": files, **data}}
    return prepare(read(recipe)).facts


def of_passages(facts: dict[str, Any]) -> dict[tuple[str, ...], int]:
    return {tuple(one["splits"]): one["rows"] for one in facts["leakage"]["checks"] if one["kind"] == "passage"}


def test_texts_on_two_sides_of_a_division_are_a_leak_and_a_group_mends_it(tmp_path: Path) -> None:
    file = written(tmp_path / "rows.jsonl", asked(90))
    facts = certified(str(file))
    rows = of_passages(facts)
    assert rows["train", "test"] > 5
    assert rows["train", "test"] == sum(
        one["rows"] for one in facts["leakage"]["checks"] if one["splits"] == ["train", "test"]
    )
    (found,) = [one for one in examine(facts | {"max_length": 64, "unit": "tokens"}) if one.topic == "leakage"]
    assert found.line == "data.split={by: group, column: context}"
    mended = certified(str(file), split={"by": "group", "column": "context"})
    assert set(of_passages(mended).values()) == {0}
    assert mended["leakage"]["clean"]
    assert "Near duplicates were not looked for." in mended["leakage"]["skipped"], "questions about one text are alike"
    assert (
        mended["duplicates"]["sentence"] == "0 rows repeat the text of another; 0 groups of them have different labels."
    )


def test_a_planted_text_is_named_refused_and_taken_out_of_training(tmp_path: Path) -> None:
    test = asked(30, " of the test")
    test[4]["context"] = asked(90)[6]["context"]
    test[8] = asked(90)[20]
    files = {
        "train": str(written(tmp_path / "train.jsonl", asked(90))),
        "validation": str(written(tmp_path / "validation.jsonl", asked(12, " of validation"))),
        "test": str(written(tmp_path / "test.jsonl", test)),
    }
    facts = certified(files)
    leaks = {(one["kind"], *one["splits"]): one for one in facts["leakage"]["checks"] if one["rows"]}
    assert {key: one["rows"] for key, one in leaks.items()} == {
        ("exact", "train", "test"): 1,
        ("passage", "train", "test"): 1,
    }
    told = leaks["passage", "train", "test"]
    assert told["sentence"] == (
        "1 of 30 test rows has a question, but another one, about the same text as a train row: the model has read that text."
    )
    assert [(one["split"], one["row"]) for one in told["examples"][0]["places"]] == [("test", 5), ("train", 7)]
    with pytest.raises(DataError, match=r"The splits leak.*\n.*\n- 1 of 30 test rows has a question, but another one"):
        certified(files, leakage="error")
    fixed = certified(files, leakage="fix")
    assert fixed["splits"]["train"]["rows"] == 90 - 6, "those of both texts, copy and all"
    assert fixed["splits"]["test"]["rows"] == 30


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return file
