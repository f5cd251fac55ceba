"""One leg of a trial's way: training up to the end of a rung, or to the end of the time."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from luthier.hardware import Watch
from luthier.training.job import Callback, Job, State, Step

PAUSED = "ended by luthier auto"
"""How the reason begins that a paused trial's checkpoint gives: a plain run takes it as its end, and the next leg goes on."""
SPARED = 1 / 3
"""Share of the time left in which a training may come to its end at once: one that costs so little need not be judged in its midst, where
what begins slowly looks worse than it is.
"""


class Leg(Callback):
    """Stop a training after a share of its steps, saved so that it goes on as if it had never stopped.

    Args:
        share: of all its steps that are to be done, above 0 to 1.
        left: tells how many seconds there are for it; the step in which they run out is the last.
        free: tells how many there are, those included that are kept for another trial.
        whole: whether to stop after a few steps where these say that the time is too short for the leg, even on a quiet machine.
    """

    TIMED = 4
    """Steps behind the first of a leg that say how long it takes."""

    def __init__(self, share: float, left: Callable[[], float], free: Callable[[], float], whole: bool) -> None:
        self.share = share
        self.left = left
        self.free = free
        self.whole = whole
        self.cut = False
        """Whether the clock has stopped it."""
        self.needed = 0.0
        """Seconds that the rest of the leg would take, where that is more than there are."""
        self.pace = 0.0
        """Seconds of each step behind the first, with the evaluations between them; 0 where there was no other."""
        self.steps = 0
        """That the leg has done."""
        self._first = 0
        self._at_first = 0.0

    def start(self, job: Job, state: State) -> None:
        """Go on from an earlier pause, unless this leg is done already."""
        if state.stopped.startswith(PAUSED) and state.step < self._end(job, state):
            state.stopped = ""
        self._first = state.step + 1

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Stop where the leg or the time ends; before the last step of all."""
        left = self.left()
        self._time(job, state)
        if state.stopped or state.step >= job.steps(state):
            return
        if state.step >= self._end(job, state) and self._spared(job, state):
            self.share, self.left, left = 1.0, self.free, self.free()
        done = state.step >= self._end(job, state)
        late = self.whole and not done and self._late(job, state, left)
        if done or late or left <= 0:
            self.cut = not done
            why = ": the time was over" if self.cut else ""
            state.stopped = f"{PAUSED} after step {state.step} of {job.steps(state)}{why}"

    def _time(self, job: Job, state: State) -> None:
        self.steps = state.step - self._first + 1
        if self.steps == 1:
            self._watch, self._at_first = Watch(job.device), self.free()
        else:
            self.pace = (self._at_first - self.free()) / (self.steps - 1)

    def _spared(self, job: Job, state: State) -> bool:
        """Whether the rest of the training takes so little that it goes on to its end."""
        return self.steps > 1 and self.pace * (job.steps(state) - state.step) < SPARED * self.free()

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
