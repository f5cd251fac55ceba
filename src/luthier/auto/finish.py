"""The end of a search: the winner becomes an ordinary run, and here, and nowhere before, test rows are scored."""

from __future__ import annotations

import shutil

from luthier.auto import BEST
from luthier.auto.ledger import Trial
from luthier.auto.runner import Runner
from luthier.folder import MANIFEST
from luthier.pipeline import train_in
from luthier.recipe.reading import dump
from luthier.search.space import laid_over
from luthier.search.trial import move_in, own
from luthier.show import Console
from luthier.training.callbacks import Interrupt


def finish(runner: Runner, console: Console) -> None:
    """Finish the winner in the folder of the search, where it stands when it was trained to its end or the time was over.

    Raises:
        KeyboardInterrupt: asked to stop; the same call goes on.
    """
    ledger, folder = runner.ledger, runner.folder
    if ledger.finished or ledger.winner is None:
        return
    best = ledger.trials[ledger.winner]
    recipe, place = own(runner.recipe, best.values, folder), runner.folder_of(best)
    with folder.locked():
        if not (folder / "recipe.yaml").is_file() and (place / "checkpoints").is_dir():
            move_in(place, folder, recipe)
        ended = train_in(folder, recipe, console)
        if ended.stopped == Interrupt.REASON:
            raise KeyboardInterrupt("Stopped. The same command goes on from there.")
        if not (folder / "model" / MANIFEST).is_file():
            return
        folder.write(BEST, best_yaml(runner, best))
        ledger.finished = True
        runner.write()
    for one in ledger.trials:
        shutil.rmtree(runner.folder_of(one) / "checkpoints", ignore_errors=True)


def best_yaml(runner: Runner, best: Trial) -> str:
    """The best recipe for people: what it says beside defaults."""
    recipe = laid_over(runner.recipe, {**best.values, "output": f"{runner.folder.path}-best"})
    written = recipe.model_dump(mode="json", exclude_defaults=True)
    last = best.scores[-1]
    cut = (
        ""
        if last.whole
        else f" It stood after step {last.step} of {last.steps} when the time was over; this trains it to the end."
    )
    return f"# {runner.taken(best)}.{cut}\n{dump(written)}"
