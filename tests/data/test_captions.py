"""Rows of an image and a text: which columns they are, which rows cannot be used, which repeat others, and what splits share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import PIL.Image
import pytest

from luthier.data.columns import again, infer
from luthier.data.looked import as_read, look, shown
from luthier.errors import DataError
from luthier.prepare import labelled_rows, prepare
from luthier.recipe.data import Columns, Data
from luthier.recipe.reading import read

WORDS = (
    "a small red house",
    "two boats at sea",
    "nobody is in this street",
    "dogs run over green grass",
    "an old lamp on a table",
)


def picture(file: Path, seed: int) -> str:
    """A picture that is like no other."""
    coarse = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    PIL.Image.fromarray(coarse).resize((64, 64), PIL.Image.Resampling.BICUBIC).save(file)
    return str(file)


def written(folder: Path, rows: list[dict[str, Any]], name: str = "rows.csv") -> Path:
    pd.DataFrame(rows).to_csv(folder / name, index=False)
    return folder / name


def usual(folder: Path, count: int = 30) -> list[dict[str, Any]]:
    return [
        {"photo": picture(folder / f"{row}.png", row), "caption": f"{WORDS[row % 5]} {row}", "kind": "ab"[row % 2]}
        for row in range(count)
    ]


def rows_of(table: list[dict[str, Any]]) -> datasets.Dataset:
    return datasets.Dataset.from_list(table)


def test_columns_are_found_by_what_they_hold_and_by_name(tmp_path: Path) -> None:
    found = infer(rows_of(usual(tmp_path)), Columns())
    assert (found.medium, found.inputs, found.label, found.kind) == (
        "image+text",
        ("photo", "caption"),
        "kind",
        "single",
    )
    assert found.why == (
        "image and text are 'photo' and 'caption', by what its cells are, and by name; label is 'kind', the only other column with few "
        "different values (2 different values)."
    )


def test_one_column_that_is_named_stands_alone(tmp_path: Path) -> None:
    table = rows_of(usual(tmp_path))
    assert infer(table, Columns(image="photo", label="kind")).medium == "image"
    assert infer(table, Columns(text="caption", label="kind")).medium == "text"
    plain = rows_of([{"photo": row["photo"], "note": row["kind"] * 3, "kind": row["kind"]} for row in usual(tmp_path)])
    assert infer(plain, Columns(label="kind")).medium == "image"
    assert infer(plain, Columns(image="photo", text="note", label="kind")).inputs == ("photo", "note")


def test_pairs_need_no_label(tmp_path: Path) -> None:
    table = rows_of([{"photo": row["photo"], "said": row["caption"]} for row in usual(tmp_path)])
    found = infer(table, Columns(), "none")
    assert (found.inputs, found.kind, found.label) == (("photo", "said"), "none", "said")
    facts = {key: getattr(found, key) for key in ("text", "also", "label", "separator", "medium", "kind")}
    assert again(table, facts).inputs == found.inputs
    with pytest.raises(DataError) as refused:
        infer(rows_of([{"a": "one", "b": "two"}]), Columns(), "none")
    assert str(refused.value).startswith(
        "Task align learns which text belongs to which image, and it is not clear which columns hold them. The columns are: a, b."
    )
    with pytest.raises(DataError, match="There is no column 'pic' in the data"):
        infer(table, Columns(image="pic", text="said"), "none")


def test_rows_that_lack_one_of_both_are_left_out_with_the_reason(tmp_path: Path) -> None:
    table = usual(tmp_path, 12)
    (tmp_path / "cut.png").write_bytes(Path(table[0]["photo"]).read_bytes()[:40])
    table[1]["photo"], table[2]["caption"] = str(tmp_path / "cut.png"), "  "
    table[3]["photo"], table[3]["caption"], table[4]["photo"] = "", None, str(tmp_path / "gone.png")
    seen = look({"all": rows_of(table)}, infer(rows_of(usual(tmp_path, 12)), Columns()))
    unusable = seen.unusable["all"]
    assert set(unusable) == {1, 2, 3, 4}
    assert unusable[2] == "no text"
    assert unusable[3] == "no image and no text"
    assert unusable[4] == "there is no such file"
    assert shown(seen.splits["all"], seen.found)[0] == table[0]["caption"]
    assert as_read(seen.splits["all"]).column_names == ["photo", "caption", "kind"]
    assert seen.compared["all"].column_names[:2] == ["caption", "kind"]


def prepared(file: Path, **data: Any) -> Any:
    columns = {"image": "photo", "text": "caption", "label": "kind"}
    return prepare(read({"data": {"files": str(file), "columns": columns, **data}}))


def test_rows_repeat_others_by_picture_and_text_together(tmp_path: Path) -> None:
    table = usual(tmp_path)
    copy = str(tmp_path / "copy.bmp")
    PIL.Image.open(table[0]["photo"]).save(copy)
    table += [
        {"photo": copy, "caption": table[0]["caption"].upper(), "kind": "a"},
        {"photo": table[1]["photo"], "caption": table[2]["caption"], "kind": "a"},
    ]
    found = prepared(written(tmp_path, table)).facts["duplicates"]
    assert (found["exact"], found["groups"]) == (1, 1)
    assert found["sentence"].startswith("1 row repeats the picture and text of another")


def test_near_pictures_with_near_texts_are_nearly_the_same(tmp_path: Path) -> None:
    table = usual(tmp_path)
    near = str(tmp_path / "near.jpg")
    PIL.Image.open(table[0]["photo"]).save(near, quality=40)
    long = "a small red house stands behind the tall trees at the end of the road"
    table[0]["caption"] = long
    table += [
        {"photo": near, "caption": f"{long} there", "kind": "a"},
        {"photo": near, "caption": "something else entirely", "kind": "a"},
    ]
    found = prepared(written(tmp_path, table)).facts["duplicates"]
    assert (found["exact"], found["near"]) == (0, 1)


def test_splits_that_share_rows_or_images_are_said_to(tmp_path: Path) -> None:
    table = usual(tmp_path)
    test = [
        dict(table[0]),
        {"photo": table[1]["photo"], "caption": "what nobody has written before", "kind": "a"},
        {"photo": picture(tmp_path / "new.png", 99), "caption": table[2]["caption"], "kind": "b"},
    ]
    files = {"train": str(written(tmp_path, table, "train.csv")), "test": str(written(tmp_path, test, "test.csv"))}
    recipe = {
        "data": {
            "files": files,
            "columns": {"image": "photo", "text": "caption", "label": "kind"},
            "split": {"validation": 0},
        }
    }
    certificate = prepare(read(recipe)).facts["leakage"]
    leaks = {one["kind"]: one["sentence"] for one in certificate["checks"] if one["rows"]}
    assert leaks == {
        "exact": "1 of 3 test rows has the same picture and text as a train row: their scores show memory.",
        "image": "1 of 3 test rows has the same image, with another text, as a train row: the model has seen it.",
    }


def test_rows_of_another_file_for_evaluation(tmp_path: Path) -> None:
    table = usual(tmp_path, 12)
    table[3]["caption"] = ""
    facts = {
        "text": "photo",
        "also": ["caption"],
        "label": "kind",
        "separator": None,
        "medium": "image+text",
        "kind": "single",
    }
    values, labels = labelled_rows(str(written(tmp_path, table)), facts, Data(files="x"))
    assert len(values) == len(labels) == 11
    assert values[0] == (table[0]["photo"], table[0]["caption"])
