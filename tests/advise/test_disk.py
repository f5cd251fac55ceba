"""What a training writes against what lies in the run folder afterwards; and a full disk is told before it starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from luthier import hardware
from luthier.advise import disk
from luthier.folder import RESERVE
from luthier.pipeline import train
from small_jobs import job_of, recipe_for, write_recipe

MIB = 2**20


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes the disk have so many bytes free, for luthier's eyes."""
    return lambda free: monkeypatch.setattr(hardware, "free_disk", lambda path: free)


@pytest.mark.parametrize("method", ["full", "head"])
def test_it_is_what_the_run_leaves_and_one_checkpoint_more(
    method: str, tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", {"epochs": 4, "keep": 1}, method=method)
    _, ready = job_of(recipe)
    moments = 2 * sum(one.numel() * 4 for name, one in ready.model.named_parameters() if name in ready.applied.trained)
    said = disk.written(ready, moments)
    run = train(recipe)
    checkpoints = [_tensors(one) for one in (run.path / "checkpoints").iterdir()]
    assert len(checkpoints) == 3  # the last, the best and one older
    left = sum(checkpoints) * 4 / 3 + _tensors(run.path / "model")
    assert said == pytest.approx(left, rel=0.01, abs=2000)  # buffers that follow from the configuration are not saved


def _tensors(folder: Path) -> int:
    files = [load_file(file) for file in folder.rglob("*.safetensors")]
    return sum(one.nbytes for tensors in files for one in tensors.values())


def test_what_the_run_holds_already_is_no_longer_needed(tmp_path: Path, room: Callable[[int], None]) -> None:
    (tmp_path / "checkpoints" / "last").mkdir(parents=True)
    (tmp_path / "checkpoints" / "last" / "weights").write_bytes(bytes(3 * MIB))
    room(RESERVE)
    assert disk.lacking(3 * MIB, tmp_path) == ""
    assert disk.lacking(3 * MIB + 1, tmp_path) == (
        f"This training writes about 19.0 MB, and the disk of {tmp_path} has 19.0 MB for it. Free some space, or give an output= on "
        "another disk."
    )


@pytest.mark.parametrize("forced", [False, True])
def test_train_stops_before_it_writes(
    forced: bool,
    luthier: Callable[..., Any],
    room: Callable[[int], None],
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", {"epochs": 1}, method="head")
    file = write_recipe(recipe, tmp_path / "recipe.yaml")
    room(1000)
    done = luthier("train", file, *(["--force"] if forced else []))
    if forced:
        assert done.code == 0
        return
    assert done.code == 2
    assert "This training writes about" in done.err
    assert f"and the disk of {tmp_path / 'run'} has 1.0 kB for it. Free some space" in done.err
    assert ". luthier train --force trains all the same." in done.err
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_a_finished_run_is_not_deleted_for_one_that_finds_no_room(
    luthier: Callable[..., Any], room: Callable[[int], None], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", {"epochs": 1}, method="head")
    file = write_recipe(recipe, tmp_path / "recipe.yaml")
    assert luthier("train", file).code == 0
    room(-MIB)
    assert luthier("train", file, "--restart", "method=full").code == 2
    assert (tmp_path / "run" / "report.html").is_file()


def test_check_tells_it(
    luthier: Callable[..., Any], room: Callable[[int], None], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    file = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run", method="head"), tmp_path / "recipe.yaml")
    assert "This training writes about" not in luthier("check", file).out
    room(1000)
    said = luthier("check", file)
    told = rf"head: This training writes about 16\.\d MB, and the disk of {tmp_path / 'run'} has 1\.0 kB for it\."
    assert re.search(told, said.out)
    assert "This training writes about" not in luthier("check", file, "--machine", "gpu 24GB").out
