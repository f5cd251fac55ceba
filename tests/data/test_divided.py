"""`data.split` from recipe to splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from luthier.errors import DataError
from luthier.prepare import Prepared, prepare
from luthier.recipe.reading import read

ROWS = 120


@pytest.fixture
def dated(tmp_path: Path) -> Path:
    """A csv with a date, an author and a split for each row; dates are not in order."""
    days = pd.to_datetime("2024-01-01") + pd.to_timedelta([(row * 37) % ROWS for row in range(ROWS)], "D")
    table = pd.DataFrame(
        {
            "text": [
                f"row {row} tells about {['rain', 'wind', 'snow'][row % 3]} number {row * row}" for row in range(ROWS)
            ],
            "label": ["xy"[row % 2] for row in range(ROWS)],
            "day": days.strftime("%d.%m.%Y"),
            "author": [f"author {(row // 2) % 12}" for row in range(ROWS)],
            "part": ["dev" if row % 10 == 0 else "testing" if row % 10 == 1 else "train" for row in range(ROWS)],
        }
    )
    table.to_csv(tmp_path / "dated.csv", index=False)
    return tmp_path / "dated.csv"


def divided(file: Path, **split: Any) -> Prepared:
    return prepare(read({"data": {"files": str(file), "split": split}}))


def test_by_time_no_row_is_later_than_one_that_is_scored(dated: Path) -> None:
    data = divided(dated, by="time", column="day")
    days = {name: pd.to_datetime(list(one.rows["day"]), format="%d.%m.%Y") for name, one in data.tables.items()}
    assert days["train"].max() < days["validation"].min()
    assert days["validation"].max() < days["test"].min()
    assert data.facts["split"] == "by time of column 'day', 8:1:1"
    assert {one["kind"]: one["rows"] for one in data.facts["leakage"]["checks"]}["time"] == 0


def test_by_group_no_author_is_on_two_sides(dated: Path) -> None:
    data = divided(dated, by="group", column="author", parts="2:1:1")
    authors = [set(one.rows["author"]) for one in data.tables.values()]
    assert len(set.union(*authors)) == sum(map(len, authors)) == 12
    assert data.facts["split"] == "by group of column 'author', 2:1:1, seed 0"


def test_as_a_column_gives_it(dated: Path) -> None:
    data = divided(dated, by="given", column="part")
    assert {name: len(one.labels) for name, one in data.tables.items()} == {"train": 96, "validation": 12, "test": 12}
    assert data.facts["split"] == "by given of column 'part', as it says"


def test_by_content_new_rows_move_no_old_one(dated: Path, tmp_path: Path) -> None:
    table = pd.read_csv(dated)
    grown = pd.concat([table.assign(text=table["text"] + " more"), table])
    grown.to_csv(tmp_path / "grown.csv", index=False)
    before, after = divided(dated, by="content"), divided(tmp_path / "grown.csv", by="content")
    for name, one in before.tables.items():
        assert set(one.rows["text"]) <= set(after.tables[name].rows["text"])


def test_folds_test_every_row_once(dated: Path) -> None:
    tested = [set(divided(dated, folds=4, fold=fold).tables["test"].rows["text"]) for fold in (1, 2, 3, 4)]
    assert sum(map(len, tested)) == len(set.union(*tested)) == ROWS


def test_sizes_are_met(dated: Path) -> None:
    data = divided(dated, sizes={"validation": 10, "test": 25})
    assert {name: len(one.labels) for name, one in data.tables.items()} == {"train": 85, "validation": 10, "test": 25}
    assert data.facts["split"] == "random, stratified 10 validation, 25 test, seed 0"


def test_a_column_that_is_not_there_is_named(dated: Path) -> None:
    with pytest.raises(
        DataError, match=r"^data\.split\.column: there is no column 'days' in the data; did you mean 'day'\?$"
    ):
        divided(dated, by="time", column="days")


@pytest.fixture
def two_files(dated: Path, tmp_path: Path) -> dict[str, str]:
    """The rows as training and test files, without validation."""
    table = pd.read_csv(dated)
    files = {"train": table.iloc[:90], "test": table.iloc[90:]}
    for name, rows in files.items():
        rows.to_csv(tmp_path / f"{name}.csv", index=False)
    return {name: str(tmp_path / f"{name}.csv") for name in files}


def test_validation_is_held_back_in_the_same_way_and_a_given_test_stays(two_files: dict[str, str]) -> None:
    data = prepare(read({"data": {"files": two_files, "split": {"by": "group", "column": "author"}}}))
    train, validation = (set(data.tables[name].rows["author"]) for name in ("train", "validation"))
    assert not train & validation
    assert len(data.tables["test"].labels) == 30
    assert data.facts["split"] == (
        "as the files give it; 10% of the training rows held back for validation by group of column 'author', seed 0"
    )


def test_a_column_of_splits_beside_given_files_is_refused(two_files: dict[str, str]) -> None:
    with pytest.raises(DataError) as refused:
        prepare(read({"data": {"files": two_files, "split": {"by": "given", "column": "part"}}}))
    assert str(refused.value) == (
        "data.split by: given reads train, validation and test from a column of one file, and the files give them already. Name a "
        "validation file in data.files, or leave data.split out."
    )


def test_folds_of_given_files_are_refused(two_files: dict[str, str]) -> None:
    with pytest.raises(
        DataError, match=r"^data\.split\.folds divides one file, and the files give the splits already: leave folds out"
    ):
        prepare(read({"data": {"files": two_files, "split": {"folds": 4}}}))


def test_rows_drawn_for_a_trial_keep_a_class_that_is_rare_in_training(tmp_path: Path) -> None:
    """Of the given test rows the class is a tenth: without a training row of it nothing could be encoded."""
    for name, count, rare in (("train", 400, {17, 230}), ("test", 60, set(range(0, 60, 10)))):
        labels = ["rare" if row in rare else "ab"[row % 2] for row in range(count)]
        texts = [f"{name} row {row} tells about number {row * row}" for row in range(count)]
        pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / f"{name}.csv", index=False)
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    recipe = {"data": {"files": files, "rows": 40, "similarity": None}}
    for seed in range(4):
        data = prepare(read({**recipe, "seed": seed}))
        assert {name: len(one.labels) for name, one in data.tables.items()} == {
            "train": 36,
            "validation": 4,
            "test": 40,
        }
        assert data.facts["target"]["labels"] == ["a", "b", "rare"]
        assert data.target.encode(data.tables["test"].labels).max() == 2


@pytest.fixture
def rare(tmp_path: Path) -> Path:
    """400 rows in one file; of the class `rare` two are for training, by the column `part`, and ten for testing."""
    labels = ["rare" if row in {17, 230, *range(300, 400, 10)} else "ab"[row % 2] for row in range(400)]
    parts = ["train" if row < 300 else "test" for row in range(400)]
    texts = [f"row {row} tells about number {row * row}" for row in range(400)]
    pd.DataFrame({"text": texts, "label": labels, "part": parts}).to_csv(tmp_path / "rare.csv", index=False)
    return tmp_path / "rare.csv"


@pytest.mark.parametrize("split", [{"by": "random"}, {"by": "given", "column": "part"}], ids=["random", "given"])
def test_rows_drawn_from_one_file_keep_a_class_that_is_rare_in_training(rare: Path, split: dict[str, str]) -> None:
    for seed in range(4):
        recipe = {"data": {"files": str(rare), "rows": 12, "similarity": None, "split": split}, "seed": seed}
        data = prepare(read(recipe))
        assert sum(len(one.labels) for one in data.tables.values()) == 12
        assert set(data.tables["train"].labels) == {"a", "b", "rare"}


def test_rows_drawn_of_given_splits_keep_their_proportions(rare: Path) -> None:
    split = {"by": "given", "column": "part"}
    data = prepare(read({"data": {"files": str(rare), "rows": 100, "similarity": None, "split": split}}))
    assert {name: len(one.labels) for name, one in data.tables.items()} == {"train": 75, "test": 25}
    assert {name: set(one.rows["part"]) for name, one in data.tables.items()} == {"train": {"train"}, "test": {"test"}}
    whole = prepare(read({"data": {"files": str(rare), "rows": 4000, "similarity": None, "split": split}}))
    assert {name: len(one.labels) for name, one in whole.tables.items()} == {"train": 300, "test": 100}


def test_fewer_rows_than_labels_are_refused(tmp_path: Path) -> None:
    texts = [f"row {row} tells about number {row * row}" for row in range(400)]
    labels = [f"label {row % 20}" for row in range(400)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "many.csv", index=False)
    with pytest.raises(DataError, match=r"data\.rows: 10 rows cannot hold one of each of training's 20 labels"):
        prepare(read({"data": {"files": str(tmp_path / "many.csv"), "rows": 10}}))


def test_rows_with_numbers_are_divided_as_asked(tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("text,y\n" + "".join(f"text number {row},{row}.5\n" for row in range(200)), encoding="utf-8")
    recipe = read(
        {"task": "regress", "data": {"files": str(file), "columns": {"text": "text", "label": "y"}, "rows": 100}}
    )
    tables = prepare(recipe).tables
    assert {name: len(table.labels) for name, table in tables.items()} == {"train": 80, "validation": 10, "test": 10}
    for table in tables.values():
        assert {int(label // 40) for label in table.labels} == {0, 1, 2, 3, 4}
