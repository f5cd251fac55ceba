"""Duplicates and conflicts from recipe to splits: what is removed is listed, the file stays."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from luthier.data.changes import as_csv
from luthier.errors import DataError
from luthier.prepare import Prepared, prepare
from luthier.recipe.reading import read

TEXTS = [f"the {colour} {thing} was {verdict} {number}" for number in range(4) for colour in ("red", "blue", "green")
         for thing, verdict in (("boat", "lovely"), ("room", "awful"))]  # fmt: skip


@pytest.fixture
def repeating(tmp_path: Path) -> Path:
    """24 different rows, the first three once more: in capitals, with another label, and with another label twice."""
    rows = [(text, "good" if "lovely" in text else "bad") for text in TEXTS]
    rows += [(TEXTS[0].upper(), "good"), (TEXTS[1], "good"), (TEXTS[2], "bad"), (TEXTS[2] + " ", "bad")]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path / "rows.csv"


def prepared(file: Path, **data: Any) -> Prepared:
    return prepare(read({"data": {"files": str(file), "similarity": None, **data}}))


def labels_of(data: Prepared) -> dict[int, str]:
    return {
        int(number) + 1: label
        for one in data.tables.values()
        for number, label in zip(one.numbers, one.labels, strict=True)
    }


def test_they_are_reported_and_nothing_changes(repeating: Path) -> None:
    data = prepared(repeating)
    assert len(labels_of(data)) == 28
    found = data.facts["duplicates"]
    assert (found["exact"], found["conflicts"]) == (4, 2)
    assert found["sentence"] == "4 rows repeat the text of another; 2 groups of them have different labels."
    assert data.changes == []


def test_dropping_keeps_the_first_of_each_text_and_label(repeating: Path) -> None:
    data = prepared(repeating, duplicates="drop")
    assert set(labels_of(data)) == {*range(1, 25), 26, 27}
    told = list(csv.DictReader(as_csv(data.changes).splitlines()))
    assert [(one["row"], one["action"], one["step"]) for one in told] == [
        ("25", "removed", "duplicates"),
        ("28", "removed", "duplicates"),
    ]
    assert told[0]["reason"] == "the same text as row 1"


def test_conflicts_go_by_majority_and_ties_go_away(repeating: Path) -> None:
    left = labels_of(prepared(repeating, conflicts="majority"))
    assert {row: left.get(row) for row in (2, 26, 3, 27, 28)} == {2: None, 26: None, 3: "bad", 27: "bad", 28: "bad"}


def test_conflicts_can_be_dropped(repeating: Path) -> None:
    assert set(range(1, 29)) - set(labels_of(prepared(repeating, conflicts="drop"))) == {2, 26, 3, 27, 28}


def test_leaks_are_fixed_in_training_and_never_in_test(repeating: Path, tmp_path: Path) -> None:
    table = pd.read_csv(repeating)
    table.iloc[[1, 4, 5, 0]].to_csv(tmp_path / "test.csv", index=False)
    files = {"train": str(repeating), "test": str(tmp_path / "test.csv")}
    data = prepare(read({"data": {"files": files, "similarity": None, "leakage": "fix"}}))
    held = set(table["text"].iloc[[1, 4, 5, 0]].str.lower())
    assert len(data.tables["test"].labels) == 4
    for name in ("train", "validation"):
        assert not held & {text.strip().lower() for text in data.tables[name].rows["text"]}
    assert {one.step for one in data.changes} == {"leakage"}


def test_duplicates_can_be_ignored(repeating: Path) -> None:
    data = prepared(repeating, duplicates="ignore")
    assert data.facts["duplicates"] == {"sentence": "Duplicates were not looked for."}
    assert "Exact duplicates were not looked for." in data.facts["leakage"]["skipped"]


def test_conflicts_are_settled_where_duplicates_are_not_asked_for(repeating: Path) -> None:
    left = labels_of(prepared(repeating, duplicates="ignore", conflicts="drop"))
    assert set(range(1, 29)) - set(left) == {2, 26, 3, 27, 28}


def test_an_id_that_one_file_lacks_is_not_compared(repeating: Path, tmp_path: Path) -> None:
    table = pd.read_csv(repeating)
    table.assign(id=[row // 3 for row in range(len(table))]).to_csv(tmp_path / "train.csv", index=False)
    table.head(4).to_csv(tmp_path / "test.csv", index=False)
    files = {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    columns = {"text": "text", "label": "label"}
    data = prepare(read({"data": {"files": files, "columns": columns, "similarity": None}}))
    assert "Ids were not compared: no column of ids is known." in data.facts["leakage"]["skipped"]
    split = {"by": "group", "column": "id"}
    grouped = prepare(read({"data": {"files": files, "columns": columns, "similarity": None, "split": split}}))
    assert (
        "Column 'id' is not in every split, so rows were not compared by group." in grouped.facts["leakage"]["skipped"]
    )


def given(folder: Path, **splits: list[tuple[str, str]]) -> dict[str, str]:
    """Files of these rows."""
    for name, rows in splits.items():
        pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / f"{name}.csv", index=False)
    return {name: str(folder / f"{name}.csv") for name in splits}


ROWS = [(text, "good" if "lovely" in text else "bad") for text in TEXTS]


def test_leaking_splits_are_refused_where_the_recipe_says_so(tmp_path: Path) -> None:
    options: dict[str, Any] = {"similarity": None, "leakage": "error", "split": {"validation": 0}}
    clean = given(tmp_path, train=ROWS[:18], test=ROWS[18:])
    assert prepare(read({"data": {"files": clean, **options}})).facts["leakage"]["clean"]
    leaking = given(tmp_path, train=ROWS, test=[(TEXTS[3].upper(), "bad"), ("something else", "good")])
    with pytest.raises(DataError, match=r"^The splits leak, so scores would flatter:\n- .*same text as a train row"):
        prepare(read({"data": {"files": leaking, **options}}))
    told = prepare(read({"data": {"files": leaking, **options, "leakage": "report"}}))
    assert not told.facts["leakage"]["clean"]
    assert told.changes == []


def test_dropping_takes_nothing_out_of_a_given_test_file(tmp_path: Path) -> None:
    held = [ROWS[0], ROWS[0], ROWS[1], (TEXTS[23].upper(), "bad"), (TEXTS[23], "bad")]
    files = given(tmp_path, train=[*ROWS, ROWS[5], ROWS[6], ROWS[6]], validation=[ROWS[2], ROWS[2]], test=held)
    data = prepare(read({"data": {"files": files, "similarity": None, "duplicates": "drop"}}))
    assert list(data.tables["test"].rows["text"]) == [text for text, _ in held]
    assert list(data.tables["validation"].rows["text"]) == [TEXTS[2], TEXTS[2]]
    assert list(data.tables["train"].rows["text"]) == TEXTS
    assert [(one.split, one.row, one.action) for one in data.changes] == [
        ("train", 25, "removed"),
        ("train", 26, "removed"),
        ("train", 27, "removed"),
    ]


def pieces(text: str) -> set[str]:
    """Pieces of three characters."""
    return {text[at : at + 3] for at in range(len(text) - 2)}


@pytest.mark.parametrize(("similarity", "found"), [(0.8, 1), (0.95, 0)])
def test_how_alike_texts_must_be_is_what_the_recipe_says(similarity: float, found: int, tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefghilmnoprstu", k=7)) for _ in range(400)]
    texts = [" ".join(words[16 * row : 16 * row + 16]) for row in range(24)]
    texts.append(f"{texts[0][:-9]} {words[-1]}")
    one, other = pieces(texts[0]), pieces(texts[-1])
    assert 0.82 < len(one & other) / len(one | other) < 0.88
    rows = [(text, "xy"[row % 2]) for row, text in enumerate(texts)]
    files = given(tmp_path, train=rows)
    data = prepare(read({"data": {"files": files["train"], "similarity": similarity, "duplicates": "drop"}}))
    assert data.facts["duplicates"]["near"] == found
    assert data.facts["duplicates"]["exact"] == 0
    assert len(labels_of(data)) == 25 - found
