"""Sounds that begin earlier or later."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Augmentation

if TYPE_CHECKING:
    from luthier.data.media.audio import Sound


class Shift(Augmentation):
    """Moves a sound in time; what leaves at one end is lost, and silence comes in at the other.

    As TensorFlow's training example for Speech Commands (Warden 2018) does.
    At most half of a sound is lost.
    """

    name: ClassVar[str] = "shift"
    medium: ClassVar[str] = "audio"

    seconds: Annotated[float, Field(gt=0)] = 0.1
    """Most that it moves, either way; drawn evenly."""

    def apply(self, value: Sound, random: np.random.Generator) -> Sound:
        """The moved sound, as long as it was."""
        most = min(round(self.seconds * value.rate), len(value.samples) // 2)
        by = int(random.integers(-most, most + 1))
        moved = np.zeros_like(value.samples)
        moved[max(by, 0) : len(moved) + min(by, 0)] = value.samples[max(-by, 0) : len(moved) - max(by, 0)]
        return replace(value, samples=moved)
