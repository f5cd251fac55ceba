"""Attention with dropout on the CPU, for transformers' attention registry.

PyTorch's fused attention has no dropout on CPUs: it falls back to separate, allocating operations. This is the same
function with a cheap mask (see `luthier.models.dropout`), in-place passes, and the softmax gradient taken from the
output as in FlashAttention (Dao et al. 2022, appendix B.2): with D = rowsum(dO * O), dS = P * (dP - D).
bfloat16, under autocast or not, is computed in float32, which costs less than the separate operations in bfloat16.
Whatever it does not cover, evaluation included, goes to transformers' own `sdpa`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from luthier.models.dropout import applies, draw, kept

NAME = "luthier_cheap_dropout"
KEPT = 1 << 21
"""Attention weights, 8 MiB, up to which they are kept for the backward pass."""
TOGETHER = 1 << 18
"""Attention weights, 1 MiB, in work at once where they are more: what stays in a processor's cache. On MiniLM's 12 heads and 500 tokens
forward and backward took 25 ms (one thread) where groups of 4 MiB took 32, and `lora` with gradient_checkpointing has 30 MiB less."""


class _Attention(torch.autograd.Function):
    """Query, key, value (batch x heads, tokens, width), bias (batch, 1, 1 or tokens, tokens).

    Where all heads at once would take much memory they are computed in groups, and their weights again in the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, p: float) -> Tensor:
        mask = draw((*query.shape[:2], key.shape[1]), p)
        output = torch.empty_like(query)
        groups = _groups(mask.shape)
        for group in groups:
            weights = _weights(query, key, bias, group)
            torch.bmm(mask[group].to(weights.dtype).mul_(weights), value[group], out=output[group])
        output.mul_(1 / kept(p))
        ctx.save_for_backward(query, key, value, bias, mask, output, weights if len(groups) == 1 else None)
        ctx.scale, ctx.groups = 1 / kept(p), groups
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        query, key, value, bias, mask, output, only = ctx.saved_tensors
        (gradient,) = gradients
        mean = (gradient * output).sum(-1, keepdim=True)
        scaled = gradient * ctx.scale
        to_query, to_key, to_value = (torch.empty_like(one) for one in (query, key, value))
        for group in ctx.groups:
            weights = _weights(query, key, bias, group) if only is None else only
            kept_mask = mask[group].to(weights.dtype)
            scores = (
                torch.bmm(scaled[group], value[group].transpose(1, 2)).mul_(kept_mask).sub_(mean[group]).mul_(weights)
            )
            dropped = kept_mask.mul_(weights)
            torch.bmm(dropped.transpose(1, 2), scaled[group], out=to_value[group])
            torch.bmm(scores, key[group], out=to_query[group])
            torch.bmm(scores.transpose(1, 2), query[group], out=to_key[group])
        return to_query, to_key, to_value, None, None


def _groups(shape: Sequence[int]) -> list[slice]:
    """Heads that are computed together, for weights of this shape."""
    heads, tokens, keys = shape
    if heads * tokens * keys <= KEPT:
        return [slice(heads)]
    size = max(1, TOGETHER // (tokens * keys))
    return [slice(first, first + size) for first in range(0, heads, size)]


def _weights(query: Tensor, key: Tensor, bias: Tensor | None, group: slice) -> Tensor:
    """Attention weights of some heads."""
    weights = torch.bmm(query[group], key[group].transpose(1, 2))
    if bias is not None:
        heads = len(query) // max(1, len(bias))
        rows = torch.arange(len(query))[group] // heads
        weights.add_(bias[rows, 0])
    return torch.softmax(weights, -1, out=weights)


def dropout_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers' registry calls it.

    Args:
        module: the attention layer.
        query: (batch, heads, tokens, width).
        key: (batch, heads, keys, width).
        value: as the key.
        attention_mask: (batch, 1, 1 or tokens, tokens), True or 0 where attention may look.
        dropout: probability of dropping an attention weight; 0 outside training.
        scaling: factor on the scores; default 1 / sqrt(width).
        rest: what single models add; anything but None that matters sends the call to `sdpa`.

    Returns:
        Output (batch, tokens, heads, width), and None for the weights.
    """
    if not _covered(module, query, key, value, attention_mask, dropout, rest):
        output: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
        return output
    batch, heads, tokens, width = query.shape
    scaled = query.float() * (width**-0.5 if scaling is None else scaling)
    folded = [one.reshape(batch * heads, one.shape[2], width).float() for one in (scaled, key, value)]
    with torch.autocast("cpu", enabled=False):
        mixed: Tensor = _Attention.apply(*folded, _bias(attention_mask), dropout)  # type: ignore[no-untyped-call]
    return mixed.view(batch, heads, tokens, width).transpose(1, 2).to(value.dtype).contiguous(), None


def _covered(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float,
    rest: dict[str, Any],
) -> bool:
    causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    return (
        applies(query, dropout)
        and query.shape[:2] == key.shape[:2]
        and query.shape[3] == key.shape[3]
        and key.shape == value.shape
        and {query.dtype, key.dtype, value.dtype} <= {torch.float32, torch.bfloat16}
        and (not causal if mask is None else mask.dim() == 4 and mask.shape[1] == 1 and mask.shape[0] == query.shape[0])
        and all(rest.get(name) is None for name in ("position_bias", "softcap", "cache", "s_aux", "output_attentions"))
    )


def _bias(mask: Tensor | None) -> Tensor | None:
    """What is added to the scores, float32: 0 where attention may look, a very low number where not."""
    if mask is None:
        return None
    if mask.dtype != torch.bool:
        return mask.float()
    # Half the lowest number: adding a score cannot make it -inf, so a row that may look nowhere does not become NaN.
    return torch.zeros(mask.shape).masked_fill_(~mask, torch.finfo(torch.float32).min / 2)


AttentionInterface.register(NAME, dropout_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
