"""The loss of images and texts against the ones that transformers' own networks compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel

import captioned
from luthier.models.aligned import answer_vectors
from luthier.objectives.alignment import Alignment, by_sigmoid, by_softmax

ROWS = 5


def batch(rows: int = ROWS) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.cat(
        [torch.full((rows, 1), 2), torch.randint(5, 15, (rows, 4), generator=generator), torch.full((rows, 1), 3)], 1
    )
    pixels = torch.randn(rows, 3, captioned.SIDE, captioned.SIDE, generator=generator)
    marks = {name: torch.arange(rows) for name in ("target_image", "target_text")}
    return {
        "pixel_values": pixels,
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "target": torch.ones(rows, 1),
        **marks,
    }


def network(family: str, place: Path) -> Any:
    return AutoModel.from_pretrained(captioned.network(family, place / family)).eval()


@pytest.mark.parametrize("family", captioned.NETWORKS)
def test_loss_and_gradient_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    inputs = {name: value for name, value in batch().items() if not name.startswith("target")}
    plain = network(family, tmp_path)
    expected = plain(**inputs, return_loss=True).loss
    expected.backward()
    own = network(family, tmp_path)
    answer_vectors(own)
    loss, count = Alignment()(own, batch())
    (loss / count).backward()
    assert count == ROWS
    assert torch.allclose(loss / count, expected, rtol=1e-5)
    compared = 0
    for name, value in plain.named_parameters():
        if value.grad is not None:
            assert torch.allclose(own.get_parameter(name).grad, value.grad, atol=1e-6, rtol=1e-3), name
            compared += 1
    assert compared > 20


def test_rows_of_the_same_image_or_text_are_not_told_apart() -> None:
    torch.manual_seed(0)
    products = torch.randn(4, 4)
    others = torch.zeros(4, 4, dtype=torch.bool)
    others[0, 1] = others[1, 0] = True
    expected = torch.zeros(())
    for matrix in (products, products.T):
        for row in range(4):
            left = [matrix[row, column] for column in range(4) if not others[row, column]]
            expected += torch.logsumexp(torch.stack(left), 0) - matrix[row, row]
    assert torch.allclose(by_softmax(products, others), expected / 2)
    terms = [
        torch.nn.functional.logsigmoid(products[row, column] * (1 if row == column else -1))
        for row in range(4)
        for column in range(4)
        if not others[row, column]
    ]
    assert torch.allclose(by_sigmoid(products, others), -torch.stack(terms).sum())


@pytest.mark.parametrize("mark", ["target_image", "target_text"])
def test_marks_say_which_rows_are_the_same(mark: str, tmp_path: Path) -> None:
    model = network("clip", tmp_path)
    answer_vectors(model)
    same = batch() | {mark: torch.tensor([0, 0, 2, 3, 4])}
    with torch.no_grad():
        vectors = model(**{name: value for name, value in same.items() if not name.startswith("target")}).logits
        others = torch.zeros(ROWS, ROWS, dtype=torch.bool)
        others[0, 1] = others[1, 0] = True
        expected = by_softmax(vectors[:ROWS] @ vectors[ROWS:].T, others)
        assert torch.allclose(Alignment()(model, same)[0], expected)
        assert not torch.allclose(Alignment()(model, batch())[0], expected)
