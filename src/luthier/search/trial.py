"""One trial: an ordinary run up to its last step, which the study watches. Its test rows are not scored.

Rows are prepared and encoded once for all trials that read them in the same way, and outputs of frozen parts lie in the cache folder,
where every trial, process and later search finds them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from luthier.advise import fitting
from luthier.build import Met, Ready, equip, make_accelerator, make_job, meet, resolve
from luthier.errors import DataError, ExtraError, LuthierError, ModelError, RecipeError, RunError, TrainError
from luthier.evaluate.judge import PerRow
from luthier.evaluate.predict import Scorer, Scores
from luthier.folder import RunFolder
from luthier.models.anatomy import Anatomy
from luthier.pipeline import go_on, run_loop
from luthier.prepare import prepare
from luthier.recipe.reading import parse_file
from luthier.recipe.schema import Recipe
from luthier.search.space import laid_over
from luthier.settled import holds_run, refuse_other_base, refuse_to_mix, write_settled
from luthier.show import Console
from luthier.training.checkpoint import Checkpoints
from luthier.training.job import Callback, Job, State, Step
from luthier.training.memory import out_of_memory

if TYPE_CHECKING:
    from optuna import Trial

PRUNED = "pruned"
CHOSEN_ON = "validation"
"""The rows that every choice is made on."""
UNSEEN = "test"
"""Those that no trial has: none of them is encoded or scored before the choice is made."""
ATTEMPTS = 3
"""How often a trial is begun before it counts as failed."""
ENDED = f"its process was ended {ATTEMPTS} times, as the system does when memory runs out"
ITS_OWN: tuple[type[LuthierError], ...] = (TrainError, RecipeError, ModelError, DataError, ExtraError)
"""Errors that come of a trial's values: it has failed, and the search goes on."""
MAY_FAIL: tuple[type[Exception], ...] = (*ITS_OWN, RuntimeError, MemoryError)
"""What `fault` looks at."""


class Watch(Callback):
    """Tell the study what each epoch has brought, and end the trial where the others say that it is not worth going on.

    Args:
        trial: of the study.
        told: epochs that it has told before it was interrupted.
        prunable: whether it may end early.
    """

    def __init__(self, trial: Trial, told: Collection[int] = (), prunable: bool = True) -> None:
        self.trial = trial
        self.told = set(told)
        self.prunable = prunable

    def start(self, job: Job, state: State) -> None:
        """Tell what was saved and not told yet."""
        self._tell(job, state)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Tell the first evaluation after each epoch: epochs are what trials with other batches have in common."""
        if not state.evaluated or not self._tell(job, state) or state.stopped or state.step == job.steps(state):
            return
        if self.prunable and self.trial.should_prune():
            state.stopped = PRUNED

    def _tell(self, job: Job, state: State) -> bool:
        epoch, value = state.step // job.batches.per_epoch, value_of(job, state)
        if epoch == 0 or epoch in self.told or value is None:
            return False
        self.told.add(epoch)
        self.trial.report(value, epoch)
        return True


def value_of(job: Job, state: State) -> float | None:
    """The figure of the weights that would be kept now."""
    return state.best if job.settings.keep_best else state.value


@dataclass(frozen=True)
class Worked:
    """A trial that has come as far as it went."""

    job: Job
    state: State
    ready: Ready

    @property
    def value(self) -> float | None:
        """The figure of the weights that are kept."""
        return value_of(self.job, self.state)

    def scores(self, folder: RunFolder) -> PerRow:
        """Of the validation rows, by the weights that are kept."""
        scores: PerRow = self.scored(folder).per_row
        return scores

    def scored(self, folder: RunFolder) -> Scores:
        """The same with the mean loss."""
        if self.job.settings.keep_best and self.state.best is not None:
            Checkpoints(folder).load_best(self.job, self.state)
        scorer = Scorer(self.job.work.model, self.ready.data.target, self.job.accelerator)
        return scorer(self.job.work.held[CHOSEN_ON])


class Bench:
    """What trials share.

    Args:
        console: hears what is to be said of the rows, once.
        command: that is told to people where there are no rows to choose by.
    """

    def __init__(self, console: Console, command: str = "luthier tune") -> None:
        self.console = console
        self.command = command
        self.quiet = Console(quiet=True)
        self._met: dict[str, Met] = {}

    def work(self, recipe: Recipe, folder: RunFolder, *watches: Callback) -> Worked:
        """Train a trial from wherever it stands.

        Raises:
            LuthierError: it cannot be trained.
        """
        met = self.met(recipe)
        accelerator = make_accelerator(recipe, folder)
        ready = equip(recipe, met, self.quiet)
        fitting.refuse(ready, accelerator)
        refuse_to_mix(folder, recipe, ready.data.facts)
        refuse_other_base(folder, ready.base.sha256)
        write_settled(folder, recipe, ready.data.facts, resolve(ready, accelerator))
        job = make_job(ready, accelerator, self.quiet)
        state = go_on(folder, job, self.quiet)
        run_loop(folder, job, ready, state, self.quiet, watches)
        return Worked(job, state, ready)

    def looked_at(self, recipe: Recipe) -> tuple[Anatomy, list[int]]:
        """How the recipe's network is built, and how many epochs each of its stages trains for."""
        applied = equip(recipe, self.met(recipe), self.quiet).applied
        return applied.anatomy, [stage.epochs for stage in applied.stages]

    def met(self, recipe: Recipe) -> Met:
        """The rows as a recipe reads them, prepared once.

        Raises:
            RecipeError: there are no validation rows to choose on.
        """
        key = _read_alike(recipe)
        if key not in self._met:
            accelerator = make_accelerator(recipe, RunFolder(recipe.output))
            data = prepare(recipe, self.console)
            data.tables.pop(UNSEEN, None)
            self._met[key] = meet(recipe, data, accelerator, self.console)
        if CHOSEN_ON not in self._met[key].data.rows:
            raise RecipeError(
                f"{self.command} chooses by validation rows, and there are none: give data.files.validation or a share of the training "
                "rows by data.split.validation."
            )
        return self._met[key]


