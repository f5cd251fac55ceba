"""Label columns of every kind as values."""

from typing import Any

import datasets
import pytest

from luthier.data import columns
from luthier.data.found import Found
from luthier.data.labels import measured
from luthier.data.strata import shared
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


def numbers(column: str | list[str], **cells: list[Any]) -> list[Any]:
    rows = datasets.Dataset.from_dict({"text": ["a"] * len(next(iter(cells.values()))), **cells})
    return columns.labels(rows, Found("text", column, None, "numbers", ""))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["3.5", " -2 ", "1e-3", "+7", "", "  ", None], [3.5, -2.0, 0.001, 7.0, None, None, None]),
        ([3, 0, None], [3.0, 0.0, None]),
        ([0.1, float("nan"), 1e20], [0.1, None, 1e20]),
    ],
)
def test_numbers(cells: list[Any], expected: list[Any]) -> None:
    found = numbers("y", y=cells)
    assert found == expected
    assert {type(one) for one in found} == {float, type(None)}


def test_several_numbers_a_row_are_named_by_their_columns() -> None:
    found = numbers(["x", "y"], x=["1", "2", ""], y=[0.5, None, 3.0])
    assert found == [{"x": 1.0, "y": 0.5}, None, None]


def test_class_names_that_are_numbers_are_read_as_them() -> None:
    features = datasets.Features({"text": datasets.Value("string"), "stars": datasets.ClassLabel(names=["1", "2.5"])})
    rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "stars": [1, 0, -1]}, features=features)
    assert columns.labels(rows, Found("text", "stars", None, "numbers", "")) == [2.5, 1.0, None]


@pytest.mark.parametrize("cell", ["3,5", "1,234", "two", "NA", "nan", "inf", "1_000", "5 stars"])
def test_what_is_no_number_is_refused_with_its_row(cell: str) -> None:
    with pytest.raises(DataError) as error:
        numbers("y", y=["1.5", cell])
    assert str(error.value) == (
        f"column 'y', row 2: {cell!r} is no number. The task predicts numbers: write them with digits and a decimal point, as 3.5, and "
        "leave a cell empty where there is none; for classes write task: classify."
    )


def test_a_yes_is_no_number() -> None:
    with pytest.raises(DataError, match=r"column 'y', row 1: 'true' is no number"):
        numbers("y", y=[True, False])


def test_rows_with_numbers_are_divided_by_fifths() -> None:
    numbers = [float(number) for number in range(100)]
    found = shared(numbers)
    assert [found.count(fifth) for fifth in range(5)] == [20] * 5
    assert list(found) == sorted(found)
    assert measured(numbers)
    assert shared([{"x": number, "y": 0.0} for number in numbers]) == found
    assert len(set(shared([1.0] * 50 + [5.0] * 50))) == 2


@pytest.mark.parametrize("labels", [["a", "b"], [1, 2], []])
def test_other_labels_are_divided_by_as_they_are(labels: list[Any]) -> None:
    assert shared(labels) is labels
    assert not measured(labels)


def test_of_several_labels_each_counts_once() -> None:
    assert shared([["b", "a", "b"], []]) == [["a", "b"], []]
