"""Whether a training fits into memory, and how long it takes, before it is begun."""

from __future__ import annotations

from dataclasses import dataclass

from luthier.advise.cost import measure, this_machine
from luthier.advise.fitting import verdict
from luthier.build import equip, make_accelerator
from luthier.folder import RunFolder
from luthier.recipe.schema import Recipe
from luthier.search.trial import Bench


@dataclass(frozen=True)
class Forecast:
    """What a training will take."""

    refused: str
    """Why it does not fit; empty where it does."""
    seconds: float = 0.0
    """Of all of it."""
    memory: int = 0
    """Bytes at its peak."""


def forecast(bench: Bench, recipe: Recipe) -> Forecast:
    """Compute a few steps of a training; nothing is kept of them.

    Raises:
        LuthierError: it cannot be trained.
    """
    accelerator = make_accelerator(recipe, RunFolder(recipe.output))
    ready = equip(recipe, bench.met(recipe), bench.quiet)
    machine = this_machine(ready, accelerator)
    told = verdict(ready, machine, accelerator)
    if told:
        return Forecast(told)
    found = measure(ready, accelerator, bench.quiet).on(machine)
    return Forecast("", found.seconds or 0.0, found.memory.total)
