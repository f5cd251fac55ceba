"""Dropout with a cheap mask: 16 random bits an element, four elements a draw, one byte stored.

PyTorch draws a Bernoulli variable per element on CPUs, which takes an eighth of a training step of a small encoder. Here
an element is kept if a 16-bit random integer falls below keep x 65536. The keep probability is thus rounded to the next
1/65536 (for 0.9: 0.899994), and the scale is the inverse of the rounded one: the mean is exact. The bits come from
PyTorch's own generator, so `torch.manual_seed`, saved generator states and gradient checkpointing work as ever.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

STEPS = 1 << 16
"""Values of a 16-bit integer: the resolution of the keep probability."""


def kept(p: float) -> float:
    """The keep probability in effect for dropout probability `p`: 1 - p, rounded to 1/65536."""
    return round((1 - p) * STEPS) / STEPS


def draw(shape: Sequence[int], p: float) -> Tensor:
    """A mask on the CPU, uint8: 1 with probability `kept(p)`, else 0, independently for each element."""
    count = prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[:count].view(*shape)
    return torch.lt(bits, round((1 - p) * STEPS) - STEPS // 2, out=torch.empty(*shape, dtype=torch.uint8))


def applies(values: Tensor, p: float) -> bool:
    """Whether the cheap mask can be used: on the CPU, in eager mode, where something but not everything is dropped."""
    return (
        values.device.type == "cpu"
        and 0 < kept(p) < 1
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, p: float) -> Tensor:
        mask = draw(values.shape, p)
        ctx.save_for_backward(mask)
        ctx.scale = 1 / kept(p)
        return mask.to(values.dtype).mul_(values).mul_(ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (mask,) = ctx.saved_tensors
        return mask.to(gradient.dtype).mul_(gradient).mul_(ctx.scale), None


class CheapDropout(nn.Dropout):
    """`nn.Dropout` with a cheap mask on the CPU; anything else goes the stock way."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and not self.inplace and applies(input, self.p):
            result: Tensor = _Dropout.apply(input, self.p)  # type: ignore[no-untyped-call]
            return result
        return super().forward(input)
