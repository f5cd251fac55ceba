"""Losses of bi-encoders against their formulas, and against themselves over micro-batches."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from luthier.objectives import Objective
from luthier.objectives.similarity import Contrastive, CosineRegression, Ranking

ROWS, WIDTH = 7, 5


class Vectors(nn.Module):
    """Answers with given vectors, (rows, 2, width), as a network of twins does: one below the other."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(ROWS, 2, WIDTH, generator=torch.Generator().manual_seed(0)))

    def forward(self, rows: Tensor, input_ids: Tensor | None = None) -> Any:
        return SimpleNamespace(logits=self.vectors[rows].flatten(0, 1))


def batch(target: Tensor, rows: range) -> dict[str, Tensor]:
    return {"rows": torch.tensor(rows), "target": target[list(rows)].double()}


SCORES = torch.linspace(1, 5, ROWS).unsqueeze(1)
TOGETHER = torch.tensor([1, 0, 0, 1, 1, 0, 1]).unsqueeze(1)
CASES: list[tuple[Objective, Tensor]] = [(CosineRegression(1.0, 5.0), SCORES), (Contrastive(), TOGETHER)]


def slow(objective: Objective, target: Tensor) -> float:
    """Row by row, with numpy."""
    losses = []
    for (first, second), label in zip(Vectors().vectors.detach().numpy(), target[:, 0].tolist(), strict=True):
        cosine = float(first @ second / np.sqrt((first @ first) * (second @ second)))
        if isinstance(objective, CosineRegression):
            losses.append((cosine - (label - 1) / 4) ** 2)
        else:
            losses.append(0.5 * ((1 - cosine) ** 2 if label else max(0.0, 0.5 - (1 - cosine)) ** 2))
    return float(sum(losses))


@pytest.mark.parametrize(("objective", "target"), CASES)
def test_they_are_their_formulas(objective: Objective, target: Tensor) -> None:
    loss, count = objective(Vectors(), batch(target, range(ROWS)))
    assert loss.item() == pytest.approx(slow(objective, target), rel=1e-5)
    assert count.item() == ROWS


@pytest.mark.parametrize(("objective", "target"), CASES)
def test_micro_batches_add_up(objective: Objective, target: Tensor) -> None:
    whole, parts = Vectors(), Vectors()
    objective(whole, batch(target, range(ROWS)))[0].backward()
    for rows in (range(3), range(3, 4), range(4, ROWS)):
        objective(parts, batch(target, rows))[0].backward()
    assert whole.vectors.grad is not None
    assert parts.vectors.grad is not None
    assert torch.allclose(whole.vectors.grad, parts.vectors.grad, atol=1e-6)


def test_the_losses_are_those_of_sentence_transformers() -> None:
    losses = pytest.importorskip("sentence_transformers.losses")
    first, second = Vectors().vectors.detach().unbind(dim=1)
    contrastive = losses.ContrastiveLoss(model=nn.Identity())
    loss, count = Contrastive()(Vectors(), batch(TOGETHER, range(ROWS)))
    found = contrastive.compute_loss_from_embeddings([first, second], TOGETHER[:, 0])
    assert (loss / count).item() == pytest.approx(found.item(), rel=1e-5)


def ranked(first: list[int], second: list[int]) -> float:
    ids = torch.tensor([first, second]).T.unsqueeze(-1)
    loss, count = Ranking()(Vectors(), {"rows": torch.arange(ROWS), "input_ids": ids})
    assert count.item() == ROWS
    return loss.item()


def slowly_ranked(first: list[int], second: list[int]) -> float:
    vectors = Vectors().vectors.detach().double().numpy()
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    total = 0.0
    for row in range(ROWS):
        wrong = [one for one in range(ROWS) if second[one] != second[row] and first[one] != first[row]]
        found = [20 * vectors[row, 0] @ vectors[one, 1] for one in [row, *wrong]]
        total += np.log(np.exp(found).sum()) - found[0]
    return total


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (list(range(ROWS)), list(range(ROWS))),
        (list(range(ROWS)), [0, 1, 2, 0, 4, 5, 0]),  # three rows have the same partner
        ([0, 0, 2, 3, 4, 5, 6], list(range(ROWS))),  # two rows ask the same
        ([0] * ROWS, list(range(ROWS))),
    ],
)
def test_each_text_finds_its_partner_among_those_of_others(first: list[int], second: list[int]) -> None:
    assert ranked(first, second) == pytest.approx(slowly_ranked(first, second), rel=1e-5, abs=1e-5)
    assert Ranking.together


def test_the_ranking_is_that_of_sentence_transformers() -> None:
    losses = pytest.importorskip("sentence_transformers.losses")
    first, second = Vectors().vectors.detach().unbind(dim=1)
    peer = losses.MultipleNegativesRankingLoss(model=nn.Identity(), scale=20.0)
    found = peer.compute_loss_from_embeddings([first, second], None)
    assert ranked(list(range(ROWS)), list(range(ROWS))) / ROWS == pytest.approx(found.item(), rel=1e-5)
