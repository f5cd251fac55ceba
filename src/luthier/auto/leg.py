"""One leg of a trial's way: training up to the end of a rung, or to the end of the time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from luthier.hardware import Watch
from luthier.training.job import Callback, Job, State, Step

PAUSED = "ended by luthier auto"
"""How the reason begins that a paused trial's checkpoint gives: a plain run takes it as its end, and the next leg goes on."""


class Leg(Callback):
    """Stop a training after a share of its steps, saved so that it goes on as if it had never stopped.

    Args:
        share: of all its steps that are to be done, above 0 to 1.
        left: tells how many seconds there are; the step in which they run out is the last.
        whole: whether to stop after a few steps where these say that the time is too short for the leg, even on a quiet machine.
    """

    TIMED = 4
    """Steps behind the first of a leg that say how long it takes."""

    def __init__(self, share: float, left: Callable[[], float], whole: bool) -> None:
        self.share = share
        self.left = left
        self.whole = whole
        self.cut = False
        """Whether the clock has stopped it."""
        self.needed = 0.0
        """Seconds that the rest of the leg would take, where that is more than there are."""
        self._first = 0

    def start(self, job: Job, state: State) -> None:
        """Go on from an earlier pause, unless this leg is done already."""
        if state.stopped.startswith(PAUSED) and state.step < self._end(job, state):
            state.stopped = ""
        self._first = state.step + 1

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Stop where the leg or the time ends; before the last step of all."""
        left = self.left()
        if state.step == self._first:
            self._watch = Watch(job.device)
        if state.stopped or state.step >= job.steps(state):
            return
        done = state.step >= self._end(job, state)
        late = self.whole and not done and self._late(job, state, left)
        if done or late or left <= 0:
            self.cut = not done
            why = ": the time was over" if self.cut else ""
            state.stopped = f"{PAUSED} after step {state.step} of {job.steps(state)}{why}"

    def _late(self, job: Job, state: State, left: float) -> bool:
        """Whether the first steps say that the leg takes longer than there is time."""
        if state.step - self._first != self.TIMED:
            return False
        needed = self._watch.seconds / self.TIMED * (self._end(job, state) - state.step)
        self.needed = needed if needed > left else 0.0
        return self.needed > 0

    def _end(self, job: Job, state: State) -> int:
        return ceil(self.share * job.steps(state) - 1e-9)


def paused(state: State) -> bool:
    """Whether a training has stopped before its end."""
    return state.stopped.startswith(PAUSED)
