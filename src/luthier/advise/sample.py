"""A few steps of a training that stand for all of them: the heaviest one, and two of usual size.

Cut and padded as training does it, but of a few rows only, so that a forecast computes as little as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from accelerate import Accelerator

from luthier.build import Ready, batches_of, make_job
from luthier.data.batches import Batches
from luthier.data.encode import Rows
from luthier.show import Console
from luthier.training.job import Job
from luthier.training.microbatch import CALL_COST, TOKENS_PER_CALL, sorted_groups
from luthier.training.step import micro_batches, padded_tokens

LOOKED_AT = 50
"""Steps of the first epoch that are cut into micro-batches to see how large they are."""
TIMED = 6
"""Most steps that are timed."""


@dataclass(frozen=True)
class Chosen(Batches):
    """The steps of a forecast: the heaviest twice, once to warm up, then the usual ones by turns."""

    steps: tuple[np.ndarray, ...] = ()
    """Row numbers of each."""
    began: int = 0
    """The step at which the stage began."""

    @property
    def per_epoch(self) -> int:
        """All of them."""
        return len(self.steps)

    def at(self, step: int) -> np.ndarray:
        """Row numbers of a step."""
        return self.steps[(step - self.began) % len(self.steps)]


@dataclass(frozen=True)
class Plan:
    """What the steps of a training are like, before one is computed.

    Args:
        job: the training, with all its rows.
    """

    job: Job

    @cached_property
    def _steps(self) -> list[np.ndarray]:
        numbers = np.linspace(0, self.job.batches.per_epoch - 1, min(LOOKED_AT, self.job.batches.per_epoch))
        return [self.job.batches.at(int(number)) for number in numbers]

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.array([self._size(rows) for rows in self._steps])

    def _size(self, rows: np.ndarray) -> float:
        """Padded positions of a step, and the price of its calls in positions."""
        price = CALL_COST.get(self.job.device.type, CALL_COST["cpu"])
        pieces = micro_batches(self.job, rows, self.job.settings.max_tokens)
        return price * len(pieces) + sum(padded_tokens(self.job, piece) for piece in pieces)

    @cached_property
    def heaviest(self) -> np.ndarray:
        """Row numbers of the step with the largest micro-batch."""
        return max(self._steps, key=self._largest)

    @cached_property
    def usual(self) -> tuple[np.ndarray, np.ndarray]:
        """Row numbers of two steps, a quarter and three quarters up from the lightest."""
        order = np.argsort(self._sizes, kind="stable")
        low, high = order[len(order) // 4], order[(3 * len(order)) // 4]
        return self._steps[low], self._steps[high]

    @property
    def scale(self) -> float:
        """Size of the mean step over that of the two usual ones."""
        return float(self._sizes.mean() / np.mean([self._size(rows) for rows in self.usual]))

    @property
    def weight(self) -> float:
        """Size of the heaviest step over that of the two usual ones."""
        return float(self._size(self.heaviest) / np.mean([self._size(rows) for rows in self.usual]))

    @property
    def positions(self) -> int:
        """Padded positions of the largest micro-batch."""
        return self._largest(self.heaviest)

    def positions_on(self, kind: str) -> int:
        """Padded positions of the largest micro-batch on a kind of device; on another than this one at most a whole step's rows as long
        as the longest of them, as calls cost more there.
        """
        if kind == self.job.device.type:
            return self.positions
        lengths = self.job.work.feed.lengths
        whole = max(len(rows) * int(lengths[rows].max()) for rows in self._steps)
        return max(self.positions, min(whole, self.job.settings.max_tokens or whole))

    def _largest(self, rows: np.ndarray) -> int:
        pieces = micro_batches(self.job, rows, self.job.settings.max_tokens)
        return max(padded_tokens(self.job, piece) for piece in pieces)


def plan(ready: Ready, accelerator: Accelerator) -> Plan:
    """The steps of a training; rows that it changes in each epoch are taken as they are."""
    still = ready.recipe.model_copy(
        update={
            "data": ready.recipe.data.model_copy(update={"augment": []}),
            "train": ready.recipe.train.model_copy(update={"mixing": None}),
        }
    )
    return Plan(make_job(replace(ready, recipe=still), accelerator))


def sampled(ready: Ready, plan: Plan, accelerator: Accelerator, console: Console) -> Job:
    """The training with the rows of a few steps only, as it stands before the first."""
    steps = [plan.heaviest, plan.heaviest, *(plan.usual * (TIMED // 2))]
    kept = np.unique(np.concatenate(steps))
    rows = {"train": _only(ready.data.rows["train"], kept)}
    rows |= {name: _spread(one, ready) for name, one in ready.data.rows.items() if name != "train"}
    job = make_job(replace(ready, data=replace(ready.data, rows=rows)), accelerator, console)
    full = batches_of(ready.recipe, ready.data.rows["train"])
    places = tuple(np.searchsorted(kept, one) for one in steps)
    job.batches = Chosen(len(kept), full.size, full.seed, None, places)
    return job


def _only(rows: Rows, numbers: Sequence[int] | np.ndarray) -> Rows:
    return rows.keep(np.isin(np.arange(len(rows)), numbers))


def _spread(rows: Rows, ready: Ready) -> Rows:
    """Rows that fill two calls in scoring: the longest, and some of usual length."""
    groups = sorted_groups(rows.lengths, ready.data.target.objective().tokens_per_call or TOKENS_PER_CALL)
    return _only(rows, np.concatenate([groups[0], groups[len(groups) // 2]]))
