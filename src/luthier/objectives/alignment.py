"""The loss of networks that make vectors of images and of texts: each finds its partner among those of the whole step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.modalities.captioned import MARKS
from luthier.models.aligned import split_up
from luthier.objectives import Objective, inputs_of


class Alignment(Objective):
    """Each image finds its text and each text its image, by the network's own products of vectors.

    A network with a bias answers each pair of the step by itself, yes or no (Zhai et al. 2023, https://arxiv.org/abs/2303.15343,
    algorithm 1); others find the partner among all by a softmax in each direction (Radford et al. 2021, figure 3). Pairs of other
    rows that have the same text or the same image are neither right nor wrong, and left out.
    """

    together: ClassVar[bool] = True

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The batch is that of `luthier.modalities.captioned.Matched`; rows with the same `MARKS` are the same."""
        outputs = model(**inputs_of(batch))
        images, texts = split_up(outputs.logits.float(), len(batch["pixel_values"]))
        own = torch.eye(len(images), dtype=torch.bool, device=images.device)
        same = [batch[mark][:, None] == batch[mark] for mark in MARKS]
        others = torch.stack(same).any(dim=0) & ~own
        products = images @ texts.T
        loss = by_softmax(products, others) if outputs.bias is None else by_sigmoid(products + outputs.bias, others)
        return loss, torch.tensor(float(len(images)), device=images.device)


def by_softmax(products: Tensor, others: Tensor) -> Tensor:
    """Cross entropy of both directions, their mean, summed over rows.

    Args:
        products: (rows, rows), of images and texts.
        others: pairs that are left out, (rows, rows) bool.
    """
    found, own = products.masked_fill(others, -torch.inf), torch.arange(len(products), device=products.device)
    return (F.cross_entropy(found, own, reduction="sum") + F.cross_entropy(found.T, own, reduction="sum")) / 2


def by_sigmoid(products: Tensor, others: Tensor) -> Tensor:
    """Cross entropy of each pair, summed; arguments as in `by_softmax`."""
    sign = 2 * torch.eye(len(products), device=products.device) - 1
    return -F.logsigmoid(sign * products).masked_fill(others, 0.0).sum()
