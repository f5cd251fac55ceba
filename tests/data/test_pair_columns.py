"""Which columns are taken for a pair of texts."""

from __future__ import annotations

from typing import Any

import datasets
import pytest

from luthier.data import columns
from luthier.errors import DataError, RecipeError
from luthier.recipe.data import Columns
from luthier.recipe.reading import read

LONG = [f"this is text number {row}, and it says something of its own" for row in range(40)]
OTHER = [f"another text, {row} words long" for row in range(40)]
TWO = ["1", "0"] * 20


def infer(given: Columns | None = None, wanted: Any = "classes", **cells: list[Any]) -> columns.Found:
    return columns.infer(datasets.Dataset.from_dict(cells), given or Columns(), wanted)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("premise", "hypothesis"),
        ("sentence1", "sentence2"),
        ("Question1", "Question2"),
        ("text_a", "text_b"),
        ("句子1", "句子2"),
    ],
)
@pytest.mark.parametrize("wanted", ["classes", "numbers"])
def test_names_that_say_it(first: str, second: str, wanted: Any) -> None:
    found = infer(None, wanted, **{"label": TWO, second: OTHER, first: LONG})
    assert (found.inputs, found.medium, found.label) == ((first, second), "pair", "label")
    assert found.why == (
        f"the texts of a pair are {first!r} and {second!r}, by their names; label is 'label' by its name"
        f"{' (2 different values)' if wanted == 'classes' else ''}."
    )


def test_the_recipe_says_it() -> None:
    found = infer(Columns(text="b", pair="a"), a=LONG, b=OTHER, label=TWO)
    assert (found.inputs, found.medium) == (("b", "a"), "pair")
    assert "as the recipe says" in found.why


def test_one_text_is_one_text() -> None:
    assert infer(Columns(text="premise"), premise=LONG, hypothesis=OTHER, label=TWO).inputs == ("premise",)
    assert infer(premise=LONG, label=TWO).inputs == ("premise",)
    assert infer(sentence1=LONG, sentence2=list(range(40)), label=TWO).inputs == ("sentence1",)


def test_a_run_finds_its_columns_again() -> None:
    rows = datasets.Dataset.from_dict({"a": LONG, "b": OTHER, "label": TWO})
    found = columns.infer(rows, Columns(text="a", pair="b"))
    keys = ("text", "also", "label", "separator", "medium", "kind")
    again = columns.again(rows, {key: getattr(found, key) for key in keys})
    assert (again.inputs, again.medium, again.label) == (found.inputs, found.medium, found.label)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Columns(text="a", pair="c"), "There is no column 'c' in the data"),
        (Columns(text="a", pair="a"), "data.columns names 'a' as both pair and text."),
        (Columns(text="a", pair="label", label="label"), "data.columns names 'label' as both pair and label."),
        (Columns(text="a", pair="n"), "data.columns.pair: column 'n' holds int64, not text."),
    ],
)
def test_columns_that_cannot_be_pairs(given: Columns, said: str) -> None:
    with pytest.raises(DataError) as refused:
        infer(given, a=LONG, b=OTHER, n=list(range(40)), label=TWO)
    assert str(refused.value).startswith(said)


def test_tagging_reads_one_input_and_takes_no_second() -> None:
    with pytest.raises(DataError) as refused:
        infer(Columns(text="a", pair="b"), "tags", a=[["x"]], b=OTHER[:1], label=[["y"]])
    assert str(refused.value) == (
        "data.columns.pair names a second text, and this task reads one input a row: leave it out."
    )


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"pair": "b"}, "`pair` names the second text of a row: give the first as `text` too"),
        (
            {"text": "a", "audio": "b"},
            "a model does not read `text` and `audio` together: it reads one of them, or an `image` and a `text`",
        ),
        ({"text": "a", "pair": "b", "image": "c"}, "a model does not read `text`, `pair` and `image` together: "),
    ],
)
def test_recipes_that_do_not_fit_together(named: dict[str, str], said: str) -> None:
    with pytest.raises(RecipeError) as refused:
        read({"data": {"files": "a.csv", "columns": named}})
    assert said in str(refused.value)
