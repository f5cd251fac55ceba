"""The best trial: how much better it is than the recipe as it stood, and its end as an ordinary run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from luthier.evaluate.bootstrap import percentiles
from luthier.folder import MANIFEST
from luthier.pipeline import train_in
from luthier.recipe.reading import dump
from luthier.recipe.schema import Recipe
from luthier.search.trial import CHOSEN_ON, move_in
from luthier.search.tune import BEST, Tuning
from luthier.training.callbacks import Interrupt


def finish(search: Tuning) -> bool:
    """Finish the best trial in the folder of the search: here, and nowhere before, test rows are scored.

    Returns:
        Whether it was done; not where other processes still try values.

    Raises:
        RunError: no trial has ended in full.
        KeyboardInterrupt: asked to stop; the same call goes on.
    """
    others = search.trials.at_work()
    if others:
        told = ", ".join(map(str, others))
        search.console.say(f"Other processes are at work on trial {told}; the last one finishes the search.")
        return False
    best, folder = search.best(), search.folder
    with folder.locked():
        own = search.own(best.user_attrs["values"], folder)
        if not (folder / "model" / MANIFEST).is_file() or search.study.user_attrs.get("finished") != best.number:
            _take_over(search, best, own)
        if train_in(folder, own, search.console).stopped == Interrupt.REASON:
            raise KeyboardInterrupt("Stopped. The same command goes on from there.")
        search.study.set_user_attr("finished", best.number)
        folder.write(BEST, best_yaml(search, best))
    return True


def _take_over(search: Tuning, best: FrozenTrial, recipe: Recipe) -> None:
    """Put a trial as it stood when it ended in the folder of the search, in the place of an earlier best."""
    folder, place = search.folder, search.trials.folder_of(best.number)
    begun = search.study.user_attrs.get("finishing") == best.number and (folder / "recipe.yaml").is_file()
    if begun:
        return
    folder.clear()
    scored = search.study.user_attrs.get("scored", [])
    search.study.set_user_attr("scored", sorted({*scored, best.number}))
    if (place / "checkpoints" / "last").is_dir():
        move_in(place, folder, recipe)
    search.study.set_user_attr("finishing", best.number)


def best_yaml(search: Tuning, best: FrozenTrial) -> str:
    """The best recipe for people: what it says beside defaults."""
    written = search.recipe_of(best, output=f"{search.folder.path}-best").model_dump(mode="json", exclude_defaults=True)
    return (
        f"# Trial {best.number} of {len(search.trials.all())}, the best by {search.monitor} on {search.rows} validation rows: "
        f"{best.value:.4f}.\n{dump(written)}"
    )


@dataclass(frozen=True)
class Difference:
    """The best trial beside the first, which has the recipe as it stood, on the validation rows."""

    best: int
    monitor: str
    rows: int
    trials: int
    value: float
    first: float | None
    """None where the first trial has no figure."""
    interval: tuple[float, float] | None
    """95 % interval of how much better the best is, from the same resamples of the rows; None where there is none."""
    lower_is_better: bool

    @property
    def gain(self) -> float:
        """How much better the best is."""
        return (self.value - (self.first or 0.0)) * (-1 if self.lower_is_better else 1)

    @property
    def noise(self) -> bool | None:
        """Whether the rows are too few to tell the two apart; None where that is not known."""
        return None if self.interval is None else self.interval[0] <= 0 <= self.interval[1]

    @property
    def sentence(self) -> str:
        """For people."""
        told = f"Trial {self.best} has {self.monitor} {self.value:.4f} on the {self.rows:,} validation rows"
        if self.best == 0:
            return f"{told}: of {self.trials} trials none was better than the first, the recipe as it stood."
        if self.first is None:
            return f"{told}; the first trial, the recipe as it stood, has no figure to compare it with."
        better = "less" if self.lower_is_better else "more"
        told += f", {abs(self.gain):.4f} {better} than the recipe as it stood (trial 0: {self.first:.4f})"
        if self.interval is None:
            return f"{told}; how sure that is, is not known for this figure here."
        ends = f"{self.interval[0]:+.4f} to {self.interval[1]:+.4f}"
        if self.noise:
            return f"{told}. That is within the noise of so few rows: the 95 % interval of the gain is {ends}."
        return f"{told}; the 95 % interval of the gain is {ends}. Chosen among {self.trials} on these rows, it looks better than it is."


def difference(search: Tuning, best: FrozenTrial) -> Difference:
    """Compare the best trial with the first, row by row."""
    first = next((one for one in search.trials.all() if one.number == 0), None)
    value = first.value if first is not None and first.state.name == "COMPLETE" else None
    interval = _interval(search, first, best) if first is not None and value is not None and best.number else None
    return Difference(
        best.number,
        search.monitor,
        search.rows,
        len(search.trials.all()),
        float(best.value or 0.0),
        value,
        interval,
        search.judge.lower_is_better(search.monitor),
    )


def _interval(search: Tuning, first: FrozenTrial, best: FrozenTrial) -> tuple[float, float] | None:
    drawn = [_resampled(search, one) for one in (first, best)]
    if drawn[0] is None or drawn[1] is None:
        return None
    sign = -1 if search.judge.lower_is_better(search.monitor) else 1
    gains = sign * (drawn[1] - drawn[0])
    return percentiles(gains) if np.isfinite(gains).any() else None


def _resampled(search: Tuning, trial: FrozenTrial) -> Any:
    """The figure of a trial on each resample of the validation rows; None where its weights are not here, or the figure has none."""
    worked = search.again(trial)
    if worked is None:
        return None
    scores = worked.scores(search.trials.folder_of(trial.number))
    targets = worked.job.work.held[CHOSEN_ON].targets
    return search.judge.resampled(targets, scores, search.recipe.seed).get(search.monitor)
