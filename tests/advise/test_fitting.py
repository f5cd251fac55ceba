"""What will not fit is stopped before it starts, with settings that do."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from luthier.advise import fitting
from luthier.advise.fitting import Need, need_of, verdict
from luthier.advise.machine import Machine
from luthier.recipe.reading import read
from small_jobs import job_of, recipe_for, write_recipe


def machine(room: int) -> Machine:
    return Machine("this machine", "cpu", int(room / fitting.SAFE) + 2, 0)


def test_it_fits(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    assert verdict(ready, machine(need_of(ready, "cpu").total), job.accelerator) == ""


def test_smaller_micro_batches_are_nearest(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    need = need_of(ready, "cpu")
    asked = max(need.longest, fitting.SMALLEST) + 2
    assert asked < need.largest
    told = verdict(ready, machine(int(need.fixed + need.position * asked)), job.accelerator)
    found = re.search(r"What fits: train\.max_tokens=(\d+) \(", told)
    assert found, told
    assert need.longest <= int(found[1]) <= asked


def test_another_method_is_next(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = (), ("train.gradient_checkpointing=true",), ("method=bias", "stages=")
    monkeypatch.setattr(fitting, "SMALLER", rows)  # LoRA of rank 16 is as large as this network
    job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    told = verdict(ready, machine(int(0.6 * need_of(ready, "cpu").fixed)), job.accelerator)
    assert re.match(
        r"This training takes about [\d.]+ MB of memory, and this machine has [\d.]+ MB for it\. What fits: method=bias ",
        told,
    )


def test_labels_are_judged_once(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    asked: list[str] = []
    monkeypatch.setattr("luthier.build.judge_labels", lambda data, recipe, *rest: asked.append(recipe.data.labels))
    before = copy.deepcopy(ready.data.facts)
    again = fitting.again(ready, read(ready.recipe, ["data.labels=drop", "method=head"]), job.accelerator)
    assert asked == ["ignore"]  # were they dropped, doing so again would drop others
    assert len(again.data.rows["train"]) == len(ready.data.rows["train"])
    assert ready.data.facts == before


def test_nothing_fits(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    told = verdict(ready, machine(1000), job.accelerator)
    assert told.endswith("Choose a smaller model, or lower data.max_length.")


def test_room_for_positions_by_hand() -> None:
    need = Need(fixed=100, position=2.0, longest=5, largest=50)
    assert need.total == 200
    assert need.room_for(160) == 30
    assert need.room_for(1000) == 50


@pytest.mark.parametrize("forced", [False, True])
def test_train_stops_before_it_writes(
    forced: bool,
    luthier: Callable[..., Any],
    tiny_bert: Path,
    reviews: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", method="full", train={"epochs": 1})
    file = write_recipe(recipe, tmp_path / "recipe.yaml")
    monkeypatch.setattr(fitting.hardware, "available_memory", lambda: 1000)
    done = luthier("train", file, *(["--force"] if forced else []))
    if forced:
        assert done.code == 0
        return
    assert done.code == 2
    assert "This training takes about" in done.err
    assert "luthier train --force trains all the same." in done.err
    assert not (tmp_path / "run" / "recipe.yaml").exists()


def test_check_tells_what_methods_take(
    luthier: Callable[..., Any], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    file = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"), tmp_path / "recipe.yaml")
    said = luthier("check", file, "--methods", "full,head").out
    assert "What training takes on this machine, about" in said
    assert re.search(r"Memory of full: program and rows .*, weights .*, gradients .*, AdamW .*, activations ", said)
    assert re.search(r"Memory of head: .*outputs of frozen parts ", said)
    assert not (tmp_path / "run").exists()
    said = luthier("check", file, "--machine", "gpu 24GB").out
    assert "What training takes on a gpu of 24 GB, about" in said
    assert "Time is predicted for this machine only" in said
    assert "What training takes" not in luthier("check", file, "--no-cost").out


def test_check_tells_what_only_steps_show(
    luthier: Callable[..., Any], tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"), tmp_path / "recipe.yaml")
    sentence = (
        r"full: A few steps show that it takes about [\d.]+ MB of memory, and a gpu of 0\.5 GB has 512\.0 MB for it\. "
        r"Set train\.max_tokens below \d+\."
    )
    monkeypatch.setattr(fitting, "verdict", lambda *rest: "")
    assert re.search(sentence, luthier("check", file, "--machine", "gpu 0.5GB").out)
    assert "A few steps show" not in luthier("check", file, "--machine", "gpu 24GB").out


def test_check_does_not_measure_what_is_large(
    luthier: Callable[..., Any], tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.cost_commands.LONG", 1.0)
    file = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"), tmp_path / "recipe.yaml")
    assert (
        "a step is so large here that measuring takes minutes; --cost measures all the same."
        in luthier("check", file).out
    )
    assert "What training takes" in luthier("check", file, "--cost").out


def test_an_unknown_method(luthier: Callable[..., Any], reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    file = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run"), tmp_path / "recipe.yaml")
    said = luthier("check", file, "--methods", "full,lorra")
    assert said.code == 2
    assert "--methods: there is no method 'lorra'" in said.err
    assert "lora" in said.err
