"""The loss of numbers against torch's own, and as sums that add up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from luthier.objectives.regression import LOSSES, Regression

MEANS, DEVIATIONS = torch.tensor([3.0, -100.0]), torch.tensor([0.5, 40.0])
REFERENCES = {"mse": nn.MSELoss(), "mae": nn.L1Loss(), "huber": nn.HuberLoss()}


class Scores(nn.Module):
    """A model whose answer is a linear map of `inputs`, and which takes nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(7, 2)

    def forward(self, inputs: Tensor) -> SequenceClassifierOutput:
        return SequenceClassifierOutput(logits=self.linear(inputs))


@pytest.fixture
def model() -> Scores:
    torch.manual_seed(0)
    return Scores()


@pytest.fixture
def batch() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    numbers = MEANS + DEVIATIONS * torch.randn(33, 2, generator=random, dtype=torch.float64)
    return {"inputs": torch.randn(33, 7, generator=random), "target": numbers, "target_more": torch.zeros(33)}


def test_every_loss_has_a_reference() -> None:
    assert set(LOSSES) == set(REFERENCES)


@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_torchs_loss_of_standardised_numbers(loss: str, model: Scores, batch: dict[str, Tensor]) -> None:
    total, count = Regression(loss, MEANS, DEVIATIONS)(model, batch)
    standard = ((batch["target"] - MEANS) / DEVIATIONS).float()
    torch.testing.assert_close(total / count, REFERENCES[loss](model.linear(batch["inputs"]), standard))


@pytest.mark.parametrize("loss", LOSSES)
def test_micro_batches_add_up_to_the_whole(loss: str, model: Scores, batch: dict[str, Any]) -> None:
    objective = Regression(loss, MEANS, DEVIATIONS)
    total, count = objective(model, batch)
    (whole,) = torch.autograd.grad(total / count, [model.linear.weight])
    cuts = torch.arange(33).split([1, 20, 12])
    parts = [objective(model, {name: value[at] for name, value in batch.items()}) for at in cuts]
    torch.testing.assert_close(sum(part[0] for part in parts), total)
    torch.testing.assert_close(sum(part[1] for part in parts), count)
    (summed,) = torch.autograd.grad(sum(part[0] for part in parts) / count, [model.linear.weight])
    torch.testing.assert_close(summed, whole)


def test_half_precision_logits_are_judged_in_single(model: Scores, batch: dict[str, Tensor]) -> None:
    total, _ = Regression("mse", MEANS, DEVIATIONS)(
        model.to(torch.bfloat16), batch | {"inputs": batch["inputs"].bfloat16()}
    )
    assert total.dtype == torch.float32
