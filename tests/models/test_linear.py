"""oneDNN's linear layer against PyTorch's own."""

import copy

import pytest
import torch
from torch import nn

from luthier.models.linear import OneDnnLinear

pytestmark = pytest.mark.skipif(
    not (
        torch.backends.mkldnn.is_available()
        and torch._C._dispatch_has_kernel_for_dispatch_key("mkldnn::_linear_pointwise", "CPU")
    ),
    reason="this PyTorch has no oneDNN",
)


def pair(wide: int, narrow: int, bias: bool = True) -> tuple[nn.Linear, OneDnnLinear]:
    torch.manual_seed(0)
    stock = nn.Linear(wide, narrow, bias=bias)
    quick = OneDnnLinear(wide, narrow, bias=bias)
    quick.load_state_dict(stock.state_dict())
    return stock, quick


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 7), (2, 3, 4), (1, 1)])
@pytest.mark.parametrize(("wide", "narrow"), [(48, 16), (16, 48), (16, 1)])
def test_output_and_gradients_are_the_same(bias, shape, wide, narrow):
    layers = pair(wide, narrow, bias)
    rows = [torch.randn(*shape, wide).requires_grad_() for _ in range(1)]
    rows.append(rows[0].detach().clone().requires_grad_())
    outs = [layer(one) for layer, one in zip(layers, rows, strict=True)]
    gradient = torch.randn_like(outs[0])
    for out in outs:
        out.backward(gradient)
    assert torch.allclose(*outs, atol=1e-5)
    assert torch.allclose(rows[0].grad, rows[1].grad, atol=1e-5)
    for stock, quick in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        assert torch.allclose(stock.grad, quick.grad, atol=1e-5)


def test_rows_of_any_strides():
    stock, quick = pair(8, 4)
    rows = torch.randn(8, 6).t()
    assert torch.allclose(stock(rows), quick(rows), atol=1e-6)


def test_frozen_weights_get_no_gradient():
    _, quick = pair(8, 4)
    quick.weight.requires_grad_(False)
    rows = torch.randn(3, 8, requires_grad=True)
    quick(rows).sum().backward()
    assert quick.weight.grad is None
    assert torch.allclose(rows.grad, quick.weight.sum(0).expand(3, 8), atol=1e-6)


def test_same_floats_each_time():
    _, quick = pair(64, 32)
    rows = torch.randn(100, 64)
    assert torch.equal(quick(rows), quick(rows))


def test_other_ways_to_compute_fall_back():
    stock, quick = pair(8, 4)
    rows = torch.randn(3, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(quick(rows), stock(rows))
    double = copy.deepcopy(quick).double()
    assert double(rows.double()).dtype == torch.float64
    assert quick(rows[:0]).shape == (0, 4)
    assert torch.allclose(torch.jit.trace(quick, rows)(rows), stock(rows), atol=1e-6)
