"""What lies below the boundary while the rest trains: in evaluation mode, without gradients, called once a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from frozen_runs import run
from torch import nn

import tiny_models
from luthier.training.job import Callback, Job, State, Step

TOP = {"name": "top", "blocks": 1}
LAST = {
    "top": TOP,
    "bias of the last block": {"name": "pattern", "train": [r"layer\.2\..*bias"]},
    "lora on the last block": {"name": "lora", "rank": 2, "targets": r"\.2\."},
    "adapters in the last block": {"name": "adapter", "reduction": 4, "blocks": 1},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))


def part_of(model: nn.Module, name: str) -> nn.Module:
    """A module of BERT, whatever a method has put around it."""
    (part,) = (part for full, part in model.named_modules() if f".{full}".endswith(f".{name}"))
    return part


class Watch(Callback):
    """Counts calls of blocks by rows, and looks at what trains and what enters the first block that trains."""

    def __init__(self, blocks: int, frozen: tuple[str, ...]) -> None:
        self.blocks, self.frozen = blocks, frozen
        self.rows: Counter[int] = Counter()
        self.entering: list[bool] = []
        self.modes: set[bool] = set()
        self.gradients: set[str] = set()

    def start(self, job: Job, state: State) -> None:
        for number in range(self.blocks):
            block = part_of(job.model, f"bert.encoder.layer.{number}")
            block.register_forward_hook(lambda module, args, output, number=number: self._called(number, args[0]))

    def _called(self, number: int, hidden: torch.Tensor) -> None:
        self.rows[number] += len(hidden)
        if number == self.blocks - 1 and torch.is_grad_enabled():
            self.entering.append(hidden.requires_grad)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        below = [part for name in self.frozen for part in part_of(job.model, name).modules()]
        self.modes |= {part.training for part in below}
        assert all(one.grad is None and not one.requires_grad for part in below for one in part.parameters())


@pytest.mark.parametrize("cache", ["off", "memory"])
@pytest.mark.parametrize("method", LAST.values(), ids=LAST)
def test_below_the_boundary_nothing_trains_and_every_row_comes_once(
    method: dict[str, Any], cache: str, words_file: Path, tmp_path: Path
) -> None:
    model = tiny_models.make("bert", tmp_path / "bert")
    frozen = ("bert.embeddings", "bert.encoder.layer.0", "bert.encoder.layer.1")
    watch = Watch(3, frozen)
    found = run(model, words_file, tmp_path / "run", cache, watch, method=method, train={"epochs": 3})
    assert watch.modes == {False}
    assert watch.entering
    assert not any(watch.entering)
    rows = {name: len(one) for name, one in found.ready.data.rows.items()}
    epochs = 3 * (rows["train"] + rows["validation"])
    probed = 6 + 1 + 6  # by `record` twice, of 6 rows and of 1, and once by the whole network
    once = rows["train"] + rows["validation"] + probed
    assert watch.rows[0] == watch.rows[1] == (once if cache == "memory" else epochs)
    assert watch.rows[2] >= epochs


class Normed(nn.Module):
    """Stands in an embedding's place; with a BatchNorm and a count."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm1d(32)

    def forward(self, *arguments: Any, **named: Any) -> torch.Tensor:
        return self.norm(self.inner(*arguments, **named).transpose(1, 2)).transpose(1, 2)


class Insert(Callback):
    """Puts a BatchNorm into the frozen part before anything is kept."""

    def start(self, job: Job, state: State) -> None:
        model: Any = job.model
        torch.manual_seed(1)
        model.bert.embeddings = Normed(model.bert.embeddings)


@pytest.mark.parametrize("cache", ["off", "memory"])
def test_a_frozen_batchnorm_stays_as_it_is(
    cache: str, calm: Callable[[str], Path], words_file: Path, tmp_path: Path
) -> None:
    found = run(calm("bert"), words_file, tmp_path / "run", cache, Insert(), method=TOP)
    norm: Any = found.job.model.bert.embeddings.norm
    assert norm.num_batches_tracked == 0
    assert not norm.running_mean.any()
