"""Which columns are taken, by name, by content, or not at all."""

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from luthier.data import columns, source
from luthier.errors import DataError
from luthier.prepare import prepare
from luthier.recipe.data import Columns, Data
from luthier.recipe.reading import read

LONG = [f"this is text number {row}, and it says something of its own" for row in range(40)]
SHORT = [f"key{row}" for row in range(40)]
TWO = ["1", "0"] * 20
FIVE = ["red", "blue", "green", "white", "black"] * 8


def infer(given: Columns | None = None, **cells: list[Any]) -> columns.Found:
    return columns.infer(datasets.Dataset.from_dict(cells), given or Columns())


@pytest.mark.parametrize(
    ("cells", "text", "label"),
    [
        ({"text": LONG, "label": TWO}, "text", "label"),
        ({"label": TWO, "review": LONG}, "review", "label"),
        ({"评论": LONG, "情感": TWO}, "评论", "情感"),
        ({"评论内容": LONG, "情感标签": TWO}, "评论内容", "情感标签"),
        ({"Title": LONG, "Content": LONG, "Category": FIVE}, "Content", "Category"),
        ({"id": SHORT, "review_text": LONG, "reviewStars": FIVE}, "review_text", "reviewStars"),
        ({"text": LONG, "label_text": FIVE, "label": TWO}, "text", "label"),
        ({"text_type": FIVE, "comment_text": LONG, "target": TWO}, "comment_text", "target"),
        ({"text": LONG, "score": [f"{row / 7:.5f}" for row in range(40)], "class": TWO}, "text", "class"),
    ],
)
def test_names_come_first(cells: dict[str, list[Any]], text: str, label: str) -> None:
    found = infer(**cells)
    assert (found.text, found.label, found.kind) == (text, label, "single")
    assert f"text is {text!r} by its name; label is {label!r} by its name" in found.why


def test_content_decides_where_names_do_not() -> None:
    found = infer(a=SHORT, b=LONG, c=FIVE, d=[str(row * 1.37) for row in range(40)])
    assert (found.text, found.label) == ("b", "c")
    assert found.why == (
        "text is 'b', which holds the longest strings (56 characters on average); label is 'c', the only other column with few "
        "different values (5 different values)."
    )


def test_several_columns_of_zero_and_one_are_a_label_each() -> None:
    found = infer(id=SHORT, comment=LONG, toxic=TWO, insult=["0"] * 39 + ["1"], threat=["0"] * 40)
    assert (found.text, found.kind) == ("comment", "indicator")
    assert found.label == ["toxic", "insult", "threat"]
    assert "which hold only 0 and 1: one column per label" in found.why


def test_a_list_column_is_multi_label_also_as_text() -> None:
    lists = [["a"], ["a", "b"]] * 20
    assert infer(text=LONG, tags=lists).kind == "list"
    assert infer(x=LONG, y=lists).label == "y"
    assert infer(text=LONG, tags=[json.dumps(one) for one in lists]).kind == "list"
    assert infer(text=LONG, tags=[str(one) for one in lists]).kind == "list"


def test_a_class_label_feature_is_the_label() -> None:
    features = datasets.Features(
        {"a": datasets.Value("string"), "b": datasets.ClassLabel(names=["x", "y"]), "c": datasets.Value("string")}
    )
    rows = datasets.Dataset.from_dict({"a": LONG, "b": [0, 1] * 20, "c": FIVE}, features=features)
    assert columns.infer(rows, Columns()).label == "b"


def test_given_columns_are_taken() -> None:
    cells = {"text": LONG, "label": TWO, "other": FIVE, "more": LONG}
    found = infer(Columns(text="more", label="other"), **cells)
    assert (found.text, found.label, found.kind) == ("more", "other", "single")
    assert found.why == "text is 'more', as the recipe says; label is 'other', as the recipe says."
    assert infer(Columns(label=["label", "other"]), **cells).kind == "indicator"
    assert infer(Columns(label="other", separator="|"), **cells).kind == "separated"


def test_a_given_label_is_not_taken_for_the_text() -> None:
    assert infer(Columns(label="text"), text=FIVE, body_of_it=LONG).text == "body_of_it"


@pytest.mark.parametrize(
    ("values", "integers"),
    [(TWO, True), (["1.0", "0.0"] * 20, True), (FIVE, False), (["01", "1"] * 20, False), ([1, 0] * 20, True)],
)
def test_integers_are_told(values: list[Any], integers: bool) -> None:
    assert infer(text=LONG, label=values).integers is integers


def test_a_sorted_file_shows_all_its_classes() -> None:
    cells = {"a": [f"a long text with number {row}" for row in range(20_000)], "b": ["x"] * 19_000 + ["y"] * 1_000}
    assert infer(**cells).label == "b"


