"""What `luthier check` says of a recipe before it is trained; printed on stdout."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.counted import many
from luthier.errors import RecipeError
from luthier.show import Console, print_table

if TYPE_CHECKING:
    from luthier.build import Ready
    from luthier.cost_commands import Costs
    from luthier.data.batches import Batches

SHOWN_CLASSES = 12


def check_recipe(path: Path, overrides: Sequence[str], costs: Costs) -> None:
    """`luthier check`.

    Raises:
        RecipeError: the path is a run's, or the recipe cannot be used.
    """
    from accelerate import Accelerator

    from luthier import hardware, shifted, tracking
    from luthier.build import batches_of, get_ready, sizes_of
    from luthier.prepare import prepare
    from luthier.recipe.reading import read

    if (path / "recipe.yaml").is_file():
        raise RecipeError(
            f"{path} is a run. {path}/recipe.yaml is its recipe; --against FILE compares later rows with its own."
        )
    recipe = read(path, overrides)
    tracking.check(recipe)
    hardware.precision(recipe.train.precision, hardware.device(recipe.train.device))
    console = Console()
    data = prepare(recipe, console)
    told = {one["sentence"] for one in data.facts["leakage"]["checks"]}  # by the health of the data
    data.facts["warnings"] = [one for one in data.facts["warnings"] if one not in told]
    ready = get_ready(recipe, data, Accelerator(cpu=True), console)
    shifted.look(data, recipe, ready.base, sum(sizes_of(ready.model).values()), console)
    facts = data.facts
    print(f"Columns: {facts['columns']['why']}")
    print(f"Split: {facts['split']}; rows are read up to {facts['max_length']:g} {facts['unit']}")
    _print_splits(facts)
    _print_health(facts)
    _print_stages(ready, batches_of(recipe, data.rows["train"]))
    costs.tell(ready, console)
    print(f"The recipe is good. Next: {shlex.join(['luthier', 'train', str(path), *overrides])}")


def check_against(run: Path, file: str) -> None:
    """`luthier check RUN --against FILE`."""
    from luthier.later import against
    from luthier.run import Run

    with Console().status("Looking at the rows"):
        found = against(Run(run), file)
    print(found.sentence)
    if found.found:
        print(
            f"Scores on the run's own test rows may not hold for these: luthier evaluate {run} --on {file}, or train anew with them."
        )


def _print_health(facts: Mapping[str, Any]) -> None:
    """What the data are like, and the line that acts on it."""
    from luthier.data.health import examine

    print("Health of the data:")
    for one in examine(facts):
        advice = f" {one.advice}" if one.advice else ""
        print(f"- {one.topic}: {one.sentence}{advice}" + (f"  [{one.line}]" if one.line else ""))


def _print_stages(ready: Ready, batches: Batches) -> None:
    """What trains, for how long and at which rate, a line a stage."""
    from luthier.build import sizes_of

    sizes = sizes_of(ready.model)
    print(f"Model: {ready.base.name}; {sum(sizes.values()):,} weights")
    for number, stage in enumerate(ready.applied.stages, start=1):
        names = " + ".join(method.name for method in stage.methods)
        trained = sum(sizes[name] for name in stage.rates)
        place = f"Stage {number}: " if len(ready.applied.stages) > 1 else "Training: "
        steps = many(stage.epochs * batches.per_epoch, "step")
        rows = many(batches.size, "row")
        print(f"{place}{names} trains {trained:,} weights in {steps} of {rows} at {_rates(stage.rates.values())}")


def _rates(rates: Collection[float]) -> str:
    low, high = min(rates), max(rates)
    return f"a rate of {high:g}" if low == high else f"rates of {low:g} to {high:g}"


def _print_splits(facts: Mapping[str, Any]) -> None:
    splits = facts["splits"]
    rows = [
        [name, f"{part['rows']:,}", part["length"]["median"], part["length"]["max"], _cut(part, facts["unit"])]
        for name, part in splits.items()
    ]
    print_table("Rows", ["split", "rows", f"median {facts['unit']}", "most", "too long"], rows)
    labels = list(splits["train"]["labels"])
    counts = [[label, *(f"{part['labels'][label]:,}" for part in splits.values())] for label in labels[:SHOWN_CLASSES]]
    if counts:
        print_table("Labels", ["label", *splits], counts)
    if len(labels) > SHOWN_CLASSES:
        print(f"and {many(len(labels) - SHOWN_CLASSES, 'more label')}")
    if facts["bad_rows"]["rows"]:
        print(f"Left out, because they cannot be used: {_bad(facts['bad_rows'])}")


def _bad(report: Mapping[str, Any]) -> str:
    """How many rows, and which: all of them where they are few."""
    shown = [f"row {one['row']} ({one['reason']})" for one in report["examples"][:5]]
    return f"{report['rows']:,} of the rows: {', '.join(shown)}{', ...' if report['rows'] > len(shown) else ''}"


def _cut(part: Mapping[str, Any], unit: str) -> str:
    too_long = part["too_long"]
    return (
        f"{many(too_long['rows'], 'row')}, {too_long['lost']} {unit} ({too_long['action']})"
        if too_long["rows"]
        else "none"
    )
