"""Losses of numbers, in deviations of the training rows, so that learning rates fit whatever the unit is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.objectives import Objective, inputs_of

LOSSES: Mapping[str, Callable[..., Tensor]] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}
"""`huber` is squared up to one deviation and absolute beyond (Huber 1964), so that a few wild values count less."""


class Regression(Objective):
    """Any number of numbers a row; sum over count equals torch's loss of the standardised numbers.

    Args:
        loss: one of `LOSSES`.
        means: (outputs,) of the training rows.
        deviations: (outputs,) of the training rows, above 0.
    """

    def __init__(self, loss: str, means: Tensor, deviations: Tensor) -> None:
        self.loss = LOSSES[loss]
        self.means = means
        self.deviations = deviations

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, outputs), float, in the user's units; the network answers in deviations from the mean."""
        logits = model(**inputs_of(batch)).logits.float()
        means, deviations = self.means.to(logits.device), self.deviations.to(logits.device)
        target = ((batch["target"] - means) / deviations).float()
        return self.loss(logits, target, reduction="sum"), torch.tensor(float(target.numel()), device=logits.device)
