from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.objectives.supervised import CrossEntropy, LabelCrossEntropy

CLASSES = 5
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.7, 2.0])


class Scores(nn.Module):
    """A model whose answer is a linear map of `inputs`."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, CLASSES)

    def forward(self, inputs: Tensor) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.linear(inputs))


@pytest.fixture
def model() -> Scores:
    torch.manual_seed(0)
    return Scores()


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(33, 7, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def classes() -> Tensor:
    return torch.randint(CLASSES, (33,), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def labels() -> Tensor:
    return torch.rand(33, CLASSES, generator=torch.Generator().manual_seed(3)).round()


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_classes_as_torch(
    weights: Tensor | None, smoothing: float, model: Scores, inputs: Tensor, classes: Tensor
) -> None:
    total, count = CrossEntropy(weights, smoothing)(model, {"inputs": inputs, "target": classes})
    reference = nn.CrossEntropyLoss(weights, label_smoothing=smoothing)(model.linear(inputs), classes)
    torch.testing.assert_close(total / count, reference)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_as_torch(
    weights: Tensor | None, smoothing: float, model: Scores, inputs: Tensor, labels: Tensor
) -> None:
    total, count = LabelCrossEntropy(weights, smoothing)(model, {"inputs": inputs, "target": labels})
    softer = labels * (1 - smoothing) + smoothing * 0.5
    reference = nn.BCEWithLogitsLoss(pos_weight=weights)(model.linear(inputs), softer)
    torch.testing.assert_close(total / count, reference)


@pytest.mark.parametrize("kind", [CrossEntropy, LabelCrossEntropy])
def test_micro_batches_add_up_to_the_whole(
    kind: type[CrossEntropy | LabelCrossEntropy], model: Scores, inputs: Tensor, classes: Tensor, labels: Tensor
) -> None:
    objective = kind(WEIGHTS, 0.1)
    target = labels if kind is LabelCrossEntropy else classes
    total, count = objective(model, {"inputs": inputs, "target": target})
    (whole,) = torch.autograd.grad(total / count, [model.linear.weight])
    parts = [
        objective(model, {"inputs": inputs[at], "target": target[at]}) for at in torch.arange(33).split([1, 20, 12])
    ]
    torch.testing.assert_close(sum(part[0] for part in parts), total)
    torch.testing.assert_close(sum(part[1] for part in parts), count)
    (summed,) = torch.autograd.grad(sum(part[0] for part in parts) / count, [model.linear.weight])
    torch.testing.assert_close(summed, whole)


def test_half_precision_logits_are_judged_in_single(model: Scores, inputs: Tensor, classes: Tensor) -> None:
    half = model.to(torch.bfloat16)
    total, _ = CrossEntropy(None, 0.0)(half, {"inputs": inputs.bfloat16(), "target": classes})
    assert total.dtype == torch.float32


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_focal_loss_of_classes_is_the_formula(
    weights: Tensor | None, model: Scores, inputs: Tensor, classes: Tensor
) -> None:
    """FL = -w (1 - p)^2 log p (Lin et al. 2017, equation 5)."""
    loss, count = CrossEntropy(weights, 0.0, focal=2.0)(model, {"inputs": inputs, "target": classes})
    chance = model.linear(inputs).softmax(-1)[torch.arange(len(classes)), classes]
    weight = torch.ones(CLASSES) if weights is None else weights
    torch.testing.assert_close(loss, -(weight[classes] * (1 - chance) ** 2 * chance.log()).sum())
    torch.testing.assert_close(count, weight[classes].sum())


def test_focal_loss_of_labels_is_the_formula(model: Scores, inputs: Tensor) -> None:
    target = torch.randint(2, (33, CLASSES), generator=torch.Generator().manual_seed(3)).float()
    loss, _ = LabelCrossEntropy(None, 0.0, focal=1.5)(model, {"inputs": inputs, "target": target})
    chance = model.linear(inputs).sigmoid()
    true = torch.where(target > 0, chance, 1 - chance)
    torch.testing.assert_close(loss, -((1 - true) ** 1.5 * true.log()).sum())
