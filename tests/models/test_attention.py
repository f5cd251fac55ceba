"""Attention with the cheap mask against the formula, written out, with the same mask."""

import pytest
import torch
from torch import nn

from luthier.models import attention
from luthier.models.attention import dropout_attention
from luthier.models.dropout import draw, kept


class Layer(nn.Module):
    is_causal = False


def inputs(batch=3, heads=2, tokens=5, width=4):
    torch.manual_seed(0)
    return [torch.randn(batch, tokens, heads, width).transpose(1, 2).requires_grad_() for _ in range(3)]


def keys_of(lengths, tokens, queries=1):
    return (torch.arange(tokens) < torch.tensor(lengths)[:, None])[:, None, None, :].expand(-1, 1, queries, -1)


def formula(query, key, value, mask, p, scale, seed):
    """softmax(Q K^T / sqrt(d)) dropped and scaled, times V; every step by autograd."""
    scores = query @ key.transpose(-1, -2) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    torch.manual_seed(seed)
    factor = draw((scores.shape[0] * scores.shape[1], *scores.shape[2:]), p).view(scores.shape) / kept(p)
    return ((scores.softmax(-1) * factor) @ value).transpose(1, 2)


MASKS = {
    "none": None,
    "one row": keys_of([5, 2, 1], 5),
    "square": keys_of([5, 3, 4], 5, queries=5) & torch.ones(5, 5, dtype=torch.bool).tril(),
}
ROUNDED = 1.001 / 256
"""Half a unit in the last of bfloat16's eight places."""
ALL = 6
"""Heads of all rows: three rows of two heads each, so that groups of one and three end between the heads of a row."""


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize("together", [ALL, 4, 3, 1])
def test_output_and_gradients_follow_the_formula(mask, scaling, together, monkeypatch):
    if together < ALL:
        monkeypatch.setattr(attention, "KEPT", ALL * 25 - 1)
    monkeypatch.setattr(attention, "TOGETHER", together * 25)
    ours, theirs = inputs(), inputs()
    torch.manual_seed(7)
    out, weights = dropout_attention(Layer(), *ours, mask, dropout=0.3, scaling=scaling)
    expected = formula(*theirs, mask, 0.3, scaling or 0.5, seed=7)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    expected.backward(gradient)
    assert weights is None
    assert torch.allclose(out, expected, atol=1e-6)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one.grad, other.grad, atol=3e-6)  # up to 6 large; where one key is left theirs is 0


def test_an_additive_mask_is_added():
    mask = keys_of([5, 2, 1], 5)
    added = torch.zeros(mask.shape).masked_fill(~mask, -1e9)
    results = []
    for one in (mask, added):
        torch.manual_seed(7)
        results.append(dropout_attention(Layer(), *inputs(), one, dropout=0.3)[0])
    assert torch.allclose(*results, atol=1e-6)


@pytest.mark.parametrize("autocast", [True, False])
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("together", [ALL, 1])
@pytest.mark.parametrize("rotated", [torch.bfloat16, torch.float32])
def test_bfloat16_is_computed_in_float32_and_rounded_once(autocast, mask, together, rotated, monkeypatch):
    monkeypatch.setattr(attention, "KEPT", together * 25)
    monkeypatch.setattr(attention, "TOGETHER", 25)
    kinds = (rotated, rotated, torch.bfloat16)  # rotary positions may leave query and key in float32
    low = [one.detach().to(kind).requires_grad_() for one, kind in zip(inputs(), kinds, strict=True)]
    same = [one.detach().float().requires_grad_() for one in low]
    torch.manual_seed(7)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out, _ = dropout_attention(Layer(), *low, mask, dropout=0.3, scaling=0.3)
    expected = formula(*same, mask, 0.3, 0.3, seed=7)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    expected.backward(gradient.float())
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), expected, rtol=ROUNDED, atol=1e-6)
    for one, other in zip(low, same, strict=True):
        assert one.grad.dtype == one.dtype
        torch.testing.assert_close(one.grad.float(), other.grad, rtol=ROUNDED, atol=3e-6)


def test_on_average_dropout_changes_nothing():
    query, key, value = (one.detach() for one in inputs())
    mean = sum(dropout_attention(Layer(), query, key, value, None, dropout=0.2)[0] for _ in range(4000)) / 4000
    exact = dropout_attention(Layer(), query, key, value, None)[0]
    assert torch.allclose(mean, exact, atol=0.05)


def test_a_row_that_may_look_nowhere_is_finite():
    mask = torch.zeros(3, 1, 5, 5, dtype=torch.bool)
    out, _ = dropout_attention(Layer(), *inputs(), mask, dropout=0.3)
    assert out.isfinite().all()


class Causal(nn.Module):
    is_causal = True


@pytest.mark.parametrize(
    ("layer", "dropout", "dtype"),
    [(Layer(), 0.0, torch.float32), (Causal(), 0.3, torch.float32), (Layer(), 0.3, torch.float64)],
    ids=["no dropout", "causal", "float64"],
)
def test_what_is_not_covered_is_left_to_sdpa(layer, dropout, dtype):
    query, key, value = (one.to(dtype) for one in inputs())
    torch.manual_seed(9)
    out, _ = dropout_attention(layer, query, key, value, None, dropout=dropout)
    torch.manual_seed(9)
    expected = nn.functional.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, is_causal=layer.is_causal
    )
    assert torch.equal(out, expected.transpose(1, 2))


def test_no_rows_are_allowed():
    out, _ = dropout_attention(Layer(), *(one[:0] for one in inputs()), None, dropout=0.3)
    assert out.shape == (0, 5, 2, 4)
