"""What `luthier check` says of memory, time and disk; printed on stdout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.errors import LuthierError, RecipeError
from luthier.methods import METHODS
from luthier.recipe.schema import Recipe
from luthier.registry import closest
from luthier.show import Console, print_table

if TYPE_CHECKING:
    from accelerate import Accelerator

    from luthier.advise.cost import Cost, Forecast, Memory
    from luthier.advise.machine import Machine
    from luthier.build import Ready

LONG = 2e13
"""Floating-point operations of the heaviest step beyond which measuring is not begun unasked: minutes on most CPUs."""
OPERATIONS = 6
"""Of a weight and a position, forward and backward: Kaplan et al. 2020, table 1."""


def _names(methods: str) -> list[str]:
    """The methods of `--methods`.

    Raises:
        RecipeError: one that there is not.
    """
    names = [name.strip() for name in methods.split(",") if name.strip()]
    for name in names:
        if name not in METHODS:
            raise RecipeError(f"--methods: there is no method {name!r}; {closest(name, METHODS)}")
    return names


@dataclass(frozen=True)
class Costs:
    """What a person wants to know of the costs."""

    methods: Sequence[str]
    """Names; empty for the recipe's own."""
    machine: str
    """A description such as `gpu 24GB`; empty for this one."""
    measured: bool | None
    """Whether to measure; None where that is quick."""

    @classmethod
    def asked(cls, methods: str, machine: str, measured: bool | None) -> Costs:
        """From the command line.

        Raises:
            RecipeError: an unknown method, or a machine that is not understood.
        """
        from luthier.advise.machine import described

        if machine:
            described(machine, 0)
        return cls(_names(methods), machine, measured)

    def tell(self, ready: Ready, console: Console) -> None:
        """Print what training takes, with the recipe's own method or each of several.

        Args:
            ready: the recipe's data and model; the model is worth nothing afterwards.
            console: to show progress.
        """
        if self.measured is False:
            return
        from luthier.advise.cost import this_machine
        from luthier.advise.machine import described
        from luthier.build import make_accelerator
        from luthier.folder import RunFolder

        accelerator = make_accelerator(ready.recipe, RunFolder(ready.recipe.output), fresh=True)
        if self.measured is None and not _quick(ready, accelerator):
            print(
                "Memory and time: a step is so large here that measuring takes minutes; --cost measures all the same."
            )
            return
        own = this_machine(ready, accelerator)
        at = described(self.machine, own.process) if self.machine else own
        _print(list(_lines(ready, self.methods, at, accelerator, console)), at, Path(ready.recipe.output))


def _quick(ready: Ready, accelerator: Accelerator) -> bool:
    from luthier.advise.fitting import largest
    from luthier.build import sizes_of

    weights = sum(sizes_of(ready.model).values())
    return accelerator.device.type != "cpu" or OPERATIONS * weights * largest(ready, "cpu") < LONG


def _lines(
    ready: Ready, methods: Sequence[str], machine: Machine, accelerator: Accelerator, console: Console
) -> Iterator[tuple[str, Forecast | None, str]]:
    """Of each method its name, its forecast, and a sentence where it does not fit or is refused."""
    from luthier.advise.cost import measure
    from luthier.advise.fitting import again, verdict

    recipes: list[tuple[str, Recipe | None]] = [(name, _with(ready.recipe, name)) for name in methods] or [("", None)]
    known = False
    for name, recipe in recipes:
        try:
            one = again(ready, recipe, accelerator) if recipe else ready
            told = verdict(one, machine, accelerator)
            cost = None if told and machine.here else measure(one, accelerator, console)
            if cost and not known and machine.kind == accelerator.device.type:
                machine, known = replace(machine, process=max(machine.process, cost.process)), True
            shown = name or " + ".join(method.name for method in one.recipe.methods)
            yield shown, cost.on(machine) if cost else None, told or (_short(cost, machine) if cost else "")
        except LuthierError as wrong:
            yield name, None, str(wrong)


def _short(cost: Cost, machine: Machine) -> str:
    """Why a training does not fit, although a forward call of one row had not shown it; empty where it fits."""
    from luthier.advise.fitting import SAFE
    from luthier.training.keeping import said

    total = cost.on(machine).memory.total
    if total <= SAFE * machine.room:
        return ""
    return (
        f"A few steps show that it takes about {said(total)} of memory, and {machine.name} has {said(machine.room)} for it. Set "
        f"train.max_tokens below {cost.plan.positions_on(machine.kind)}."
    )


def _with(recipe: Recipe, method: str) -> Recipe:
    """The recipe with another method, or as it is where that is its own."""
    from luthier.recipe.reading import read

    own = recipe.stages is None and [one.name for one in recipe.method] == [method]
    return recipe if own else read(recipe, [f"method={method}", "stages="])


def _print(lines: Sequence[tuple[str, Forecast | None, str]], machine: Machine, folder: Path) -> None:
    from luthier.advise.disk import lacking

    times = ["first epoch", "later ones", "training"] if machine.here else []
    found = [(name, one) for name, one, _ in lines if one]
    if found:
        rows = [_row(name, one) for name, one in found]
        print(f"What training takes on {machine.name}, about:")
        print_table("Costs", ["method", "memory", "disk", *times], rows)
    for name, one in found:
        print(f"Memory of {name}: {_parts(one.memory)}")
    short = [(name, lacking(one.disk, folder)) for name, one in found if machine.here]
    for name, told in [*((name, told) for name, _, told in lines), *short]:
        if told:
            print(f"{name}: {told}")
    if not machine.here:
        print("Time is predicted for this machine only; activations are those of the precision that is used here.")


def _row(name: str, found: Forecast) -> list[str]:
    from luthier.training.keeping import said

    times = [_time(one) for one in (found.first, found.epoch, found.seconds) if one is not None]
    return [name, said(found.memory.total), said(found.disk), *times]


def _parts(memory: Memory) -> str:
    from luthier.training.keeping import said

    parts = {
        "program and rows": memory.process,
        "weights": memory.weights,
        "gradients": memory.gradients,
        "AdamW": memory.optimiser,
        "activations": memory.activations,
        "outputs of frozen parts": memory.kept,
    }
    return ", ".join(f"{name} {said(size)}" for name, size in parts.items() if size)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
