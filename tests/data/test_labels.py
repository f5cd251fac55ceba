"""Label columns of every kind as values."""

from typing import Any

import datasets
import pytest

from luthier.data import columns
from luthier.errors import DataError
from luthier.recipe.data import Columns

NAMES = ["bad", "good"]


def values(cells: list[Any], feature: Any = None, **given: Any) -> list[Any]:
    text = [f"some text {row}" for row in range(len(cells))]
    features = datasets.Features({"text": datasets.Value("string"), "label": feature}) if feature else None
    rows = datasets.Dataset.from_dict({"text": text, "label": cells}, features=features)
    return columns.labels(rows, columns.infer(rows, Columns(text="text", label="label", **given)))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["a", " b ", "", "  ", None], ["a", "b", None, None, None]),
        (["1", "0", "-2", None], [1, 0, -2, None]),
        (["1.0", "0.0", ""], [1, 0, None]),
        (["1", "0", "x"], ["1", "0", "x"]),
        (["01", "1"], ["01", "1"]),
        (["1.5", "2"], ["1.5", "2"]),
        ([1, 0, None], [1, 0, None]),
        ([1.0, 2.0, float("nan")], [1, 2, None]),
        ([0.5, 1.0], ["0.5", "1"]),
        ([True, False, None], ["true", "false", None]),
        (["NA", "null", "None"], ["NA", "null", "None"]),
    ],
)
def test_single_labels(cells: list[Any], expected: list[Any]) -> None:
    found = values(cells)
    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_integers_are_decided_by_the_training_rows() -> None:
    train = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["1", "2"]})
    test = datasets.Dataset.from_dict({"text": ["a", "b"], "label": ["1", "x"]})
    found = columns.infer(train, Columns())
    assert columns.labels(test, found) == [1, "x"]


def test_class_numbers_become_names_and_withheld_ones_are_missing() -> None:
    assert values([1, 0, -1, None], datasets.ClassLabel(names=NAMES)) == ["good", "bad", None, None]
    assert values([[1, 0], [], None], datasets.List(datasets.ClassLabel(names=NAMES))) == [["good", "bad"], [], None]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([["a", "b"], [], None, ["a", "a"]], [["a", "b"], [], None, ["a"]]),
        ([[1, 2], [3]], [["1", "2"], ["3"]]),
        (['["a", "b"]', "[]", "", None], [["a", "b"], [], None, None]),
        (["['a', 'b']", "[]"], [["a", "b"], []]),
        (['["é", null]'], [["é"]]),
    ],
)
def test_lists(cells: list[Any], expected: list[Any]) -> None:
    assert values(cells) == expected


def test_separated() -> None:
    assert values(["a|b", "a", " b | a ", "a|", "", None], separator="|") == [
        ["a", "b"],
        ["a"],
        ["b", "a"],
        ["a"],
        [],
        None,
    ]


def test_indicators() -> None:
    rows = datasets.Dataset.from_dict(
        {"text": ["a", "b", "c", "d"], "x": ["1", "0", "true", ""], "y": [1, 0, 0, 1], "z": [True, False, None, True]}
    )
    found = columns.infer(rows, Columns(text="text", label=["x", "y", "z"]))
    assert columns.labels(rows, found) == [["x", "y", "z"], [], None, None]


def test_an_indicator_that_is_neither_is_refused_with_its_row() -> None:
    rows = datasets.Dataset.from_dict({"text": ["a", "b"], "x": ["1", "2"], "y": ["1", "0"]})
    found = columns.infer(rows, Columns(text="text", label=["x", "y"]))
    with pytest.raises(DataError) as error:
        columns.labels(rows, found)
    assert str(error.value) == (
        "column 'x', row 2: '2' is neither 0 nor 1. With one column per label each cell says whether the row has it; for a single "
        "column of class names write data.columns.label: x."
    )


def test_a_list_that_cannot_be_read_is_refused() -> None:
    text = ["a", "b"]
    train = datasets.Dataset.from_dict({"text": text, "label": ['["a"]', '["b"]']})
    test = datasets.Dataset.from_dict({"text": text, "label": ['["a"]', "oops"]})
    with pytest.raises(
        DataError, match=r"column 'label' holds lists, and 'oops' is none; expected one such as \[\"a\", \"b\"\]\."
    ):
        columns.labels(test, columns.infer(train, Columns()))