@pytest.mark.parametrize("rows", [2, 6])
def test_tiny_data_are_enough(rows: int) -> None:
    found = infer(text=LONG[:rows], label=FIVE[:rows])
    assert (found.text, found.label) == ("text", "label")


def test_a_label_column_with_one_class_is_left_to_the_task() -> None:
    assert infer(text=LONG, label=["1"] * 40).label == "label"


def test_an_unknown_column_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError) as error:
        infer(Columns(text="reviw"), review=LONG, label=TWO)
    assert (
        str(error.value)
        == "There is no column 'reviw' in the data; did you mean 'review'? The columns are review, label."
    )
    with pytest.raises(
        DataError, match=r"There is no column 'zzz' in the data; known: label, review\. The columns are review, label\."
    ):
        infer(Columns(label=["label", "zzz"]), review=LONG, label=TWO)


def test_a_text_column_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(DataError, match=r"data\.columns\.text: column 'number' holds int64, not text\."):
        infer(Columns(text="number"), number=list(range(40)), label=TWO)
    with pytest.raises(DataError, match=r"data\.columns names 'text' as both text and label\."):
        infer(Columns(text="text", label="text"), text=LONG, label=TWO)


def test_an_unclear_text_is_refused_with_candidates_and_lines_to_write() -> None:
    with pytest.raises(DataError) as error:
        infer(left=LONG, right=LONG[::-1], label=TWO)
    said = str(error.value)
    assert said.startswith(
        "It is not clear which column holds the text: it could be left or right. The columns are: left (40 values, "
    )
    assert said.endswith("Say it in the recipe:\ndata:\n  columns: {text: left, label: label}")


def test_an_unclear_label_is_refused_with_candidates_and_lines_to_write() -> None:
    with pytest.raises(DataError) as error:
        infer(text=LONG, colour=FIVE, size=["s", "m"] * 20)
    said = str(error.value)
    assert said.startswith(
        "It is not clear which column holds the label: it could be colour or size. The columns are: text (40 values"
    )
    assert said.endswith("data:\n  columns: {text: text, label: colour}")
    with pytest.raises(DataError, match="It is not clear which column holds the label: none looks like it"):
        infer(text=LONG, id=SHORT)


def test_numbers_that_could_both_be_meant_are_refused_and_so_is_none(tmp_path: Path) -> None:
    numbers = [f"{row / 7:.5f}" for row in range(40)]
    cases = {
        "it could be width or height": {"text": LONG, "width": numbers, "height": numbers[::-1]},
        "none looks like it": {"text": LONG, "colour": FIVE},
    }
    for found, cells in cases.items():
        file = tmp_path / "rows.csv"
        datasets.Dataset.from_dict(cells).to_csv(file, index=False)
        with pytest.raises(DataError) as error:
            prepare(read({"task": "regress", "data": {"files": str(file)}}))
        assert str(error.value).startswith(
            f"It is not clear which column holds the number to predict: {found}. The columns are: "
        )
        assert str(error.value).endswith(f"label: {'width' if 'width' in cells else '...'}}}")


def test_tags_stand_in_one_column(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"tokens": ["a"], "tags": ["O"], "more": ["O"]}\n' * 20, encoding="utf-8")
    with pytest.raises(DataError) as error:
        prepare(read({"task": "tag", "data": {"files": str(file), "columns": {"label": ["tags", "more"]}}}))
    assert str(error.value) == "data.columns.label: the tags of a row stand in one column; got a list."


@pytest.mark.parametrize(
    "header",
    ["1,a great film that I liked", "I liked this film very much and would see it again and again,1", "x,good"],
)
def test_a_file_without_header_is_told(tmp_path: Path, header: str) -> None:
    by_label = {"1": "{label},{text}\n", "I": "{text},{label}\n", "x": "{text},{label}\n"}[header[0]]
    names = ["good", "bad"] if header[0] == "x" else ["1", "0"]
    (tmp_path / "a.csv").write_text(
        header
        + "\n"
        + "".join(by_label.format(text=f"text {row} of some length", label=names[row % 2]) for row in range(30))
    )
    rows = source.read(Data(files=str(tmp_path / "a.csv"))).splits["all"]
    with pytest.raises(
        DataError,
        match=r"The data seem to have no header: the first line is .* Put a line of column names above it, such as text,label\.",
    ):
        columns.infer(rows, Columns())


@pytest.mark.parametrize(
    ("file", "text", "integers"),
    [
        ("hotel_reviews_zh", "review", True),
        ("news_titles_zh_dev", "text", False),
        ("sms_spam_en", "text", False),
        ("sst2_en_dev", "text", True),
    ],
)
def test_real_files(assets: Path, file: str, text: str, integers: bool) -> None:
    rows = source.read(Data(files=str(assets / "data" / f"{file}.csv"))).splits["all"]
    found = columns.infer(rows, Columns())
    assert (found.text, found.label, found.kind, found.integers) == (text, "label", "single", integers)
