"""Trainings of one recipe with several methods and seeds, each in a process of its own.

So the peak of the memory is that of one training, and one that the system kills takes nothing else with it. All share the cache of
frozen parts on the disk. The rows are divided by the recipe's seed in all of them: `data.split.seed` holds it while `seed`, which draws
the new head, the order of the rows and dropout, goes on from there. A precision that is measured is measured once.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from luthier import hardware
from luthier.build import stored_precision
from luthier.errors import RecipeError
from luthier.folder import RunFolder
from luthier.methods import METHODS
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.registry import closest
from luthier.settled import BESIDE, refuse_to_mix
from luthier.show import Console

ERROR = "error: "


@dataclass(frozen=True)
class Trial:
    """One training."""

    method: str
    seed: int
    folder: Path
    overrides: tuple[str, ...]
    """What is laid over the recipe."""
    recipe: Recipe
    """The recipe with that."""
    failed: str = ""
    """Why there is no run; empty where there is one."""

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.method}, seed {self.seed}"


def plan(
    path: Path, overrides: Sequence[str], methods: Sequence[str], seeds: int, restart: bool = False
) -> list[Trial]:
    """All trainings, refused here where they cannot be: nothing has been trained yet.

    Args:
        path: the recipe.
        overrides: laid over it in all of them.
        methods: names.
        seeds: how many, counted up from the recipe's.
        restart: whether runs of another recipe may stand where they go.

    Raises:
        RecipeError: a mistake in the recipe, or an unknown method.
        DataError: the rows cannot be used.
        RunError: a run of another recipe, or of other rows, is in a trial's folder.
    """
    for name in methods:
        if name not in METHODS:
            raise RecipeError(f"--methods: there is no method {name!r}; {closest(name, METHODS)}")
    if len(set(methods)) < len(methods):
        raise RecipeError("--methods names a method twice.")
    recipe = read(path, overrides)
    facts = prepare(recipe).facts
    place = Path(recipe.output) / BESIDE
    pairs = [(method, recipe.seed + step) for method in methods for step in range(seeds)]
    folders = [place / f"{method}-{seed}" for method, seed in pairs]
    shared = [*overrides, *_precision(recipe, folders)]
    trials = [_trial(path, recipe, shared, *pair, folder) for pair, folder in zip(pairs, folders, strict=True)]
    for one in trials if not restart else []:
        refuse_to_mix(RunFolder(one.folder), one.recipe, facts)
    return trials


def run(path: Path, trials: Sequence[Trial], console: Console, restart: bool = False) -> list[Trial]:
    """Train what is not trained yet; a trial that fails says why, and the others go on.

    Raises:
        KeyboardInterrupt: stopped; what was complete is kept, and the same call goes on.
    """
    done = []
    for number, trial in enumerate(trials, start=1):
        console.say(f"{trial.name} ({number} of {len(trials)})")
        if not restart and finished(trial.folder):
            console.say("  trained already")
            done.append(trial)
        else:
            done.append(replace(trial, failed=_train(path, trial, console, restart)))
    return done


def finished(folder: Path) -> bool:
    """Whether a run has come to its end."""
    return (folder / "model" / "manifest.json").is_file() and (folder / "README.md").is_file()


def _precision(recipe: Recipe, folders: Sequence[Path]) -> list[str]:
    """Where it is measured, the same for all: that of the trainings that have begun, or measured now, and not anew by each."""
    if recipe.train.precision != "auto":
        return []
    begun = [found for folder in folders if (found := stored_precision(RunFolder(folder)))]
    found = begun[0] if begun else hardware.precision("auto", hardware.device(recipe.train.device)).name
    return [f"train.precision={found}"]


def _trial(path: Path, recipe: Recipe, overrides: Sequence[str], method: str, seed: int, folder: Path) -> Trial:
    """One training; a method that the recipe has keeps the settings that it has there."""
    of_recipe = recipe.stages is None and [one.name for one in recipe.method] == [method]
    own = [] if of_recipe else [f"method={method}", "stages="]
    split = recipe.data.split.seed
    own += [f"seed={seed}", f"data.split.seed={recipe.seed if split is None else split}", f"output={folder}"]
    return Trial(method, seed, folder, (*overrides, *own), read(path, [*overrides, *own]))


def _train(path: Path, trial: Trial, console: Console, restart: bool) -> str:
    """Run `luthier train` in a process; returns why it failed, or nothing."""
    command = [
        sys.executable,
        "-m",
        "luthier",
        "train",
        str(path),
        *trial.overrides,
        *(["--restart"] if restart else []),
    ]
    lines = []
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stderr is not None
        try:
            with _passing_on(process):
                for line in process.stderr:
                    lines.append(line.rstrip())
                    console.say(f"  {lines[-1]}")
                code = process.wait()
        except KeyboardInterrupt:  # the other process has been told too, and saves where it stands
            process.wait()
            raise
    if code == -signal.SIGINT or code == 128 + signal.SIGINT:
        raise KeyboardInterrupt
    return _why(code, lines)


@contextmanager
def _passing_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """Let SIGTERM end both processes; a terminal's Ctrl-C reaches both by itself."""

    def stop(number: int, frame: FrameType | None) -> None:
        process.terminate()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone may listen
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _why(code: int, lines: Sequence[str]) -> str:
    """Of a process that has ended: nothing, its error, or the signal that ended it."""
    if code == 0:
        return ""
    if code < 0:
        name = signal.Signals(-code).name
        memory = ", as the system does when memory runs out" if -code == signal.SIGKILL else ""
        return f"the process was ended by {name}{memory}"
    starts = [place for place, line in enumerate(lines) if line.startswith(ERROR)]
    told = " ".join(lines[starts[-1] :]).removeprefix(ERROR) if starts else next(reversed(lines), "")
    return told or f"the process ended with code {code}"
