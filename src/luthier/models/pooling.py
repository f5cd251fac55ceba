"""One vector a row out of a network's last hidden states (Reimers & Gurevych 2019, "Sentence-BERT", section 3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Mean over positions that are no padding: (rows, positions, width), or (rows, width, height, width) of images, to (rows, width).

    A mask of raw samples is brought to the positions that the network makes of them.
    """
    if hidden.dim() == 4:
        return hidden.mean(dim=(2, 3))
    if mask is None:
        return hidden.mean(dim=1)
    if mask.shape[1] != hidden.shape[1]:
        mask = functional.interpolate(mask[:, None].float(), size=hidden.shape[1], mode="nearest")[:, 0]
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
