"""Small searches for tests."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from luthier.recipe.reading import read_search
from luthier.search.tune import Budget, Tuning
from luthier.show import Console

RATES = {"from": 1e-4, "to": 1e-2, "log": True}


def recipe_of(
    model: Path, data: Path, output: Path, space: Mapping[str, Any] | None = None, /, **keys: Any
) -> dict[str, Any]:
    """A tiny model for three epochs, its rate searched."""
    train = {"epochs": 3, "batch_size": 16, "precision": "fp32", **keys.pop("train", {})}
    search = {"space": {"train.lr": RATES} if space is None else dict(space), **keys.pop("search", {})}
    own = {"model": str(model), "data": {"files": str(data)}, "method": "full", "output": str(output)}
    return {**own, "train": train, "search": search, **keys}


def search_of(recipe: Mapping[str, Any], trials: int = 0, storage: str = "") -> Tuning:
    """A search that has tried as many values."""
    search = Tuning(read_search(dict(recipe)), storage, Console(quiet=True))
    search.run(Budget(trials, None))
    return search


def tried(search: Tuning) -> list[tuple[str, dict[str, Any], float | None, dict[int, float]]]:
    """What each trial was and what came of it."""
    return [(one.state.name, one.params, one.value, one.intermediate_values) for one in search.trials.all()]


def events(folder: Path, event: str) -> list[dict[str, Any]]:
    """Lines of a kind in a log."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [one for one in map(json.loads, lines) if one["event"] == event]


def begin(*arguments: str, killed_in: int | None = None) -> BaseProcess:
    """`luthier tune ARGUMENTS` in a process of its own, forked from one that has done the imports.

    Args:
        arguments: of the command line.
        killed_in: number of the trial in which it is killed, after its second epoch.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["luthier.search_commands", "luthier.search.report", "sklearn.metrics", "pandas"])
    process = context.Process(target=_run, args=(arguments, killed_in))
    process.start()
    return process


def _run(arguments: tuple[str, ...], killed_in: int | None) -> None:
    import torch

    from luthier.__main__ import main
    from luthier.search.trial import Watch

    torch.set_num_threads(1)
    whole = Watch.after_step

    def after_step(self: Watch, job: Any, state: Any, step: Any) -> None:
        whole(self, job, state, step)
        if self.trial.number == killed_in and state.step == 2 * job.batches.per_epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    Watch.after_step = after_step  # type: ignore[method-assign]
    sys.argv = ["luthier", "tune", *arguments]
    main()
