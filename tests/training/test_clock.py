"""Time on the clock over several sittings."""

from __future__ import annotations

import time

from luthier.training.clock import Clock
from luthier.training.job import State


def test_time_goes_on_where_a_checkpoint_left_it() -> None:
    state = State(wall_seconds=100.0)
    clock = Clock()
    clock.start(None, state)
    time.sleep(0.05)
    clock.after_step(None, state, None)
    assert 100.05 <= state.wall_seconds < 101
    time.sleep(0.05)
    clock.finish(None, state)
    assert 100.1 <= state.wall_seconds < 101
