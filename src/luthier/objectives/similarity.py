"""Losses of bi-encoders, which answer a row of two texts with a vector each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.models.twin import by_rows
from luthier.objectives import Objective, inputs_of

MARGIN = 0.5
"""Distance from which texts that do not belong together cost nothing; sentence-transformers' default for cosine distances."""
SCALE = 20.0
"""What cosines are multiplied by before the softmax; sentence-transformers' default."""


class CosineRegression(Objective):
    """Squared difference of the cosine and a score (Reimers & Gurevych 2019, section 3, regression objective).

    Args:
        low: the score that stands for cosine 0.
        high: the score that stands for cosine 1.
    """

    def __init__(self, low: float, high: float) -> None:
        self.low = low
        self.high = high

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, 1), float, in the user's units; logits are (2 rows, width)."""
        found = cosines(model(**inputs_of(batch)).logits)
        target = ((batch["target"][:, 0] - self.low) / (self.high - self.low)).float()
        return _summed((found - target) ** 2)


class Contrastive(Objective):
    """Texts that belong together come together, others are pushed `MARGIN` apart (Hadsell et al. 2006, equation 4)."""

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, 1), float of 0 and 1; logits are (2 rows, width)."""
        distance = 1 - cosines(model(**inputs_of(batch)).logits)
        target = batch["target"][:, 0].float()
        return _summed((target * distance**2 + (1 - target) * F.relu(MARGIN - distance) ** 2) / 2)


class Ranking(Objective):
    """Each first text finds its own second text among those of the whole step (Henderson et al. 2017, section 4.4, by cosines).

    The second texts of other rows are what it must not find, but for those that are the same as its own, and those of rows that
    ask the same.
    """

    together: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`input_ids` has shape (rows, 2, tokens); logits are (2 rows, width)."""
        first, second = F.normalize(by_rows(model(**inputs_of(batch)).logits.float()), dim=-1).unbind(dim=1)
        own = torch.arange(len(first), device=first.device)
        right = _same(batch["input_ids"][:, 0]) | _same(batch["input_ids"][:, 1])
        others = right & (own[:, None] != own)
        found = (SCALE * first @ second.T).masked_fill(others, -torch.inf)
        return F.cross_entropy(found, own, reduction="sum"), torch.tensor(float(len(own)), device=first.device)


def _same(ids: Tensor) -> Tensor:
    """Which rows have the same tokens, (rows, rows)."""
    alike: Tensor = (ids[:, None] == ids).all(dim=-1)
    return alike


def cosines(vectors: Tensor) -> Tensor:
    """(rows,) float32, of (2 rows, width), where the vectors of a row stand one after the other."""
    first, second = by_rows(vectors.float()).unbind(dim=1)
    return F.cosine_similarity(first, second)


def _summed(losses: Tensor) -> tuple[Tensor, Tensor]:
    return losses.sum(), torch.tensor(float(len(losses)), device=losses.device)
