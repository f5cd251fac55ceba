"""The study: what was tried and what came of it, kept by Optuna where several processes and machines can share it.

Which trial tries what is a function of the seed, the trial's number and the trials before it, so that one process with the same seed
tries the same values, killed and started again or not.
"""

from __future__ import annotations

import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.search.sampler import Seeded

optuna.logging.set_verbosity(optuna.logging.WARNING)

FILE = "study.db"
STARTUP = 5
"""Trials that end in full before any is pruned."""
PATIENT = 60
"""Seconds that a process waits for others to let go of a SQLite file."""


@dataclass(frozen=True)
class Goal:
    """What all trials of a study have in common."""

    name: str
    seed: int
    monitor: str
    lower_is_better: bool
    pruner: str
    epochs: int
    """The most that a trial can have."""
    terms: Mapping[str, Any]
    """What has to be the same in all processes for their trials to be comparable, by its name for people (JSON)."""


def open_study(folder: RunFolder, url: str, goal: Goal) -> optuna.Study:
    """Open the study, or begin it.

    Args:
        folder: of the search.
        url: of a database as SQLAlchemy writes it; empty for a SQLite file in the folder.
        goal: what it is for.

    Raises:
        RunError: the storage cannot be reached, or holds a study of another recipe or other rows under this name.
    """
    with asking(folder):
        study = optuna.create_study(
            storage=_storage(folder, url),
            study_name=goal.name,
            direction="minimize" if goal.lower_is_better else "maximize",
            sampler=Seeded(goal.seed),
            pruner=PRUNERS[goal.pruner](goal.epochs),
            load_if_exists=True,
        )
        _settle(study, goal)
    return study


def forget(folder: RunFolder, url: str, name: str) -> None:
    """Delete a study, if it is there; arguments as in `open_study`.

    Raises:
        RunError: the storage cannot be reached.
    """
    if url:
        storage = _storage(folder, url)
        if name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
    else:
        (folder / FILE).unlink(missing_ok=True)


@contextmanager
def asking(folder: RunFolder) -> Iterator[None]:
    """One process of a folder at a time: no other opens the study, or takes a trial, before this one holds its own."""
    folder.path.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".asking"):
        yield


def _storage(folder: RunFolder, url: str) -> RDBStorage:
    if not url:
        folder.path.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{(folder / FILE).absolute()}"
    lite = url.startswith("sqlite")
    try:
        return RDBStorage(url, engine_kwargs={"connect_args": {"timeout": PATIENT}} if lite else {})
    except (ImportError, sqlalchemy.exc.SQLAlchemyError) as wrong:
        raise RunError(
            f"The storage {_without_password(url)!r} cannot be used: {str(wrong).splitlines()[0]}. Expected an address such as "
            "sqlite:///study.db or postgresql+psycopg://user@host/name, with its driver installed."
        ) from wrong


def _without_password(url: str) -> str:
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url


def _settle(study: optuna.Study, goal: Goal) -> None:
    """Write down what the study is for, or compare.

    Raises:
        RunError: it is for something else.
    """
    terms = json.loads(json.dumps({**goal.terms, "figure": goal.monitor, "seed": goal.seed, "pruner": goal.pruner}))
    before = study.user_attrs.get("terms")
    if before is None:
        study.set_user_attr("terms", terms)
        return
    differing = [name for name in terms if terms[name] != before.get(name)]
    if differing:
        lines = "".join(f"\n  {name}: {before.get(name)!r} there, {terms[name]!r} here" for name in sorted(differing))
        raise RunError(
            f"The study {study.study_name!r} is of another search:{lines}\nGive another output=..., or --restart to begin anew."
        )


PRUNERS: Mapping[str, Callable[[int], BasePruner]] = {
    "median": lambda epochs: MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=epochs // 3),
    "hyperband": lambda epochs: HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3),
    "none": lambda epochs: NopPruner(),
}
"""What ends a trial early, given the most epochs that one can have."""


