"""The adding embedding against the stock one over several backward calls."""

import pytest
import torch
from torch import nn

from luthier.models.embedding import AddingEmbedding


def tables(padding=None):
    torch.manual_seed(0)
    stock = nn.Embedding(11, 3, padding_idx=padding)
    quick = AddingEmbedding(11, 3, padding_idx=padding)
    quick.load_state_dict(stock.state_dict())
    return stock, quick


@pytest.mark.parametrize("padding", [None, 0])
def test_the_sum_of_gradients_is_the_same_and_dense(padding):
    stock, quick = tables(padding)
    for call in range(3):
        ids = torch.randint(0, 11, (4, 6), generator=torch.Generator().manual_seed(call))
        gradient = torch.randn(4, 6, 3)
        for table in (stock, quick):
            table(ids).backward(gradient)
    assert quick.weight.grad.layout == torch.strided
    assert torch.allclose(stock.weight.grad, quick.weight.grad, atol=1e-6)


def test_with_a_tied_head():
    stock, quick = tables()
    ids = torch.tensor([[1, 2, 2], [3, 4, 0]])
    for table in (stock, quick):
        for _ in range(3):
            (table(ids) @ table.weight.t()).square().sum().backward()
    assert quick.weight.grad.layout == torch.strided
    assert torch.allclose(stock.weight.grad, quick.weight.grad, rtol=1e-4)


def test_an_optimiser_moves_both_alike():
    pair = tables()
    optimisers = [torch.optim.AdamW(table.parameters(), lr=0.1, fused=True) for table in pair]
    for step in range(3):
        for table, optimiser in zip(pair, optimisers, strict=True):
            for ids in ([[1, 2]], [[2, 5]]):
                table(torch.tensor(ids) + step).square().sum().backward()
            torch.nn.utils.clip_grad_norm_(table.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
    assert torch.allclose(pair[0].weight, pair[1].weight, atol=1e-6)


def test_evaluation_in_inference_mode():
    stock, quick = tables()
    quick(torch.tensor([1])).sum().backward()
    with torch.inference_mode():
        assert torch.equal(quick(torch.tensor([3])), stock(torch.tensor([3])))
