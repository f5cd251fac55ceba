"""Computing a few steps of a training, through the loop that trains, to see what they take."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from luthier.advise.allocated import Allocated
from luthier.advise.sample import Chosen, Plan, sampled
from luthier.build import Ready
from luthier.evaluate.predict import Scorer
from luthier.hardware import Watch
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
ENOUGH = 2.0
"""Seconds of timed steps after which no more pairs of usual ones are computed."""


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
    """Finding out what to keep, and by how much the first rows take longer."""
    filled: float
    """Computing what is kept of a row's position."""
    cold: float
    """By how much the first step takes longer: memory is got from the system, and kernels are chosen."""
    step: float
    """Of usual size."""
    scored: float
    """A held-out row, or position of a row, at an evaluation."""


class Meter(Callback):
    """Measures each stage as it passes.

    What is counted in bytes is computed once more to be timed: counting looks at every operation, and what comes first is slow.

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
        self._counter, self._counting = Allocated(), ExitStack()
        self._watch = Watch(plan.job.device)
        self._times: list[float] = []
        self._prepared = self._filled = self._first = 0.0
        self._passing = 0

    def enter(self, job: Job, state: State) -> None:
        """Keep what is frozen, and begin with the heaviest step."""
        assert isinstance(job.batches, Chosen)
        job.batches = replace(job.batches, began=state.step)
        self._counter, self._times = Allocated(), []
        first, self._filled = self._freeze(job, state)
        lower = Allocated()
        with lower:
            self.freeze.enter(job, state)
        self._passing = lower.most - lower.now
        if first < ENOUGH:  # what comes first is slower, and that is more than a little of it
            _, self._filled = self._freeze(job, state)
        self._prepared = max(0.0, first - self._filled)
        self._watch = Watch(job.device)

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Count the bytes of the step after the first, and the seconds of that one and of those after both."""
        done = state.step - state.began
        if done == WARM - 1:
            self._first = self._watch.seconds
            self._counting.enter_context(self._counter)
        elif done == WARM:
            self._counting.close()
        else:
            self._times.append(self._watch.seconds)
        pairs = len(self._times) % 2 == 0
        if (pairs and sum(self._times) > ENOUGH) or done == job.batches.per_epoch:
            state.over = "measured"
            self.stages.append(self._stage(job))
        self._watch = Watch(job.device)

    def _freeze(self, job: Job, state: State) -> tuple[float, float]:
        """Keep what is frozen; returns the seconds of it, and of computing the outputs alone."""
        return _seconds(job, lambda: self.freeze.enter(job, state)), self.freeze.seconds

    def finish(self, job: Job, state: State) -> None:
        """Leave all as it was."""
        self._counting.close()
        self.freeze.finish(job, state)

    def _stage(self, job: Job) -> Stage:
        counter = Allocated()
        with counter:
            _score(job, self.ready)
        scored = _seconds(job, lambda: _score(job, self.ready))
        held = sum(int(feed.lengths.sum()) for feed in job.held.values())
        gradients = size_of({str(place): one for place, one in enumerate(job.work.parameters)})
        moments = inner(job.work.optimizer).state.values()
        feeds = [job.work.feed, *job.work.held.values()]
        positions = sum(int(feed.feed.lengths.sum()) for feed in feeds if isinstance(feed, FrozenFeed))
        features = job.work.feed.features.shapes if isinstance(job.work.feed, FrozenFeed) else []
        short = not np.array_equal(job.work.feed.lengths, job.feed.lengths)  # and so all rows are equally long
        step, scale, weight = (
            float(np.mean(self._times)),
            *((1.0, 1.0) if short else (self.plan.scale, self.plan.weight)),
        )
        return Stage(
            gradients=gradients,
            optimiser=sum(size_of(slots) for slots in moments),
            activations=max(self._counter.most - gradients, counter.most, self._passing),
            kept=tuple(shape for shape in features if shape is not None),
            prepared=self._prepared,
            filled=self._filled / max(1, positions),
            cold=max(0.0, self._first - step * weight),
            step=step * scale,
            scored=scored / max(1, held),
        )


def _seconds(job: Job, work: Callable[[], None]) -> float:
    """That a part of a training takes."""
    watch = Watch(job.device)
    work()
    return watch.seconds


def _score(job: Job, ready: Ready) -> None:
    """Score the held-out rows as training does it meanwhile."""
    for feed in job.work.held.values():
        Scorer(job.work.model, ready.data.target, job.accelerator)(feed)


def probe(ready: Ready, plan: Plan, choice: Choice, console: Console) -> list[Stage]:
    """Measure every stage of a training; the model is worth nothing afterwards."""
    job = sampled(ready, plan, plan.job.accelerator, console)
    meter = Meter(ready, plan, choice)
    with quiet():
        fit(job, State(max_tokens=job.settings.max_tokens), [meter])
    return meter.stages
