"""Small searches by `luthier auto` for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from luthier.auto import ledger
from luthier.auto.clock import Clock
from luthier.auto.finish import finish
from luthier.auto.ledger import Ledger, Score, Trial
from luthier.auto.race import Race
from luthier.auto.runner import Runner
from luthier.folder import RunFolder
from luthier.recipe.reading import read
from luthier.show import Console

QUIET = Console(quiet=True)


def recipe_of(model: Path, data: Any, output: Path, **keys: Any) -> dict[str, Any]:
    """A tiny model, trained whole in batches of 16."""
    files = data if isinstance(data, dict) else {"files": str(data)}
    train = {"batch_size": 16, "precision": "fp32", "lr": 1e-3}
    return {"model": str(model), "data": files, "method": "full", "output": str(output), "train": train, **keys}


def runner_of(recipe: dict[str, Any], minutes: float = 30, now: Any = None) -> Runner:
    """A search as it stands in its folder, or a new one."""
    settled = read(recipe)
    known = ledger.read(RunFolder(settled.output), minutes, {})
    clock = Clock(minutes, known.spent, now) if now else Clock(minutes, known.spent)
    return Runner(settled, known, clock, QUIET)


def searched(recipe: dict[str, Any], methods: tuple[str, ...], minutes: float = 30, now: Any = None) -> Runner:
    """A search that has come to its end."""
    runner = runner_of(recipe, minutes, now)
    Race(runner, QUIET).run([], methods)
    finish(runner, QUIET)
    return runner


def trial(number: int, *values: float, wave: int = 1, whole: bool = False, **keys: Any) -> Trial:
    """A trial with a score at the end of each rung: of ten rows each, right or wrong, the share that is right."""
    own = {"values": {} if number == 0 else {"train.lr": float(number)}, **keys}
    scores = [
        score(rung, value, whole=whole and rung == len(values), step=10 * rung) for rung, value in enumerate(values, 1)
    ]
    return Trial(number=number, wave=wave, model="a/model", method="full", rate=1.0, scores=scores, **own)


def score(rung: int, value: float, whole: bool = False, step: int = 10, width: float = 0.1) -> Score:
    """A score whose resamples lie around it, each with the same error for all trials."""
    resampled = [value + width * (place - 50) / 50 for place in range(101)]
    rest = {"step": step, "steps": 30, "epochs": rung, "seconds": 10.0, "whole": whole}
    return Score(rung=rung, value=value, resampled=resampled, **rest)


def ledger_of(*trials: Trial, shares: tuple[float, ...] = (1 / 3, 1.0)) -> Ledger:
    """A ledger of these."""
    return Ledger(terms={}, minutes=10, trials=list(trials), shares=list(shares))
