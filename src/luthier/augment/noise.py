"""Noise behind a sound."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from luthier.augment import Augmentation
from luthier.augment.ranges import Decibels

if TYPE_CHECKING:
    from luthier.data.media.audio import Sound


class Noise(Augmentation):
    """Adds white noise (Bishop 1995, "Training with noise is equivalent to Tikhonov regularization"). Silence stays silent."""

    name: ClassVar[str] = "noise"
    medium: ClassVar[str] = "audio"

    ratio: Decibels = (10.0, 30.0)
    """Least and largest ratio of the sound's mean power to that of the noise, in dB; drawn evenly. 10 dB is a busy street, 30 dB is
    hardly heard."""

    def apply(self, value: Sound, random: np.random.Generator) -> Sound:
        """The sound with noise; it may go beyond full scale."""
        loudness = float(np.sqrt(np.mean(value.samples**2, dtype=np.float64)))
        noise = random.standard_normal(len(value.samples), dtype=np.float32)
        factor = np.float32(loudness / 10 ** (random.uniform(*self.ratio) / 20))
        return replace(value, samples=value.samples + factor * noise)