@dataclass(frozen=True)
class Begun:
    """A trial that this process works on."""

    trial: optuna.Trial
    folder: RunFolder
    attempts: int
    """How often it was begun, this time included."""


class Trials:
    """The trials of a study and their folders.

    Args:
        study: whose they are.
        folder: of the search.
        start: what the first trial takes, by the names of the study.
    """

    def __init__(self, study: optuna.Study, folder: RunFolder, start: Mapping[str, Any]) -> None:
        self.study = study
        self.folder = folder
        self.place = f"{platform.node()}:{folder.path.absolute()}"
        with asking(self.folder):
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial(dict(start))

    @contextmanager
    def next(self, most: int | None) -> Iterator[Begun | None]:
        """A trial to work on: one that a killed process has left, else a new one; None where there are enough.

        Args:
            most: trials in all; None for no limit.
        """
        with ExitStack() as held:
            with asking(self.folder):
                found = self._left() or self._new(most)
                if found:
                    held.enter_context(self.folder_of(found.number).locked())
            yield self._begun(found) if found else None

    def folder_of(self, number: int) -> RunFolder:
        """Where a trial stands."""
        return RunFolder(self.folder / "trials" / f"{number:03d}")

    def all(self) -> list[FrozenTrial]:
        """Every trial that has begun, by number."""
        return [one for one in self.study.get_trials(deepcopy=False) if one.state != TrialState.WAITING]

    def ended(self) -> list[FrozenTrial]:
        """Those that have ended, one way or another."""
        return [one for one in self.all() if one.state.is_finished()]

    def at_work(self) -> list[int]:
        """Numbers of trials that other processes of this folder are working on."""
        running = (one for one in self.all() if one.state == TrialState.RUNNING and self._ours(one))
        return [one.number for one in running if not self._free(one)]

    def best(self) -> FrozenTrial | None:
        """The best trial that ended in full; of equal ones the first."""
        done = [one for one in self.all() if one.state == TrialState.COMPLETE and one.value is not None]
        sign = -1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else 1
        return max(done, key=lambda one: (sign * float(one.value or 0.0), -one.number), default=None)

    def _left(self) -> optuna.Trial | None:
        """A trial of this folder whose process has gone."""
        for one in self.all():
            if one.state == TrialState.RUNNING and self._ours(one) and self._free(one):
                return optuna.Trial(self.study, one._trial_id)
        return None

    def _new(self, most: int | None) -> optuna.Trial | None:
        if most is not None and len(self.all()) >= most:
            return None
        trial = self.study.ask()
        trial.set_user_attr("place", self.place)
        return trial

    def _begun(self, trial: optuna.Trial) -> Begun:
        attempts = int(trial.user_attrs.get("attempts", 0)) + 1
        trial.set_user_attr("attempts", attempts)
        trial.set_user_attr("process", os.getpid())
        return Begun(trial, self.folder_of(trial.number), attempts)

    def _ours(self, trial: FrozenTrial) -> bool:
        """Whether a trial was begun in this folder."""
        return bool(trial.user_attrs.get("place") == self.place)

    def _free(self, trial: FrozenTrial) -> bool:
        """Whether no process holds a trial's folder."""
        try:
            with self.folder_of(trial.number).locked():
                return True
        except RunError:
            return False


def importance(study: optuna.Study, seed: int) -> dict[str, float]:
    """How much of the variance of the figure each key explains (fANOVA, Hutter et al. 2014); empty where too few trials ended."""
    done = [one for one in study.get_trials(deepcopy=False) if one.state == TrialState.COMPLETE]
    shared = set.intersection(*(set(one.params) for one in done)) if done else set()
    varied = [name for name in sorted(shared) if len({one.params[name] for one in done}) > 1]
    if len(done) < STARTUP or not varied or len({one.value for one in done}) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=seed), params=varied)
    return {name: float(value) for name, value in found.items()}
