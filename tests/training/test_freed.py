"""A stage's kept outputs are let go of when the next stage begins: never two stages' at once in memory or mapped."""

from __future__ import annotations

import weakref
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from frozen_runs import run
from torch import Tensor

from luthier.training import keeping
from luthier.training.job import Callback, Job, State, Step


class Alive(Callback):
    """Counts the tensors of kept outputs that are alive: when room for more is sought, and after each step of a stage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_beginnings: list[int] = []
        self.in_stages: dict[int, set[int]] = defaultdict(set)
        self._made: list[weakref.ref[Tensor]] = []
        place, make = keeping.place, keeping.make

        def placed(choice: keeping.Choice, size: int) -> str:
            self.at_beginnings.append(self._alive())
            return place(choice, size)

        def made(*arguments: Any) -> list[Tensor]:
            tensors = make(*arguments)
            self._made += map(weakref.ref, tensors)
            return tensors

        monkeypatch.setattr(keeping, "place", placed)
        monkeypatch.setattr(keeping, "make", made)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        self.in_stages[state.stage].add(self._alive())

    def _alive(self) -> int:
        return sum(one() is not None for one in self._made)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_what_a_stage_kept_is_freed_before_the_next_one_computes(
    cache: str, calm: Callable[[str], Path], words_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    stages = [{"epochs": 1, "method": "head"}, {"epochs": 2, "method": {"name": "top", "blocks": 1}}]
    alive = Alive(monkeypatch)
    found = run(calm("bert"), words_file, tmp_path / "run", cache, alive, stages=stages)
    assert all(text.startswith("Outputs of bert") for text in found.said)
    assert alive.at_beginnings == [0, 0]
    assert alive.in_stages == {0: {2}, 1: {2}}  # a tensor for training and one for validation
