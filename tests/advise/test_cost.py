"""Forecasts against the trainings that they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from luthier.advise.allocated import bytes_of
from luthier.advise.cost import measure
from luthier.advise.fitting import need_of
from luthier.advise.machine import Machine
from luthier.data.batches import EncodedFeed
from luthier.show import Console
from luthier.training.frozen import Freeze
from luthier.training.job import State
from luthier.training.loop import fit
from luthier.training.step import micro_batches, padded_tokens
from small_jobs import job_of, recipe_for

HERE = Machine("this machine", "cpu", 2**40, 1000)
QUIET = Console(quiet=True)
METHODS: list[Any] = ["full", "head", "top", "bias", "norm", "lora", "ia3", "adapter", "prefix", "prompt"]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", METHODS)
def test_parts_are_those_of_the_training(method: Any, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", method=method, train={"epochs": 1})
    _, ready = job_of(recipe)
    cost = measure(ready, _accelerator(), QUIET)
    found = cost.on(HERE)
    job, trained = job_of(recipe)
    freeze = Freeze(trained.applied.anatomy, "memory", None, QUIET, lasting=False)
    fit(job, State(), [freeze])
    parameters = [one for one in trained.model.parameters() if one.requires_grad]
    state = [one for slots in job.work.optimizer.state.values() for one in slots.values()]
    assert found.trained == sum(one.numel() for one in parameters)
    assert found.memory.weights == sum(
        one.numel() * one.element_size() for one in {*trained.model.parameters(), *trained.model.buffers()}
    )
    assert found.memory.gradients == sum(one.numel() * one.element_size() for one in parameters)
    assert found.memory.optimiser == sum(one.numel() * one.element_size() for one in state)
    kept = [feed.features for feed in (job.work.feed, *job.work.held.values()) if not isinstance(feed, EncodedFeed)]
    assert found.memory.kept == sum(
        one.numel() * one.element_size() for features in kept for one in features._tensors if one is not None
    )
    assert found.memory.total == sum(vars(found.memory).values())
    assert found.memory.activations > 0
    assert found.first is not None
    assert found.seconds is not None
    assert found.epoch is not None
    assert found.seconds >= found.epoch > 0
    assert not (tmp_path / "cache" / "frozen").exists() or not any((tmp_path / "cache" / "frozen").iterdir())


def _accelerator() -> Any:
    from accelerate import Accelerator

    return Accelerator(cpu=True)


def test_every_stage_is_measured(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    stages = [{"method": "head", "epochs": 1}, {"method": "full", "epochs": 2}]
    _, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", stages=stages))
    cost = measure(ready, _accelerator(), QUIET)
    assert [stage.gradients for stage in cost.stages] == sorted(stage.gradients for stage in cost.stages)
    assert cost.stages[0].kept
    assert not cost.stages[1].kept
    found = cost.on(HERE)
    assert found.method == "head, then full"
    heaviest = max(cost.stages, key=lambda one: one.gradients + one.optimiser + one.activations)
    parts = found.memory
    assert (parts.gradients, parts.optimiser, parts.activations) == (
        heaviest.gradients,
        heaviest.optimiser,
        heaviest.activations,
    )


def test_times_are_those_that_were_measured(
    tiny_bert: Path, reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of entering twice, the first step, two usual ones and scoring, each computed outside of what counts bytes."""
    seconds = iter([0.5, 0.4, 10.0, 3.0, 5.0, 2.0])

    class Given:
        def __init__(self, on: torch.device) -> None:
            pass

        @property
        def seconds(self) -> float:
            assert _get_current_dispatch_mode() is None
            return next(seconds)

    monkeypatch.setattr("luthier.advise.probe.Watch", Given)
    _, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    cost = measure(ready, _accelerator(), QUIET)
    assert next(seconds, None) is None
    (stage,) = cost.stages
    price, job = 100, cost.plan.job
    sizes = [
        sum(price + padded_tokens(job, piece) for piece in micro_batches(job, job.batches.at(step), None))
        for step in range(job.batches.per_epoch)
    ]
    usual = 4.0 / np.mean(
        [sizes[number] for number in np.argsort(sizes, kind="stable")[[len(sizes) // 4, 3 * len(sizes) // 4]]]
    )
    held = sum(int(feed.lengths.sum()) for feed in job.held.values())
    scored = 2.0 / sum(int(rows.lengths.sum()) for rows in sampled_held(ready))
    assert stage.step == pytest.approx(usual * np.mean(sizes))
    assert stage.prepared + stage.cold == pytest.approx(0.5 + 10.0 - usual * max(sizes))
    found = cost.on(HERE)
    epoch = usual * sum(sizes) + scored * held
    assert found.epoch == pytest.approx(epoch)
    assert found.first == pytest.approx(0.5 + stage.cold + epoch)
    assert found.seconds == pytest.approx(0.5 + stage.cold + 3 * epoch)


def sampled_held(ready: Any) -> list[Any]:
    return [rows for name, rows in ready.data.rows.items() if name == "validation"]  # so few that all are scored


def test_the_heaviest_step_is_planned(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = recipe_for(tiny_bert, reviews, tmp_path / "run", method="full")
    _, ready = job_of(recipe)
    cost = measure(ready, _accelerator(), QUIET)
    job, _ = job_of(recipe)
    pieces = [one for step in range(job.batches.per_epoch) for one in micro_batches(job, job.batches.at(step), None)]
    assert cost.plan.positions == max(padded_tokens(job, piece) for piece in pieces)


def test_a_described_machine_has_no_times(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    _, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    cost = measure(ready, _accelerator(), QUIET)
    found = cost.on(Machine("a gpu", "cuda", 2**40, 7, here=False))
    assert (found.first, found.epoch, found.seconds) == (None, None, None)
    assert found.memory.process == 7
    assert found.memory.activations >= cost.on(HERE).memory.activations  # calls are larger there


def test_weights_that_are_shared_count_once() -> None:
    first, second = torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    assert bytes_of(torch.nn.Sequential(first, second)) == 4 * 4 * 4


def test_a_forward_call_of_one_row_leaves_no_trace(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    _, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", method="full"))
    before, training = torch.get_rng_state(), ready.model.training
    need = need_of(ready, "cpu")
    assert torch.equal(torch.get_rng_state(), before)
    assert ready.model.training == training
    assert all(one.grad is None for one in ready.model.parameters())
    weights = sum(one.numel() * one.element_size() for one in ready.model.parameters())
    assert weights * 4 <= need.fixed < weights * 4.2  # and buffers
    assert need.longest <= need.largest
