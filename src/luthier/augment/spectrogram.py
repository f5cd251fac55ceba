"""SpecAugment: bands of frequencies and stretches of time are blanked in the spectrogram."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Augmentation, Part, Share

Masks = Annotated[int, Field(ge=0, le=20)]


class Spectrogram(Augmentation):
    """Masks bands and stretches (Park et al. 2019, "SpecAugment", section 2, without time warping, which brought least there).

    They get the mean of the spectrogram, which is the paper's 0 of normalised features. Only for models that read spectrograms.
    """

    name: ClassVar[str] = "spectrogram"
    medium: ClassVar[str] = "audio"
    part: ClassVar[Part] = "spectrogram"

    share: Share = 1.0
    """Share of the rows that it changes in an epoch; which ones is drawn anew for each."""
    bands: Masks = 2
    """How many bands of frequencies are masked."""
    band: Share = 0.2
    """Widest band, as a share of all frequencies; the paper's are 27 of 80. Widths are drawn evenly from 0."""
    stretches: Masks = 2
    """How many stretches of time are masked."""
    stretch: Share = 0.2
    """Longest stretch, as a share of all frames; drawn evenly from 0."""

    def apply(self, value: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """A masked copy of a spectrogram of shape (frames, bins)."""
        masked, mean = value.copy(), value.mean()
        for _ in range(self.stretches):
            masked[_part(len(value), self.stretch, random)] = mean
        for _ in range(self.bands):
            masked[:, _part(value.shape[1], self.band, random)] = mean
        return masked


def _part(size: int, most: float, random: np.random.Generator) -> slice:
    """A part of `size` places, at most the share `most` of them."""
    width = int(random.integers(0, int(most * size) + 1))
    first = int(random.integers(0, size - width + 1))
    return slice(first, first + width)
