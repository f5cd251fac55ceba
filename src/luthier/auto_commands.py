"""What `luthier auto` does, in terms of the library; results are printed on stdout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from luthier.auto import RECORD
from luthier.commands import summarise
from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump
from luthier.recipe.schema import Recipe
from luthier.search_commands import in_its_own_folder, refuse_no_time
from luthier.settled import flat, may_change
from luthier.show import Console, print_table


def auto_recipe(path: Path, overrides: Sequence[str], minutes: float, models: str, methods: str, restart: bool) -> None:
    """`luthier auto`."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise RunError("luthier auto runs without torchrun: it trains one trial after the other.")
    refuse_no_time(minutes)
    recipe = in_its_own_folder(path, overrides, "auto").model_copy(update={"search": None})
    from luthier.auto import candidates, finish, ledger, report
    from luthier.auto.clock import Clock
    from luthier.auto.race import Race
    from luthier.auto.runner import Runner
    from luthier.models.find import find
    from luthier.run import Run
    from luthier.search.trial import refuse_other_folders

    console, folder = Console(), RunFolder(recipe.output)
    tried, named = candidates.methods_of(_names(methods)), candidates.models_of(recipe, _names(models))
    for one in named:
        find(one)
    if restart:
        ledger.begin_anew(folder)
    refuse_other_folders(folder, RECORD)
    folder.write(RECORD, dump(recipe.model_dump(mode="json", exclude={"resolved"})))
    known = ledger.read(folder, minutes, _terms(recipe, tried, named))
    runner = Runner(recipe, known, Clock(minutes, known.spent), console)
    if known.models is None:
        known.models = named or candidates.at_hand(runner.met.data.found.medium, str(recipe.model))
    if known.finished:
        console.say(f"The search in {folder.path} is finished already; --restart begins it anew.")
    else:
        console.say(_begun(runner.rows, known.models, minutes))
        Race(runner, console).run(known.models, tried)
        finish.finish(runner, console)
    facts = report.write(runner)
    _print(facts)
    summarise(Run(folder.path))
    print(facts["sentence"])
    print(f"Search: {folder.path}/auto.html; the best recipe is {folder.path}/best.yaml")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _terms(recipe: Recipe, methods: Sequence[str], models: Sequence[str]) -> dict[str, Any]:
    """What has to be the same for a search to go on."""
    terms = {key: value for key, value in flat(recipe.model_dump(mode="json")) if not may_change(key)}
    return terms | {"--methods": list(methods), "--models": list(models)}


def _begun(rows: dict[str, int], models: Sequence[str], minutes: float) -> str:
    beside = f" Base models beside the recipe's own: {', '.join(models)}." if models else ""
    test = f" The {rows['test']:,} test rows wait for the end." if "test" in rows else ""
    return f"{minutes:g} minutes for {rows['train']:,} training rows.{beside}{test}"


def _print(facts: dict[str, Any]) -> None:
    """The trials on stdout: those with a figure in a table, the others with why there is none."""
    rows = []
    for one in [one for one in facts["trials"] if one["scores"]]:
        last, mark = one["scores"][-1], " ◆" if one["number"] == facts["winner"] else ""
        ends = "{:.3f} to {:.3f}".format(*last["interval"]) if last["interval"] else ""
        rows.append(
            [
                f"{one['number']} {one['said']}{mark}",
                f"{last['value']:.3f}",
                ends,
                f"{last['epochs']:g}",
                f"{one['seconds']:.0f}",
            ]
        )
    title = f"Trials, by {facts['monitor']} on {facts['rows']['validation']:,} validation rows"
    print_table(title, ["", facts["monitor"], "95 % interval", "epochs", "s"], rows)
    for one in [one for one in facts["trials"] if not one["scores"]]:
        print(f"- Trial {one['number']} ({one['said']}) has no figure: {one['state']}")
    print(f"The search ended because {facts['stopped']}.")
