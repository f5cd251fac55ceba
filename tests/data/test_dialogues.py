"""Prompts, answers and conversations: which columns, which rows, and both as turns."""

from __future__ import annotations

from typing import Any

import datasets
import pytest

from luthier.data import columns, dialogues, looked
from luthier.data.answers import Answer
from luthier.data.labels import labels, measured
from luthier.data.strata import shared
from luthier.errors import DataError
from luthier.recipe.data import Columns

ASKED = {"role": "user", "content": "Who?"}
SAID = {"role": "assistant", "content": "Me."}


def table(**cells: list[Any]) -> datasets.Dataset:
    return datasets.Dataset.from_dict(cells)


@pytest.mark.parametrize(
    ("names", "inputs", "label", "medium"),
    [
        (("instruction", "input", "output"), ("instruction", "input"), "output", "instruction"),
        (("output", "instruction"), ("instruction",), "output", "prompt"),
        (("id", "Prompt", "Completion"), ("Prompt",), "Completion", "prompt"),
        (("dialogue", "summary"), ("dialogue",), "summary", "prompt"),
        (("input", "output"), ("input",), "output", "prompt"),
        (("问题", "回答"), ("问题",), "回答", "prompt"),
    ],
)
def test_columns_are_found_by_their_names(
    names: tuple[str, ...], inputs: tuple[str, ...], label: str, medium: str
) -> None:
    found = columns.infer(table(**{name: ["a", "b"] for name in names}), Columns(), "texts")
    assert (found.inputs, found.label, found.medium, found.kind) == (inputs, label, medium, "texts")
    assert found.encoded == (*inputs, label)


def test_columns_may_be_named() -> None:
    rows = table(a=["x"], b=["y"], c=["z"])
    found = columns.infer(rows, Columns(text="c", pair="b", label="a"), "texts")
    assert found.encoded == ("c", "b", "a")
    assert columns.again(rows, {**vars(found)}) == found


def test_conversations_are_one_column() -> None:
    rows = table(id=["x"], messages=[[ASKED, SAID]])
    found = columns.infer(rows, Columns(), "texts")
    assert (found.encoded, found.medium) == (("messages",), "dialogue")
    assert columns.again(rows, {**vars(found)}) == found
    assert columns.infer(rows, Columns(text="messages"), "texts").medium == "dialogue"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Columns(), "Task generate needs a column of prompts and one of answers, or one of conversations"),
        (Columns(text="a"), "Columns with text are: a, b. Say which they are"),
        (Columns(text="a", label="a"), "Columns with text are: a, b"),
        (Columns(text="n", label="a"), "Columns with text are: a, b"),
        (Columns(text="aa"), "There is no column 'aa' in the data; did you mean"),
        (Columns(label=["a", "b"]), "an answer stands in one column; got a list"),
    ],
)
def test_what_is_not_clear_is_refused(given: Columns, said: str) -> None:
    with pytest.raises(DataError, match=said):
        columns.infer(table(a=["x"], b=["y"], n=[1]), given, "texts")


def test_rows_as_turns() -> None:
    assert dialogues.conversation(("Do it. ", "", None)) == [{"role": "user", "content": "Do it."}]
    assert dialogues.conversation(("Do", "this", " done ")) == [
        {"role": "user", "content": "Do\n\nthis"},
        {"role": "assistant", "content": "done"},
    ]
    shared_gpt = [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]
    assert dialogues.conversation(shared_gpt) == [ASKED, SAID]
    assert dialogues.written(shared_gpt) == "Who?"
    assert dialogues.written([ASKED, SAID, ASKED, SAID]) == "user: Who?\nassistant: Me.\nuser: Who?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ([ASKED, SAID], ""),
        ([ASKED, SAID, ASKED], ""),
        ([], "no turns"),
        (None, "no turns"),
        ([ASKED], "no assistant turn"),
        ([SAID], "no prompt"),
        ([ASKED, {"role": "assistant", "content": None}], "the assistant's last turn is empty"),
        ([ASKED, {"role": "owl", "content": "Hu"}, SAID], "there is no speaker 'owl'"),
        (("Who?", None), "no answer"),
        ((None, "Me."), "no prompt"),
        (("Who?", "Me."), ""),
    ],
)
def test_rows_that_cannot_be_learned_from(row: Any, reason: str) -> None:
    assert dict(dialogues.unusable([row])) == ({0: reason} if reason else {})


def test_rows_are_compared_by_what_is_asked() -> None:
    rows = table(prompt=["Who?", "", "What?"], answer=["Me.", "It", " "])
    seen = looked.look({"all": rows}, columns.infer(rows, Columns(), "texts"))
    assert looked.shown(seen.splits["all"], seen.found) == ["Who?", "", "What?"]
    assert seen.unusable == {"all": {1: "no prompt", 2: "no answer"}}
    answers = labels(seen.splits["all"], seen.found)
    assert answers == ["Me.", "It", ""]
    assert measured(answers), "free answers are no classes"
    assert set(shared([Answer("a"), Answer("b")])) == {""}


def test_a_split_without_one_of_the_columns_is_refused() -> None:
    splits = {"train": table(dialogue=["a"], summary=["b"]), "test": table(dialogue=["a"], summary1=["b"])}
    found = columns.infer(splits["train"], Columns(), "texts")
    said = r"The test split has no column 'summary', which the train split has; did you mean 'summary1'\? Give the columns of all files"
    with pytest.raises(DataError, match=said):
        looked.look(splits, found)
