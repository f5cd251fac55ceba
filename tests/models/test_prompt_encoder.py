from __future__ import annotations

import pytest
import torch

from luthier.models.prompt_encoder import ENCODERS


@pytest.mark.parametrize("encoder", ENCODERS)
def test_every_token_gets_a_vector_of_its_own(encoder: str) -> None:
    torch.manual_seed(0)
    made = ENCODERS[encoder](torch.randn(5, 8), None)
    vectors = made()
    assert vectors.shape == (5, 8)
    assert len(torch.unique(vectors, dim=0)) == 5
    vectors.sum().backward()
    assert all(one.grad is not None for one in made.parameters())


@pytest.mark.parametrize(("encoder", "depends"), [("lstm", True), ("mlp", False)])
def test_what_depends_on_the_neighbours(encoder: str, depends: bool) -> None:
    torch.manual_seed(0)
    made = ENCODERS[encoder](torch.randn(5, 8), 6)
    before = made()
    with torch.no_grad():
        made.seeds[2] += 1
    moved = (made() != before).any(1).tolist()
    assert moved == [depends or index == 2 for index in range(5)]
