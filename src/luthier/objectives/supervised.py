"""Cross entropy over classes or labels, with weights, label smoothing and focus on what is hard (Lin et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.objectives import Objective, inputs_of


class CrossEntropy(Objective):
    """One class a row; sum over count equals `torch.nn.CrossEntropyLoss` with the same weights and smoothing.

    Args:
        weights: (classes,) weight of each class, or None.
        label_smoothing: share of the target spread over all classes, 0 to 1.
        focal: power of 1 - p(class) that a row's loss is multiplied by, from 0.
    """

    def __init__(self, weights: Tensor | None, label_smoothing: float, focal: float = 0.0) -> None:
        self.weights = weights
        self.label_smoothing = label_smoothing
        self.focal = focal

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows,), int64."""
        logits, target = _run(model, batch)
        weights = self.weights.to(logits.device) if self.weights is not None else None
        losses = F.cross_entropy(logits, target, weights, label_smoothing=self.label_smoothing, reduction="none")
        if self.focal:
            losses = losses * (1 - logits.softmax(-1).gather(1, target[:, None])[:, 0]) ** self.focal
        loss = losses.sum()
        count = weights[target].sum() if weights is not None else torch.tensor(float(len(target)), device=logits.device)
        return loss, count


class LabelCrossEntropy(Objective):
    """Any number of labels a row; sum over count equals `torch.nn.BCEWithLogitsLoss`.

    Args:
        weights: (labels,) weight of each label's positives, or None.
        label_smoothing: targets move this far towards one half, 0 to 1.
        focal: power of 1 - p(what is true of a label) that its loss is multiplied by, from 0.
    """

    def __init__(self, weights: Tensor | None, label_smoothing: float, focal: float = 0.0) -> None:
        self.weights = weights
        self.label_smoothing = label_smoothing
        self.focal = focal

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, labels), float of 0 and 1."""
        logits, target = _run(model, batch)
        smooth = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = self.weights.to(logits.device) if self.weights is not None else None
        losses = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
        if self.focal:
            losses = losses * torch.sigmoid(torch.where(target > 0, -logits, logits)) ** self.focal
        return losses.sum(), torch.tensor(float(target.numel()), device=logits.device)


def _run(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    return model(**inputs_of(batch)).logits.float(), batch["target"]
