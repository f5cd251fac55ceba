"""What `luthier compare` does; results are printed on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.errors import RecipeError, RunError, TrainError
from luthier.show import Console, print_table

if TYPE_CHECKING:
    from luthier.evaluate.contenders import Contender, Entrant, Ground
    from luthier.trials import Trial

ON_FRONT = " ◆"


def compare_runs(folders: Sequence[Path], output: Path | None, plain: bool) -> None:
    """`luthier compare RUN RUN ...`."""
    from luthier.evaluate.contenders import contenders_of, ground_of, open_runs

    recipes = [one for one in folders if one.is_file()]
    if recipes:
        raise RecipeError(
            f"{recipes[0]} is a recipe: say what to compare with --methods, such as --methods head,top,lora."
        )
    if len(folders) < 2 and plain:
        raise RunError("One run has nothing to be compared with: give another one, or leave --no-opponents away.")
    entrants = open_runs(folders)
    ground = ground_of(entrants)
    _write(entrants, ground, contenders_of(entrants, ground), output or folders[0].resolve().parent, plain)


def compare_methods(
    recipe: Path, overrides: Sequence[str], methods: str, seeds: int, output: Path | None, plain: bool, restart: bool
) -> bool:
    """`luthier compare RECIPE --methods ...`; returns whether all trainings came to their end."""
    from luthier import trials
    from luthier.evaluate.contenders import ground_of, open_runs

    if recipe.is_dir():
        raise RecipeError(
            f"{recipe} is a run, and --methods trains a recipe: give {recipe}/recipe.yaml, or leave --methods away."
        )
    names = [name.strip() for name in methods.split(",") if name.strip()]
    planned = trials.plan(recipe, overrides, names, seeds, restart)
    done = trials.run(recipe, planned, Console(), restart)
    good = [one for one in done if not one.failed]
    if not good:
        raise TrainError(f"None of the {len(done)} trainings came to its end; the first: {done[0].failed}")
    entrants = open_runs([one.folder for one in good])
    ground = ground_of(entrants)
    lines = _lines(names, done, entrants, ground)
    _write(entrants, ground, lines, output or planned[0].folder.parent, plain, _held(planned))
    return len(good) == len(done)


def _lines(names: Sequence[str], done: Sequence[Trial], entrants: Sequence[Entrant], ground: Ground) -> list[Contender]:
    """A contender for each method, and one for each training that failed."""
    from luthier.evaluate.contenders import Contender, contender

    found = []
    by_folder = {one.records.folder: one for one in entrants}
    for name in names:
        own = [one for one in done if one.method == name]
        runs = [by_folder[one.folder] for one in own if not one.failed]
        found += [contender(name, runs, ground)] if runs else []
        found += [
            Contender(one.name if len(own) > 1 else name, f"not in {one.folder}", failed=one.failed)
            for one in own
            if one.failed
        ]
    return found


def _write(
    entrants: Sequence[Entrant],
    ground: Ground,
    contenders: Sequence[Contender],
    output: Path,
    plain: bool,
    notes: Sequence[str] = (),
) -> None:
    """Measure the opponents, write compare.json and compare.html, and print the tables."""
    from luthier.evaluate.compare import gather
    from luthier.evaluate.compare_page import render
    from luthier.folder import RunFolder
    from luthier.recipe.reading import read

    lines = list(contenders)
    if not plain:
        from luthier.opponents import opponents

        lines += opponents([read(one.records.folder / "recipe.yaml") for one in entrants], ground, Console())
    facts = gather(ground, lines, [*notes, *_notes(entrants)])
    folder = RunFolder(output)
    folder.write_json("compare.json", facts)
    folder.write("compare.html", render(facts))
    _print(facts)
    print(f"Every figure, plots and rows: {output}/compare.html")


def _held(planned: Sequence[Trial]) -> list[str]:
    """What the recipe says for all methods, though each has its own."""
    recipe = planned[0].recipe
    given = [
        f"train.{name}"
        for name, value in (("lr", recipe.train.lr), ("epochs", recipe.train.epochs))
        if value is not None
    ]
    if not given or len({one.method for one in planned}) < 2:
        return []
    return [f"The recipe gives {' and '.join(given)}, which held for all methods. Left out, each has what suits it."]


def _notes(entrants: Sequence[Entrant]) -> list[str]:
    """What makes costs differ that is no matter of the models."""
    machines = {str(one.records.resolved.get("hardware", {}).get("cpu")) for one in entrants}
    precisions = {str(one.records.resolved.get("precision")) for one in entrants}
    told = {"machines": machines, "precisions": precisions}
    return [
        f"The runs were trained on different {what} ({', '.join(sorted(found))}): mind it where times and memory are compared."
        for what, found in told.items()
        if len(found) > 1
    ]


def _print(facts: Mapping[str, Any]) -> None:
    _print_scores(facts)
    _print_costs(facts)
    print(facts["verdict"])
    for sentence in (*facts["warnings"], *facts["notes"]):
        print(f"- {sentence}")


def _print_scores(facts: Mapping[str, Any]) -> None:
    from luthier.evaluate.compare import main_figure
    from luthier.evaluate.compare_page import said

    main, chosen_on = main_figure(dict(facts)), facts["chosen_on"]
    headings = ["", main["title"], "95 % interval", f"against {facts['reference']}"]
    rows = []
    for one in facts["contenders"]:
        value = one["figures"].get(facts["monitor"])
        cells = ["–", "", one["failed"] and "none, see below"]
        if value:
            ends = "{:.3f} to {:.3f}".format(*value["interval"]) if value["interval"] else ""
            cells = [f"{value['value']:.3f}", ends, "chosen" if one["name"] == facts["chosen"] else said(value["test"])]
        by = [f"{one['chosen_by']['value']:.3f}" if one["chosen_by"] else ""] if chosen_on else []
        rows.append([one["name"], *cells, *by])
    print_table(facts["title"], [*headings, *([f"on {chosen_on['split']}"] if chosen_on else [])], rows)


def _print_costs(facts: Mapping[str, Any]) -> None:
    from luthier.evaluate.costs import COSTS

    rows = []
    for one in facts["contenders"]:
        known = {name: one["cost"][name] for name in COSTS}
        if any(value is not None for value in known.values()):
            marks = {name: ON_FRONT if name in one["fronts"] else "" for name in COSTS}
            rows.append(
                [
                    one["name"],
                    *(
                        "–" if value is None else COSTS[name].shown(value) + marks[name]
                        for name, value in known.items()
                    ),
                ]
            )
    print_table(
        f"What they cost ({ON_FRONT.strip()} on the Pareto front)", ["", *(kind.title for kind in COSTS.values())], rows
    )
