"""What `luthier tune` does, in terms of the library; results are printed on stdout."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from luthier import extras
from luthier.commands import summarise
from luthier.errors import RecipeError, RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import parse_file, read_search
from luthier.recipe.schema import Recipe
from luthier.show import Console


def tune_recipe(
    path: Path, overrides: Sequence[str], trials: int | None, minutes: float | None, storage: str, restart: bool
) -> None:
    """`luthier tune`."""
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise RunError("luthier tune runs without torchrun. To share the work start the same command several times.")
    if minutes is not None:
        refuse_no_time(minutes)
    recipe = in_its_own_folder(path, overrides, "tuned")
    extras.need("optuna", extra="search")
    from luthier.run import Run
    from luthier.search import Search, best, report, tune
    from luthier.search.space import told
    from luthier.search.trial import refuse_other_folders

    folder, console = RunFolder(recipe.output), Console()
    if restart:
        tune.begin_anew(folder, storage, folder.path.name)
    refuse_other_folders(folder, tune.RECORD)
    search = tune.Tuning(recipe, storage, console)
    console.say(f"Searching by validation {search.monitor} ({search.space.why}): {told(search.space)}")
    asked = trials if trials is not None or minutes is not None else (recipe.search or Search()).trials
    search.run(tune.Budget(asked, minutes))
    if best.finish(search):
        found = report.write(search)
        summarise(Run(folder.path))
        print(found.sentence)
        print(f"Search: {folder.path}/tune.html; the best recipe is {folder.path}/best.yaml")


def refuse_no_time(minutes: float) -> None:
    """Stop a search that has no time for a single trial.

    Raises:
        RecipeError: the minutes are not above 0.
    """
    if minutes <= 0:
        raise RecipeError(f"--minutes is {minutes:g}; give a number above 0, such as --minutes 10.")


def in_its_own_folder(path: Path, overrides: Sequence[str], ending: str) -> Recipe:
    """The recipe, with a folder for the search where it names none.

    Args:
        path: the recipe.
        overrides: laid over it.
        ending: of the folder's name.

    Raises:
        RecipeError: a mistake in it.
    """
    recipe = read_search(path, overrides)
    named = bool(parse_file(path).get("output")) or any(one.partition("=")[0].strip() == "output" for one in overrides)
    if not named:
        recipe = read_search(path, [*overrides, f"output={recipe.output}-{ending}"])
    return recipe
