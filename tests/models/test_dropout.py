"""The cheap mask: its distribution, its gradient, its modes."""

import copy
import pickle

import pytest
import torch
from scipy import stats
from torch import nn

from luthier.models.dropout import CheapDropout, draw, kept


@pytest.mark.parametrize("p", [0.1, 0.5, 0.015, 0.97])
def test_as_many_are_kept_as_should_be(p):
    torch.manual_seed(0)
    count = 1_000_003
    found = int(draw((count,), p).sum())
    assert kept(p) == pytest.approx(1 - p, abs=2**-17)
    assert stats.binomtest(found, count, kept(p)).pvalue > 1e-4


def test_neighbours_are_independent():
    """Four elements share a draw: the counts of all 16 patterns of kept and dropped follow the product of their odds."""
    torch.manual_seed(1)
    patterns = draw((400_000, 4), 0.3).long() @ torch.tensor([8, 4, 2, 1])
    expected = [400_000 * 0.7 ** bin(one).count("1") * 0.3 ** (4 - bin(one).count("1")) for one in range(16)]
    assert stats.chisquare(torch.bincount(patterns, minlength=16), expected).pvalue > 1e-4


def test_lags_are_uncorrelated():
    torch.manual_seed(2)
    mask = draw((1_000_000,), 0.1).float() - kept(0.1)
    for lag in (1, 2, 3, 4, 64, 384):
        assert abs(float((mask[lag:] * mask[:-lag]).mean()) / 0.09) < 5 / 1000


def test_mean_and_spread_are_those_of_the_stock_dropout():
    torch.manual_seed(3)
    ones = torch.ones(1_000_000)
    quick, stock = CheapDropout(0.2)(ones), nn.functional.dropout(ones, 0.2)
    assert quick.mean().item() == pytest.approx(stock.mean().item(), abs=3e-3)
    assert quick.var().item() == pytest.approx(stock.var().item(), abs=3e-3)
    assert quick.unique().tolist() == pytest.approx([0.0, 1 / 0.8], abs=1e-4)


def test_the_gradient_goes_where_the_values_went():
    values = torch.randn(7, 5, requires_grad=True)
    torch.manual_seed(4)
    out = CheapDropout(0.4)(values)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    torch.manual_seed(4)
    factor = draw((7, 5), 0.4) / kept(0.4)
    assert torch.allclose(out, values * factor)
    assert torch.allclose(values.grad, gradient * factor)


def test_the_seed_decides():
    layer, values = CheapDropout(0.1), torch.ones(1000)
    torch.manual_seed(5)
    first, second = layer(values), layer(values)
    torch.manual_seed(5)
    assert torch.equal(first, layer(values))
    assert not torch.equal(first, second)


def test_evaluation_and_no_dropout_change_nothing():
    values = torch.randn(10)
    assert CheapDropout(0.5).eval()(values) is values
    assert torch.equal(CheapDropout(0.0)(values), values)
    assert not CheapDropout(1.0)(values).any()
    assert CheapDropout(0.1)(values[:0]).shape == (0,)
    assert CheapDropout(0.1)(values.bfloat16()).dtype == torch.bfloat16


def test_recomputed_activations_see_the_same_mask():
    layer = CheapDropout(0.5)
    values = torch.randn(100, requires_grad=True)
    out = torch.utils.checkpoint.checkpoint(lambda x: layer(x).square(), values, use_reentrant=False)
    out.sum().backward()
    assert torch.equal(values.grad == 0, out == 0)


def test_it_can_be_copied_and_pickled():
    for twin in (copy.deepcopy(CheapDropout(0.3)), pickle.loads(pickle.dumps(CheapDropout(0.3)))):
        assert twin.p == 0.3
        assert twin.state_dict() == {}
