"""mixup: every row is blended with another one of its step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from luthier.augment import Mixing

if TYPE_CHECKING:
    import torch


class Mixup(Mixing):
    """Inputs and losses are weighted means of two rows (Zhang et al. 2018, "mixup: Beyond empirical risk minimization", equation 1)."""

    name: ClassVar[str] = "mixup"
    media: ClassVar[frozenset[str]] = frozenset({"image", "audio"})

    alpha: Annotated[float, Field(gt=0)] = 0.2
    """Both parameters of the beta distribution that a step's share is drawn from; the paper takes 0.1 to 0.4 on ImageNet."""

    def mix(
        self, own: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor], random: np.random.Generator
    ) -> tuple[dict[str, torch.Tensor], float]:
        """Blend what is real; of masks (whole numbers) a place counts where either row has it."""
        share = float(random.beta(self.alpha, self.alpha))
        mixed = {
            name: (share * value + (1 - share) * other[name])
            if value.is_floating_point()
            else value.maximum(other[name])
            for name, value in own.items()
        }
        return mixed, share
