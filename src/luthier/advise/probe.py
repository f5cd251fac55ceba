"""Computing a few steps of a training, through the loop that trains, to see what they take."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from luthier.advise.allocated import Allocated
from luthier.advise.sample import Chosen, Plan, sampled
from luthier.build import Ready
from luthier.evaluate.predict import Scorer
from luthier.models.quiet import quiet
from luthier.models.save import size_of
from luthier.show import Console
from luthier.training.features import FrozenFeed, Shape
from luthier.training.frozen import Freeze
from luthier.training.job import Callback, Job, State, Step
from luthier.training.keeping import Choice
from luthier.training.loop import fit
from luthier.training.optimizer import inner

WARM = 2
"""Steps before those that are timed: the first one is the slowest, and counting bytes slows down the second."""
LEAST = 2
"""Steps that are timed at least."""
ENOUGH = 2.0
"""Seconds of timed steps after which no more are computed."""


@dataclass(frozen=True)
class Stage:
    """What a stage of a training takes. Memory in bytes, time in seconds."""

    gradients: int
    optimiser: int
    activations: int
    """All else that the heaviest step, scoring or computing a frozen part holds at once."""
    kept: tuple[Shape, ...]
    """What is kept of each row, or position of a row, of frozen parts."""
    prepared: float
    """Finding out what to keep, and computing it for a row's position."""
    filled: float
    step: float
    """Of usual size."""
    scored: float
    """A held-out row, or position of a row, at an evaluation."""


class Meter(Callback):
    """Measures each stage as it passes.

    Args:
        ready: data and model.
        plan: which steps the job has.
        choice: where outputs of frozen parts are kept, as `train.cache`.
    """

    def __init__(self, ready: Ready, plan: Plan, choice: Choice) -> None:
        self.ready = ready
        self.plan = plan
        self.freeze = Freeze(ready.applied.anatomy, choice, None, Console(quiet=True), lasting=False)
        self.stages: list[Stage] = []
        self._counter, self._lower, self._counting = Allocated(), Allocated(), ExitStack()
        self._times: list[float] = []
        self._entered = 0.0

    def enter(self, job: Job, state: State) -> None:
        """Keep what is frozen, and begin with the heaviest step."""
        assert isinstance(job.batches, Chosen)
        job.batches = replace(job.batches, began=state.step)
        self._counter, self._times = Allocated(), []
        self._lower = Allocated()
        began = time.perf_counter()
        with self._lower:
            self.freeze.enter(job, state)
        self._entered = time.perf_counter() - began - self.freeze.seconds

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Count the bytes of the step after the first, and the seconds of those after that."""
        done = state.step - state.began
        if done == WARM - 1:
            self._counting.enter_context(self._counter)
        elif done == WARM:
            self._counting.close()
        else:
            self._times.append(step.seconds)
        if (len(self._times) >= LEAST and sum(self._times) > ENOUGH) or done == job.batches.per_epoch:
            state.over = "measured"
            self.stages.append(self._stage(job))

    def finish(self, job: Job, state: State) -> None:
        """Leave all as it was."""
        self._counting.close()
        self.freeze.finish(job, state)

    def _stage(self, job: Job) -> Stage:
        counter = Allocated()
        with counter:
            scored = _score(job, self.ready)
        gradients = size_of({str(place): one for place, one in enumerate(job.work.parameters)})
        moments = inner(job.work.optimizer).state.values()
        feeds = [job.work.feed, *job.work.held.values()]
        positions = sum(int(feed.feed.lengths.sum()) for feed in feeds if isinstance(feed, FrozenFeed))
        features = job.work.feed.features.shapes if isinstance(job.work.feed, FrozenFeed) else []
        short = not np.array_equal(job.work.feed.lengths, job.feed.lengths)
        return Stage(
            gradients=gradients,
            optimiser=sum(size_of(slots) for slots in moments),
            activations=max(self._counter.most - gradients, counter.most, self._lower.most - self._lower.now),
            kept=tuple(shape for shape in features if shape is not None),
            prepared=self._entered,
            filled=self.freeze.seconds / max(1, positions),
            step=float(np.mean(self._times)) * (1.0 if short else self.plan.scale),
            scored=scored,
        )


def _score(job: Job, ready: Ready) -> float:
    """Seconds that scoring takes a position of the held-out rows, as the whole network reads them."""
    if "validation" not in job.work.held:
        return 0.0
    began = time.perf_counter()
    Scorer(job.work.model, ready.data.target, job.accelerator)(job.work.held["validation"])
    return (time.perf_counter() - began) / max(1, int(job.held["validation"].lengths.sum()))


def probe(ready: Ready, plan: Plan, choice: Choice, console: Console) -> list[Stage]:
    """Measure every stage of a training; the model is worth nothing afterwards."""
    job = sampled(ready, plan, plan.job.accelerator, console)
    meter = Meter(ready, plan, choice)
    with quiet():
        fit(job, State(max_tokens=job.settings.max_tokens), [meter])
    return meter.stages
