"""What a search has done so far, in one file that is written anew after each step: killed anywhere, it goes on from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import BaseModel

from luthier.auto import BEST, FACTS, LEDGER, PAGE, RECORD
from luthier.errors import RunError
from luthier.evaluate.bootstrap import percentiles
from luthier.folder import RunFolder

Resampled = list[float | None]
"""A figure on each resample of the rows, None where it is undefined; empty where nobody can say."""


def kept(values: np.ndarray | None) -> Resampled:
    """Resamples as JSON has them."""
    if values is None or not np.isfinite(values).any():
        return []
    return [round(float(one), 6) if np.isfinite(one) else None for one in values]


def interval(resampled: Resampled) -> tuple[float, float] | None:
    """95 % interval of a figure; None where nothing is known."""
    return percentiles(np.array(resampled, dtype=np.float64)) if resampled else None


class Probed(BaseModel):
    """What the linear probe says of a base model."""

    model: str
    """As a recipe says it, or the name of a network that the recipe describes."""
    own: bool
    """Whether it is the recipe's."""
    figure: str = ""
    value: float | None = None
    resampled: Resampled = []
    rows: int = 0
    """Training rows that were answered by models which had not seen them."""
    seconds: float = 0.0
    unprobed: str = ""
    """Why there is no figure."""
    out: str = ""
    """Why it goes no further; empty where it does."""


class Score(BaseModel):
    """How good a trial is at the end of a rung, by the weights that would be kept."""

    rung: int
    value: float
    loss: float | None = None
    """Of the same rows: the Brier score of classes, else the mean loss; None where it is no number."""
    resampled: Resampled
    step: int
    steps: int
    """Of the whole training."""
    epochs: float
    """Passes over the training rows that were done."""
    seconds: float
    """That the rung took."""
    pace: float = 0.0
    """Seconds of a step in this rung; 0 where it had but one."""
    opening: float = 0.0
    """Seconds of the rung beside its steps, as for reading the weights."""
    whole: bool
    """Whether the training has come to its end."""
    cut: bool = False
    """Whether the clock has ended it."""

    @property
    def share(self) -> float:
        """Of the training, that was done."""
        return 1.0 if self.whole else self.step / self.steps


class Trial(BaseModel):
    """A base model, a method and a rate."""

    number: int
    wave: int
    model: str
    method: str
    rate: float | None
    """Learning rate; None where the recipe gives one for each part or stage."""
    values: dict[str, Any]
    """What is laid over the recipe."""
    forecast: float | None = None
    """Seconds of the whole training; None where it was not measured."""
    memory: int | None = None
    """Bytes at its peak, by the same forecast."""
    scores: list[Score] = []
    out: str = ""
    """Why it went no further; empty while it may."""
    waits: bool = False
    """Whether it is out by its place alone, and goes on where time is left."""
    failed: bool = False
    attempts: int = 0
    """Times that a rung was begun and did not end."""

    @property
    def given(self) -> bool:
        """Whether it is the recipe as it stands."""
        return not self.values

    @property
    def said(self) -> str:
        """For people."""
        rate = "the recipe's rates" if self.rate is None else f"lr {self.rate:.3g}"
        return f"{self.method}, {rate}" + (f", {short(self.model)}" if "model" in self.values else "")

    @property
    def last(self) -> Score | None:
        """The furthest that it came."""
        return self.scores[-1] if self.scores else None

    @property
    def whole(self) -> bool:
        """Whether its training has come to its end."""
        return bool(self.scores and self.scores[-1].whole)

    @property
    def seconds(self) -> float:
        """Of all its rungs."""
        return sum(one.seconds for one in self.scores)

    @property
    def rest(self) -> float:
        """Seconds that the rest of its training will take: by its last steps, else by all it took so far, else by the forecast."""
        last = self.last
        if last is None:
            return self.forecast or 0.0
        if last.pace and not last.whole:
            return last.pace * (last.steps - last.step) + min(one.opening for one in self.scores)
        return self.seconds / max(last.share, 1e-9) * (1 - last.share)

    def at(self, rung: int) -> Score | None:
        """Its score at the end of a rung; where it had come to its end before, that one."""
        found = [one for one in self.scores if one.rung <= rung]
        return found[-1] if found and (found[-1].rung == rung or found[-1].whole) else None


class Ledger(BaseModel):
    """All of it."""

    terms: dict[str, Any]
    """What has to be the same for a search to go on."""
    minutes: float
    models: list[str] | None = None
    """Base models beside the recipe's own; None before they were looked for."""
    spent: float = 0.0
    """Seconds that the search took, over all calls."""
    shares: list[float] = []
    """How much of a training is done at the end of each rung from 1 on."""
    probes: list[Probed] = []
    trials: list[Trial] = []
    halved: list[list[int]] = []
    """Wave and rung of each halving that was done."""
    waves: list[str] = []
    """What each wave has brought, in words."""
    unproven: list[int] = []
    """Waves whose gain the rows do not show."""
    stopped: str = ""
    """Why the search is over; empty while it is not."""
    winner: int | None = None
    finished: bool = False
    """Whether the winner stands in the folder as a run."""

    @property
    def default(self) -> Trial | None:
        """The recipe as it stands; None before trials are entered."""
        return next((one for one in self.trials if one.given), None)

    @property
    def contenders(self) -> list[Trial]:
        """Trials that may be taken: another rate only where the rows show that it is better."""
        return [one for one in self.trials if one.wave not in self.unproven]

    def of(self, wave: int) -> list[Trial]:
        """The trials of a wave."""
        return [one for one in self.trials if one.wave == wave]

    def write(self, folder: RunFolder) -> None:
        """Put it in its place, whole."""
        folder.write(LEDGER, self.model_dump_json(indent=None) + "\n")


def read(folder: RunFolder, minutes: float, terms: Mapping[str, Any]) -> Ledger:
    """The ledger that an earlier call has left, or a new one.

    Args:
        folder: of the search.
        minutes: that it has in all.
        terms: what has to be the same for it to go on (JSON).

    Raises:
        RunError: the search in the folder is another one.
    """
    now = json.loads(json.dumps(terms))
    if not (folder / LEDGER).is_file():
        return Ledger(terms=now, minutes=minutes)
    found = Ledger.model_validate_json((folder / LEDGER).read_text(encoding="utf-8"))
    differing = sorted(name for name in now.keys() | found.terms.keys() if now.get(name) != found.terms.get(name))
    if differing:
        lines = "".join(f"\n  {name}: {found.terms.get(name)!r} there, {now.get(name)!r} here" for name in differing)
        raise RunError(
            f"{folder.path} holds another search:{lines}\nGive another output=..., or --restart to begin anew."
        )
    found.minutes = minutes
    return found


def begin_anew(folder: RunFolder) -> None:
    """Delete a search: its trials, what they have shown and its run."""
    if not (folder / RECORD).is_file():
        return
    shutil.rmtree(folder / "trials", ignore_errors=True)
    for name in (LEDGER, BEST, PAGE, FACTS):
        (folder / name).unlink(missing_ok=True)
    folder.clear()
    (folder / RECORD).unlink()


def short(model: str) -> str:
    """The end of a model's name or path."""
    return "/".join(model.rstrip("/").split("/")[-2:])