def own(recipe: Recipe, values: Mapping[str, Any], folder: RunFolder) -> Recipe:
    """The recipe of a trial: outputs of frozen parts go where all trials find them, and no tracker hears of it."""
    cache = {"train.cache": "disk"} if recipe.train.cache == "auto" else {}
    return laid_over(recipe, {**values, **cache, "train.track": [], "output": str(folder.path)})


def fault(wrong: Exception) -> str:
    """Why a trial has failed, of an error that comes of its values; any other is raised again."""
    if isinstance(wrong, ITS_OWN):
        return str(wrong)
    if isinstance(wrong, RuntimeError | MemoryError) and out_of_memory(wrong):
        return "out of memory"
    raise wrong


def move_in(place: RunFolder, folder: RunFolder, recipe: Recipe) -> None:
    """Put a trial as it stood when it ended into an empty folder, where its recipe goes on as an ordinary run."""
    shutil.copytree(place / "checkpoints", folder / "checkpoints", dirs_exist_ok=True)
    shutil.copy2(place / "log.jsonl", folder / "log.jsonl")
    resolved = parse_file(place / "recipe.yaml")["resolved"]
    write_settled(folder, recipe, place.read_json("data.json"), resolved)


def refuse_other_folders(folder: RunFolder, record: str) -> None:
    """Leave folders alone that hold other things than a search.

    Args:
        folder: of the search.
        record: file by which a folder of such a search is known.

    Raises:
        RunError: the folder is not empty, and such a search has not written it.
    """
    others = [one.name for one in folder.path.glob("*") if not one.name.startswith(".")]
    if others and not (folder / record).is_file():
        what = "holds a run of `luthier train`" if holds_run(folder) else f"is not empty (it has {min(others)!r})"
        raise RunError(f"{folder.path} {what}, and a search needs a folder of its own. Give another output=...")


def _read_alike(recipe: Recipe) -> str:
    """What decides how rows are read: recipes with the same text share them."""
    parts: dict[str, Any] = recipe.model_dump(
        mode="json", include={"task", "model", "revision", "trust_remote_code", "data", "seed"}
    )
    parts["methods"] = [one.model_dump(mode="json") for one in recipe.methods if one.tokens or one.words]
    parts["mixing"] = repr(recipe.train.mixing)
    return json.dumps(parts, sort_keys=True, default=str)
