"""How long training takes on the clock, over all sittings of a run that was interrupted."""

from __future__ import annotations

import time

from luthier.training.job import Callback, Job, State, Step


class Clock(Callback):
    """Keeps `State.wall_seconds`; stands behind what it is to count and before what writes checkpoints."""

    def __init__(self) -> None:
        self._began = 0.0

    def start(self, job: Job, state: State) -> None:
        """Go on from what a checkpoint says."""
        self._began = time.monotonic() - state.wall_seconds

    def after_step(self, job: Job, state: State, step: Step) -> None:
        """Count."""
        state.wall_seconds = time.monotonic() - self._began

    def finish(self, job: Job, state: State) -> None:
        """Count the last checkpoint, too."""
        state.wall_seconds = time.monotonic() - self._began
