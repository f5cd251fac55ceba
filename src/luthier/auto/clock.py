"""The minutes that a search has, over all calls that it takes."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Counts down.

    Args:
        minutes: that the search has in all.
        spent: seconds that earlier calls took.
        now: seconds of any clock that never goes back.
    """

    def __init__(self, minutes: float, spent: float = 0.0, now: Callable[[], float] = time.monotonic) -> None:
        self.minutes = minutes
        self._now = now
        self._began = now() - spent

    @property
    def spent(self) -> float:
        """Seconds since the search began, those between calls not counted."""
        return self._now() - self._began

    @property
    def left(self) -> float:
        """Seconds that are left; below 0 when the time is over."""
        return 60 * self.minutes - self.spent


def said(seconds: float) -> str:
    """A span of time for people."""
    return f"{seconds:.0f} s" if seconds < 99.5 else f"{seconds / 60:.1f} min"
