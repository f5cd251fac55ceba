"""What changed between the data of two runs, and the cleaned rows for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

from luthier.errors import DataError, RecipeError, RunError
from luthier.folder import RunFolder
from luthier.prepare import prepare
from luthier.recipe.reading import dump, parse_file, read
from luthier.versions import difference, export, keep

ROWS = [(f"text number {number} about {['rain', 'wind'][number % 2]}", "xy"[number % 2]) for number in range(40)]


def recipe(file: Path, **data: Any) -> dict[str, Any]:
    return {"data": {"files": str(file), "split": {"by": "content"}, "similarity": None, **data}}


def kept(rows: list[tuple[str, str]], folder: Path, **data: Any) -> Path:
    """A run folder with what a run keeps of its data."""
    folder.mkdir()
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(folder / "rows.csv", index=False)
    settled = read(recipe(folder / "rows.csv", **data))
    prepared, run = prepare(settled), RunFolder(folder / "run")
    run.write("recipe.yaml", dump(settled.model_dump(mode="json")))
    run.write_json("data.json", prepared.facts)
    keep(run, prepared)
    return folder / "run"


def test_added_removed_and_relabelled_rows_are_told(tmp_path: Path) -> None:
    before = kept(ROWS, tmp_path / "a")
    rows = [*ROWS[2:10], (ROWS[10][0].upper(), "y"), *ROWS[11:], ("a new one", "x")]
    found = difference(before, kept(rows, tmp_path / "b"))
    assert (found.added, found.removed, found.relabelled, found.moved) == (1, 2, 1, 0)
    assert [one["before"]["row"] for one in found.examples["removed"]] == [1, 2]
    (changed,) = found.examples["relabelled"]
    assert (changed["before"]["label"], changed["after"]["label"]) == ("x", "y")
    assert (changed["before"]["row"], changed["after"]["row"]) == (11, 9)


def test_rows_that_change_sides_are_told(tmp_path: Path) -> None:
    found = difference(kept(ROWS, tmp_path / "a"), kept(ROWS, tmp_path / "b", split={"by": "random"}))
    assert found.moved > 0
    assert (found.added, found.removed, found.relabelled) == (0, 0, 0)


def test_the_same_rows_are_the_same(tmp_path: Path) -> None:
    assert difference(kept(ROWS, tmp_path / "a"), kept([*reversed(ROWS)], tmp_path / "b")).same


def test_copies_with_other_labels_are_the_same_in_any_order(tmp_path: Path) -> None:
    rows = [*ROWS, (ROWS[0][0], "y")]
    assert difference(kept(rows, tmp_path / "a"), kept([*reversed(rows)], tmp_path / "b")).same


def test_a_folder_without_rows_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no rows\.parquet: it is no run, or one that was made before"):
        difference(tmp_path, tmp_path)


def test_the_cleaned_splits_open_with_datasets_and_pandas(tmp_path: Path) -> None:
    rows = [*ROWS, (ROWS[0][0], "x"), (ROWS[1][0], "x"), (ROWS[1][0], "y")]
    run = kept(rows, tmp_path / "a", duplicates="drop", conflicts="majority")
    sizes = export(run, tmp_path / "out")
    opened = datasets.load_from_disk(str(tmp_path / "out" / "datasets"))
    assert {name: len(one) for name, one in opened.items()} == sizes
    assert sum(sizes.values()) == 40
    tables = [pd.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in sizes]
    pairs = pd.concat(tables)[["text", "label"]].itertuples(index=False, name=None)
    assert sorted(pairs) == sorted(ROWS)


def test_files_that_have_changed_are_refused(tmp_path: Path) -> None:
    run = kept(ROWS, tmp_path / "a")
    pd.DataFrame(ROWS[:-1], columns=["text", "label"]).to_csv(tmp_path / "a" / "rows.csv", index=False)
    with pytest.raises(DataError, match=r"have changed since it was trained; restore them, or train anew\.$"):
        export(run, tmp_path / "out")


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is there already; give another folder\.$"):
        export(tmp_path, tmp_path)


def test_a_dvc_stage_names_command_inputs_and_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(ROWS, columns=["text", "label"]).to_csv("rows.csv", index=False)
    Path("recipe.yaml").write_text(dump(recipe(Path("rows.csv"))), encoding="utf-8")
    export("recipe.yaml", "out", dvc=True)
    assert parse_file(Path("dvc.yaml")) == {
        "stages": {
            "out": {
                "cmd": "luthier data export recipe.yaml --output out",
                "deps": ["recipe.yaml", "rows.csv"],
                "outs": ["out"],
            }
        }
    }
    with pytest.raises(DataError, match=r"^dvc\.yaml is there already; add this stage to it by hand:"):
        export("recipe.yaml", "other", dvc=True)


def test_a_dvc_stage_needs_a_recipe(tmp_path: Path) -> None:
    run = kept(ROWS, tmp_path / "a")
    with pytest.raises(RecipeError, match=r"^A DVC stage begins with a recipe, and .* is a run"):
        export(run, tmp_path / "out", dvc=True)
