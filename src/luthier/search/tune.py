"""The search from the recipe to the best model. Read this file first.

recipe -> rows (once) -> space -> study -> trials, each a run that ends before its test rows -> the best by validation
       -> finished as an ordinary run, the only one whose test rows are scored (best.py) -> report (report.py)
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from luthier import hardware
from luthier.errors import RunError, TrainError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump
from luthier.recipe.schema import Recipe
from luthier.search import Search
from luthier.search.space import Space, laid_over, said, space_of
from luthier.search.study import Begun, Goal, Trials, forget, open_study
from luthier.search.trial import ATTEMPTS, CHOSEN_ON, ENDED, MAY_FAIL, PRUNED, Bench, Watch, Worked, fault, own
from luthier.settled import flat, may_change
from luthier.show import Console
from luthier.training.callbacks import Interrupt

RECORD, BEST, PAGE, FACTS = "search.yaml", "best.yaml", "tune.html", "tune.json"
"""The recipe as it was searched, the one that came out best, and the report."""


@dataclass(frozen=True)
class Budget:
    """When to begin no more trials."""

    trials: int | None
    """In all, with those of earlier calls and other processes."""
    minutes: float | None
    """Of this call."""

    def left(self, began: float, took: list[float]) -> bool:
        """Whether another trial is expected to end in time.

        Args:
            began: when the call did, by `time.monotonic`.
            took: seconds of the trials that have ended in full.
        """
        expected = median(took) if took else 0.0
        return self.minutes is None or time.monotonic() - began + expected <= 60 * self.minutes


class Tuning:
    """One search in one folder.

    Args:
        recipe: from `recipe.reading.read_search`; its `output` is where the search stands.
        storage: address of a database that processes share; empty for a file in the folder.
        console: where it speaks.

    Raises:
        LuthierError: the recipe, its rows or its model cannot be used, or the study is of another search.
    """

    def __init__(self, recipe: Recipe, storage: str, console: Console) -> None:
        hardware.tune_allocator()
        self.recipe = recipe
        self.console = console
        self.folder = RunFolder(recipe.output)
        self.settings = recipe.search or Search()
        self.bench = Bench(console)
        self.storage = storage
        met = self.bench.met(recipe)
        self.judge = met.data.target.judge
        self.rows = len(met.data.rows[CHOSEN_ON])
        self.monitor = recipe.train.monitor or self.judge.monitor
        anatomy, epochs = self.bench.looked_at(recipe)
        self.epochs = sum(epochs)
        self.space: Space = space_of(recipe, anatomy, min(epochs) if isinstance(recipe.stages, list) else self.epochs)
        terms = {key: value for key, value in flat(recipe.model_dump(mode="json")) if not may_change(key)}
        terms |= {f"space of {key}": value for key, value in self.space.written().items()}
        terms |= {"rows": met.data.facts["fingerprint"], "base model": met.base.sha256}
        lower = self.judge.lower_is_better(self.monitor)
        most = max(
            self.epochs, *(_most(one.values.ends) for one in self.space.dimensions if one.key == "train.epochs"), 1
        )
        goal = Goal(self.folder.path.name, recipe.seed, self.monitor, lower, self.settings.pruner, most, terms)
        written = dump(recipe.model_dump(mode="json", exclude={"resolved"}))
        if not (self.folder / RECORD).is_file():
            self.folder.write(RECORD, written)  # before the study, so that a folder with a study is known as a search's
        self.study = open_study(self.folder, storage, goal)
        self.trials = Trials(self.study, self.folder, self.space.start())
        self.folder.write(RECORD, written)

    def run(self, budget: Budget) -> None:
        """Try values until the budget is spent.

        Raises:
            KeyboardInterrupt: asked to stop; what was tried is kept, and the trial in progress goes on where it stands.
        """
        began = time.monotonic()
        while budget.left(began, [one.user_attrs["seconds"] for one in self._full()]):
            with self.trials.next(budget.trials) as begun:
                if begun is None:
                    return
                self._attempt(begun)
            self._tidy()

    def best(self) -> FrozenTrial:
        """The best trial by validation.

        Raises:
            RunError: none has ended in full.
        """
        best = self.trials.best()
        if best is None:
            reasons = "".join(f"\n  trial {one.number}: {reason_of(one)}" for one in self.trials.ended())
            raise RunError(f"No trial has ended with a {self.monitor}, so there is nothing to choose from.{reasons}")
        return best

    def recipe_of(self, trial: FrozenTrial, output: str) -> Recipe:
        """The recipe with a trial's values, for a run of its own in the folder `output`."""
        return laid_over(self.recipe, {**trial.user_attrs["values"], "output": output})

    def again(self, trial: FrozenTrial) -> Worked | None:
        """A trial as it stood when it ended; None where its weights are not here."""
        folder = self.trials.folder_of(trial.number)
        if not (folder / "checkpoints" / "last").is_dir():
            return None
        return self.bench.work(self.own(trial.user_attrs["values"], folder), folder)

    def _attempt(self, begun: Begun) -> None:
        """Run a trial and tell the study what came of it.

        Raises:
            KeyboardInterrupt: asked to stop.
            LuthierError: what no other values would help against.
        """
        trial, began = begun.trial, time.monotonic()
        values = self.space.draw(trial)
        trial.set_user_attr("values", values)
        self.console.say(f"Trial {trial.number}: {said(values)}")
        told = self.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        watch = Watch(trial, told, prunable=trial.number > 0)
        try:
            if begun.attempts > ATTEMPTS:
                raise TrainError(ENDED)
            worked = self.bench.work(self.own(values, begun.folder), begun.folder, watch)
        except MAY_FAIL as wrong:
            self._failed(trial, fault(wrong), began)
        else:
            self._ended(trial, worked, began)

    def _ended(self, trial: optuna.Trial, worked: Worked, began: float) -> None:
        state = worked.state
        if state.stopped == Interrupt.REASON:
            stopped = f"Stopped in trial {trial.number} after step {state.step}. The same command goes on from there."
            self.console.say(stopped)
            raise KeyboardInterrupt(stopped)
        trial.set_user_attr("seconds", round(time.monotonic() - began, 2))
        trial.set_user_attr("epochs", round(state.step / worked.job.batches.per_epoch, 2))
        if state.stopped == PRUNED:
            trial.set_user_attr("reason", f"ended early: {self.monitor} {worked.value:.4f} was too low for its epoch")
            self.study.tell(trial, state=TrialState.PRUNED)
            self.console.say(f"  ended after epoch {state.step // worked.job.batches.per_epoch}: {worked.value:.4f}")
            return
        self.study.tell(trial, worked.value)
        mark = "  best so far" if self.best().number == trial.number else ""
        self.console.say(f"  {self.monitor} {worked.value:.4f}{mark}")

    def _failed(self, trial: optuna.Trial, reason: str, began: float) -> None:
        """Write the reason down; it is shown, not dropped."""
        trial.set_user_attr("reason", reason)
        trial.set_user_attr("seconds", round(time.monotonic() - began, 2))
        self.study.tell(trial, state=TrialState.FAIL)
        self.console.warn(f"Trial {trial.number} has failed: {reason}")

    def own(self, values: Mapping[str, Any], folder: RunFolder) -> Recipe:
        """The recipe of a trial."""
        return own(self.recipe, values, folder)

    def _full(self) -> list[FrozenTrial]:
        return [one for one in self.trials.ended() if one.state == TrialState.COMPLETE]

    def _tidy(self) -> None:
        """Delete the weights of all trials that are neither the best nor the first, which it is compared with."""
        best = self.trials.best()
        kept = {0, best.number if best else 0}
        for one in self.trials.ended():
            if one.number not in kept:
                shutil.rmtree(self.trials.folder_of(one.number) / "checkpoints", ignore_errors=True)


def begin_anew(folder: RunFolder, storage: str, name: str) -> None:
    """Delete a search: its study, its trials and its run."""
    if not (folder / RECORD).is_file():
        return
    forget(folder, storage, name)
    for one in (folder / one for one in (RECORD, BEST, PAGE, FACTS)):
        one.unlink(missing_ok=True)
    shutil.rmtree(folder / "trials", ignore_errors=True)
    folder.clear()


def reason_of(trial: FrozenTrial) -> str:
    """Why a trial has no figure."""
    return str(trial.user_attrs.get("reason", trial.state.name.lower()))


def _most(values: tuple[Any, ...]) -> int:
    return max((one for one in values if isinstance(one, int)), default=1)
