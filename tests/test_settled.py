"""What a run folder is settled on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import luthier
from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump, parse_file, read
from luthier.recipe.schema import Recipe
from luthier.settled import data_of, refuse_other_folders, refuse_to_mix, write_settled
from small_jobs import recipe_for

DATA = {"fingerprint": "abc"}


def recipe(**keys: Any) -> Recipe:
    return read({"data": {"files": "reviews.csv"}, **keys}, (), {})


@pytest.fixture
def begun(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    write_settled(folder, recipe(method="lora", train={"epochs": 3}), DATA, {"lr": 1e-4})
    return folder


def test_the_same_recipe_goes_on(begun: RunFolder) -> None:
    refuse_to_mix(begun, recipe(method="lora", train={"epochs": 3}), DATA)


def test_what_does_not_touch_the_weights_may_change(begun: RunFolder) -> None:
    train = {"epochs": 3, "save_every": 5, "keep": 1, "track": ["tensorboard"], "max_tokens": 512}
    refuse_to_mix(begun, recipe(method="lora", train=train, output="elsewhere"), DATA)


def test_another_recipe_is_refused_with_what_differs(begun: RunFolder) -> None:
    other = recipe(method={"name": "lora", "rank": 4}, train={"epochs": 5, "early_stopping": {"patience": 1}}, seed=7)
    with pytest.raises(RunError) as caught:
        refuse_to_mix(begun, other, DATA)
    text = str(caught.value)
    assert text.startswith(f"{begun.path} holds a run of another recipe:\n  method.0.rank: ")
    assert "\n  seed: 0 there, 7 in this recipe" in text
    assert "\n  train.epochs: 3 there, 5 in this recipe" in text
    assert "train.early_stopping" in text
    assert "train.lr" not in text
    assert text.endswith("\nGive another output=..., or --restart to delete that run and begin anew.")


def test_other_rows_are_refused(begun: RunFolder) -> None:
    with pytest.raises(RunError) as caught:
        refuse_to_mix(begun, recipe(method="lora", train={"epochs": 3}), {"fingerprint": "abd"})
    assert str(caught.value) == (
        f"The data have changed since the run in {begun.path} began, so it cannot go on. Give another output=..., or --restart to delete "
        "that run and begin anew."
    )


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "recipe.yaml").write_text("data: {files: reviews.csv}  # by hand: nothing was resolved")
    with pytest.raises(RunError) as caught:
        refuse_other_folders(RunFolder(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path} is not empty and holds no luthier run (it has 'recipe.yaml'). Give another output=..."
    )


def test_hidden_files_do_not_make_a_folder_foreign(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    (tmp_path / ".recipe.yaml.tmp").write_text("half a rec")
    refuse_other_folders(RunFolder(tmp_path))


def test_clearing_a_run_leaves_what_luthier_did_not_write(begun: RunFolder) -> None:
    refuse_other_folders(begun)
    (begun / "notes.txt").write_text("mine")
    (begun / "checkpoints" / "last").mkdir(parents=True)
    begun.clear()
    assert [one.name for one in begun.path.iterdir()] == ["notes.txt"]


def test_what_is_switched_on_is_no_older_recipe(begun: RunFolder) -> None:
    other = recipe(method="lora", train={"epochs": 3, "early_stopping": {"patience": 1}})
    with pytest.raises(RunError, match=r"\n  train.early_stopping.patience: None there, 1 in this recipe"):
        refuse_to_mix(begun, other, DATA)


def test_a_recipe_of_an_older_luthier_is_called_so(begun: RunFolder) -> None:
    written = parse_file(begun / "recipe.yaml")
    del written["train"]["cache"], written["data"]["packing"]
    begun.write("recipe.yaml", dump(written))
    with pytest.raises(RunError) as caught:
        refuse_to_mix(begun, recipe(method="lora", train={"epochs": 3}), DATA)
    assert str(caught.value) == (
        f"The run in {begun.path} is of an older luthier, whose recipe.yaml does not say data.packing and train.cache, so it cannot go on. "
        "Give another output=..., or --restart to delete that run and begin anew."
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> luthier.Run:
    here = tmp_path_factory.mktemp("trained")
    rows = [f"the {('good', 'bad')[row % 2]} film {row},{'yn'[row % 2]}" for row in range(60)]
    (here / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    return luthier.train(recipe_for(tiny_bert, here / "rows.csv", here / "run", {"epochs": 1}, method="head"))


@pytest.fixture
def copied(trained: luthier.Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "copy"))


def anew(run: Path) -> str:
    return f"Train it anew: luthier train {run}/recipe.yaml output=..."


OLDER = {"predict": ['"the good film"'], "evaluate": ["--on", "train"], "check": ["--against", "rows.csv"]}


@pytest.mark.parametrize("command", OLDER)
def test_a_run_of_an_older_luthier_is_called_so(command: str, copied: Path, luthier: Callable[..., Any]) -> None:
    facts = json.loads((copied / "data.json").read_text(encoding="utf-8"))
    del facts["columns"]["medium"], facts["columns"]["kind"], facts["unit"]
    (copied / "data.json").write_text(json.dumps(facts), encoding="utf-8")
    said = luthier(command, copied, *OLDER[command])
    assert (said.code, said.err) == (
        2,
        f"error: The run in {copied} is of an older luthier: its data.json does not say unit and columns.medium and columns.kind. "
        f"{anew(copied)}\n",
    )


def test_damaged_facts_are_called_so(copied: Path, luthier: Callable[..., Any]) -> None:
    (copied / "data.json").write_text("{", encoding="utf-8")
    said = luthier("predict", copied, "the good film")
    assert said.code == 2
    assert said.err.startswith(f"error: {copied}/data.json is damaged (")
    assert said.err.endswith(f"). {anew(copied)}\n")


def test_a_new_run_says_all_that_is_needed(trained: luthier.Run) -> None:
    assert data_of(trained.folder) == json.loads((trained.path / "data.json").read_text(encoding="utf-8"))
