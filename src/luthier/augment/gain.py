"""Louder and softer sounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.augment import Augmentation
from luthier.augment.ranges import Decibels

if TYPE_CHECKING:
    from luthier.data.media.audio import Sound


class Gain(Augmentation):
    """Makes a sound louder or softer, as microphones and distances do (volume perturbation, Peddinti et al. 2015, "JHU ASpIRE system").

    Feature extractors that normalise each sound, as most of Wav2Vec2 do, undo it.
    """

    name: ClassVar[str] = "gain"
    medium: ClassVar[str] = "audio"

    decibels: Decibels = (-6.0, 6.0)
    """Least and largest change; drawn evenly. 6 dB is twice the amplitude."""

    def apply(self, value: Sound, random: np.random.Generator) -> Sound:
        """The sound times a factor; it may go beyond full scale."""
        return replace(value, samples=value.samples * np.float32(10 ** (random.uniform(*self.decibels) / 20)))
