"""What a run folder is settled on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.settled import refuse_other_folders, refuse_to_mix, write_settled

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
