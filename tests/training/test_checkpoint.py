"""Checkpoints: what is kept, what survives damage and a full disk, what is refused."""

from __future__ import annotations

import errno
import json
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from luthier.errors import CheckpointError, DiskFullError
from luthier.folder import RunFolder, verify
from luthier.training import checkpoint
from luthier.training.callbacks import Save
from luthier.training.checkpoint import Checkpoints
from luthier.training.job import Callback, Job, State, Step
from luthier.training.loop import fit
from small_jobs import job_of, recipe_for, weights_of


class Improving(Callback):
    """Calls every step an evaluation, and those given the best so far."""

    def __init__(self, best: set[int]) -> None:
        self.best = best

    def after_step(self, job: Job, state: State, step: Step) -> None:
        state.evaluated, state.improved = True, state.step in self.best
        if state.improved:
            state.best, state.best_step = float(state.step), state.step


class Stop(Callback):
    """Ends the run after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, job: Job, state: State, step: Step) -> None:
        state.stopped = "enough" if state.step == self.step else ""


Make = Any


@pytest.fixture
def make(tiny_bert: Path, reviews: Path, tmp_path: Path) -> Make:
    def job(**train: Any) -> Job:
        return job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", train))[0]

    return job


def train(job: Job, folder: RunFolder, until: int, best: set[int], state: State | None = None) -> State:
    state = state or State()
    state.stopped = ""
    fit(job, state, [Improving(best), Stop(until), Save(Checkpoints(folder))])
    return state


def names(folder: RunFolder) -> list[str]:
    return sorted(one.name for one in (folder / "checkpoints").iterdir())


@pytest.fixture
def stood(make: Make, tmp_path: Path) -> RunFolder:
    """A run folder at step 3 whose best evaluation was at step 2."""
    folder = RunFolder(tmp_path / "run")
    train(make(), folder, 3, {1, 2})
    return folder


def alter(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_only_last_and_best_are_kept(stood: RunFolder) -> None:
    assert names(stood) == ["best", "last"]
    assert [json.loads((stood / f"checkpoints/{name}/state.json").read_text())["step"] for name in names(stood)] == [
        2,
        3,
    ]


def test_keep_keeps_that_many_more(make: Make, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(make(keep=2), folder, 6, {1, 2})
    assert names(folder) == ["best", "last", "step-000004", "step-000005"]


def test_resumed_it_takes_the_same_steps(make: Make, stood: RunFolder) -> None:
    whole = make()
    train(whole, RunFolder(stood.path / "whole"), 8, set())
    job = make()
    state, skipped = Checkpoints(stood).resume(job)
    assert (state.step, state.best_step, skipped) == (3, 2, [])
    train(job, stood, 8, set(), state)
    ours, theirs = weights_of(job.model), weights_of(whole.model)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


DAMAGES = {
    "altered": (
        lambda last: alter(last / "weights.safetensors"),
        "weights.safetensors does not have the content that was written.",
    ),
    "missing": (lambda last: (last / "optimizer.safetensors").unlink(), "optimizer.safetensors is missing."),
    "manifest cut short": (
        lambda last: (last / "manifest.json").write_text((last / "manifest.json").read_text()[:40]),
        "its manifest.json is missing or unreadable.",
    ),
    "state cut short": (
        lambda last: (last / "state.json").write_text("{"),
        "state.json does not have the content that was written.",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_falls_back_to_the_one_before(damage: str, make: Make, stood: RunFolder) -> None:
    last = stood / "checkpoints/last"
    DAMAGES[damage][0](last)
    state, said = Checkpoints(stood).resume(make())
    assert state.step == 2
    assert said == [
        f"{last} is damaged: {DAMAGES[damage][1]}",
        f"Falling back to {stood / 'checkpoints/best'}, of step 2.",
    ]


def test_damage_to_last_leaves_a_best_of_the_same_step_whole(make: Make, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(make(), folder, 2, {2})
    alter(folder / "checkpoints/last/weights.safetensors")
    assert Checkpoints(folder).resume(make())[0].step == 2


def test_fallen_back_it_ends_with_the_same_weights(make: Make, stood: RunFolder) -> None:
    whole = make()
    train(whole, RunFolder(stood.path / "whole"), 6, set())
    alter(stood / "checkpoints/last/weights.safetensors")
    job = make(keep=1)
    state, _ = Checkpoints(stood).resume(job)
    train(job, stood, 6, set(), state)
    assert torch.equal(weights_of(job.model)["classifier.weight"], weights_of(whole.model)["classifier.weight"])
    verify(stood / "checkpoints/last")


def test_with_all_damaged_it_starts_from_the_beginning(make: Make, stood: RunFolder) -> None:
    for name in ("last", "best"):
        (stood / "checkpoints" / name / "manifest.json").unlink()
    state, said = Checkpoints(stood).resume(make())
    assert state == State()
    assert said[-1] == "No other checkpoint is left: training starts from the beginning."
    assert len(said) == 3


def test_the_best_weights_come_back(make: Make, stood: RunFolder) -> None:
    job = make()
    Checkpoints(stood).resume(job)
    whole = make()
    train(whole, RunFolder(stood.path / "other"), 2, set())
    sentence = Checkpoints(stood).load_best(job, State(step=3, best=0.75, best_step=2))
    assert sentence == "Keeping the weights of step 2, the best by f1_macro (0.7500)."
    assert torch.equal(weights_of(job.model)["classifier.weight"], weights_of(whole.model)["classifier.weight"])


def test_without_a_whole_best_the_last_weights_stay_and_that_is_said(make: Make, stood: RunFolder) -> None:
    job = make()
    state, _ = Checkpoints(stood).resume(job)
    before = weights_of(job.model)
    alter(stood / "checkpoints/best/weights.safetensors")
    best = stood / "checkpoints/best"
    damage = f"{best} is damaged: weights.safetensors does not have the content that was written."
    assert Checkpoints(stood).load_best(job, state) == f"{damage} Keeping the weights of step 3, the last."
    shutil.rmtree(best)
    missing = "There is no checkpoint of step 2, the best by f1_macro. Keeping the weights of step 3, the last."
    assert Checkpoints(stood).load_best(job, state) == missing
    assert torch.equal(weights_of(job.model)["classifier.weight"], before["classifier.weight"])


def test_a_full_disk_is_noticed_before_writing(make: Make, stood: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(100, 90, 10 << 20))
    job = make()
    state, _ = Checkpoints(stood).resume(job)
    with pytest.raises(
        DiskFullError, match=r"run needs 1\d MB and the disk has 10 MB free\. Nothing was lost: free some space"
    ):
        train(job, stood, 6, set(), state)
    assert Checkpoints(stood).resume(make())[0].step == 3


FULL = {
    "the system's error": OSError(errno.ENOSPC, "No space left on device"),
    "safetensors' error, as seen on a full file system": SafetensorError(
        "Error while serializing: I/O error: No space left on device (os error 28)"
    ),
}


@pytest.mark.parametrize("error", FULL)
def test_a_disk_that_fills_up_while_writing_costs_nothing(
    error: str, make: Make, stood: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make()
    train(whole, RunFolder(stood.path / "whole"), 6, set())
    job = make()
    state, _ = Checkpoints(stood).resume(job)

    def full(*_: Any) -> None:
        raise FULL[error]

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", full)
        with pytest.raises(
            DiskFullError, match=r"is full\. What was complete is kept: free some space and run the same command again"
        ):
            train(job, stood, 6, set(), state)
    assert names(stood) == ["best", "last"]
    job = make()
    state, said = Checkpoints(stood).resume(job)
    assert (state.step, said) == (3, [])
    train(job, stood, 6, set(), state)
    assert torch.equal(weights_of(job.model)["classifier.weight"], weights_of(whole.model)["classifier.weight"])


def test_a_checkpoint_of_another_shape_is_refused(make: Make, stood: RunFolder) -> None:
    job = make()
    job.model.classifier = torch.nn.Linear(32, 5)
    with pytest.raises(CheckpointError) as caught:
        Checkpoints(stood).resume(job)
    assert str(caught.value) == (
        f"{stood / 'checkpoints/last'} belongs to another model: classifier.bias has the shape (2,) there and (5,) here. The model's "
        "folder has changed since the run began: give another output=..., or --restart to begin anew."
    )


def test_a_checkpoint_with_other_names_is_refused(make: Make, stood: RunFolder) -> None:
    job = make()
    job.model.another = torch.nn.Linear(2, 2)
    job.trained |= {"another.weight", "another.bias"}
    with pytest.raises(
        CheckpointError, match="belongs to another model: the saved weights and the model differ in 2 names"
    ):
        Checkpoints(stood).resume(job)
