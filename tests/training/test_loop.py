"""The loop: seeds, and what happens when memory runs out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from luthier.errors import TrainError
from luthier.folder import RunFolder
from luthier.objectives import Objective
from luthier.objectives.supervised import CrossEntropy
from luthier.pipeline import train
from luthier.training.callbacks import Log
from luthier.training.job import Callback, Job, State, Step
from luthier.training.loop import fit
from small_jobs import job_of, recipe_for, weights_of


class Small(Objective):
    """A machine on which a micro-batch of more than `room` padded tokens does not fit."""

    def __init__(self, inner: Objective, room: int, error: Callable[[], Exception]) -> None:
        self.inner, self.room, self.error = inner, room, error
        self.sizes: list[int] = []

    def __call__(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if batch["input_ids"].numel() > self.room:
            raise self.error()
        self.sizes.append(batch["input_ids"].numel())
        return self.inner(model, batch)


class Losses(Callback):
    def __init__(self) -> None:
        self.found: list[float] = []

    def after_step(self, job: Job, state: State, step: Step) -> None:
        self.found.append(step.loss)


def losses_of(job: Job, state: State | None = None, *callbacks: Callback) -> list[float]:
    losses = Losses()
    fit(job, state or State(), [losses, *callbacks])
    return losses.found


ERRORS = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"
    ),
    "python": MemoryError,
}


@pytest.mark.parametrize("error", ERRORS)
def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(
    error: str, still_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(still_bert, reviews, tmp_path / "run", {"batch_size": 32})
    expected = losses_of(job_of(recipe)[0])
    job, _ = job_of(recipe)
    job.objective = small = Small(job.objective, 60, ERRORS[error])
    folder, said, state = RunFolder(tmp_path), [], State()  # type: ignore[var-annotated]
    assert losses_of(job, state, Log(folder, said.append)) == pytest.approx(expected, abs=1e-6)
    assert max(small.sizes) <= 60
    notes = [record for record in folder.records() if record["event"] == "note"]
    assert [note["text"] for note in notes] == said
    assert notes[-1]["step"] == 1
    assert said[-1] == (
        f"Out of memory in step 1: micro-batches now hold at most {state.max_tokens} tokens. A step still learns from the same 32 rows."
    )


def test_a_whole_run_out_of_memory_tells_it(
    still_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = CrossEntropy.__call__

    def small(self: CrossEntropy, model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if model.training and batch["input_ids"].numel() > 60:
            raise ERRORS["cpu"]()
        return real(self, model, batch)

    monkeypatch.setattr(CrossEntropy, "__call__", small)
    train(recipe_for(still_bert, reviews, tmp_path / "run", {"epochs": 1}))
    notes = [record["text"] for record in RunFolder(tmp_path / "run").records() if record["event"] == "note"]
    assert notes
    assert all(f"warning: {note}" in capsys.readouterr().err for note in notes[:1])
    assert notes[-1] in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    state = json.loads((tmp_path / "run" / "checkpoints/last/state.json").read_text())
    assert f"at most {state['max_tokens']} tokens" in notes[-1]


def test_the_limit_outlives_the_process(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run"))
    job.objective = Small(job.objective, 60, ERRORS["gpu"])
    notes: list[str] = []
    losses_of(job, State(max_tokens=50), Log(None, notes.append))
    assert notes == []


def test_a_single_row_that_does_not_fit_is_an_error(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run"))
    job.objective = Small(job.objective, 10, ERRORS["gpu"])
    longest = job.feed.lengths[job.batches.at(0)].max()
    with pytest.raises(TrainError) as caught:
        losses_of(job)
    assert str(caught.value) == (
        f"Out of memory with a single row of {longest} tokens: lower data.max_length, set train.gradient_checkpointing=true, "
        "or choose a smaller model or a method that trains fewer weights (lora, head)."
    )


def test_of_several_processes_none_goes_on_alone(
    still_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"max_tokens": 64}))
    job.objective = Small(job.objective, 10, ERRORS["gpu"])
    monkeypatch.setattr(type(job.accelerator), "num_processes", 2)
    with pytest.raises(
        TrainError, match=r"Out of memory in one of 2 processes: run again with train\.max_tokens=\d+\."
    ):
        losses_of(job, State(max_tokens=64))


def test_other_errors_are_not_taken_for_it(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run"))
    job.objective = Small(job.objective, 0, lambda: RuntimeError("shapes do not fit"))
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        losses_of(job)


def test_the_seed_decides_everything(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    def run(seed: int) -> tuple[list[float], dict[str, torch.Tensor]]:
        torch.manual_seed(torch.seed())  # what came before does not matter
        job, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", seed=seed))
        return losses_of(job), weights_of(ready.model)

    (losses, weights), (again, same), (others, other) = run(1), run(1), run(2)
    assert losses == again
    assert all(torch.equal(weights[key], same[key]) for key in weights)
    assert losses != others
    assert not torch.equal(weights["classifier.weight"], other["classifier.weight"])


def test_callbacks_finish_whatever_happens(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    class Failing(Callback):
        finished = False

        def start(self, job: Job, state: State) -> None:
            raise RuntimeError("no")

        def finish(self, job: Job, state: State) -> None:
            self.finished = True

    failing = Failing()
    with pytest.raises(RuntimeError, match="no"):
        fit(job_of(recipe_for(still_bert, reviews, tmp_path / "run"))[0], State(), [failing])
    assert failing.finished
