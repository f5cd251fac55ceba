"""Cross entropy over classes or labels, with weights and label smoothing."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from luthier.objectives import Objective


class CrossEntropy(Objective):
    """One class a row; sum over count equals `torch.nn.CrossEntropyLoss` with the same weights and smoothing.

    Args:
        weights: (classes,) weight of each class, or None.
        label_smoothing: share of the target spread over all classes, 0 to 1.
    """

    def __init__(self, weights: Tensor | None, label_smoothing: float) -> None:
        self.weights = weights
        self.label_smoothing = label_smoothing

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows,), int64."""
        logits, target = _run(model, batch)
        weights = self.weights.to(logits.device) if self.weights is not None else None
        loss = F.cross_entropy(logits, target, weights, label_smoothing=self.label_smoothing, reduction="sum")
        count = weights[target].sum() if weights is not None else torch.tensor(float(len(target)), device=logits.device)
        return loss, count


class LabelCrossEntropy(Objective):
    """Any number of labels a row; sum over count equals `torch.nn.BCEWithLogitsLoss`.

    Args:
        weights: (labels,) weight of each label's positives, or None.
        label_smoothing: targets move this far towards one half, 0 to 1.
    """

    def __init__(self, weights: Tensor | None, label_smoothing: float) -> None:
        self.weights = weights
        self.label_smoothing = label_smoothing

    def __call__(self, model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """`target` has shape (rows, labels), float of 0 and 1."""
        logits, target = _run(model, batch)
        target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        weights = self.weights.to(logits.device) if self.weights is not None else None
        loss = F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="sum")
        return loss, torch.tensor(float(target.numel()), device=logits.device)


def _run(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    inputs = {name: value for name, value in batch.items() if name != "target"}
    return model(**inputs).logits.float(), batch["target"]
