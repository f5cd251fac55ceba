"""A linear layer through oneDNN where PyTorch's own way, MKL, is slow: AMD CPUs with AVX-512.

MKL runs AVX2 code on AMD. oneDNN, which PyTorch ships too and uses for bfloat16, generates AVX-512 code: on a Zen 5 the
same float32 products took 0.4 to 0.5 of the time, on a Zen 4, whose AVX-512 goes in two halves, 0.75 to 0.95. The result
differs by float rounding only. Packing frozen weights once gained 0 to 12 % more there (128 to 720 rows), and was left.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

LEAST = 1 << 21
"""Multiplications from which oneDNN pays: its call costs some 0.1 ms, more than the whole product of a small head takes."""


@cache
def onednn_is_faster() -> bool:
    """Decided from facts, not by a clock, so that a resumed run computes the same floats."""
    cpu = Path("/proc/cpuinfo")
    return (
        cpu.exists()
        and "AuthenticAMD" in cpu.read_text()
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkldnn.is_available()
        and torch._C._dispatch_has_kernel_for_dispatch_key("mkldnn::_linear_pointwise", "CPU")
    )


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows @ weight.T + bias` by oneDNN; rows (..., in), weight (out, in), both float32 and of any strides."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients
        rows, weight = ctx.saved_tensors
        to_rows, to_weight, to_bias = ctx.needs_input_grad
        flat = gradient.reshape(-1, gradient.shape[-1])
        return (
            product(gradient, weight.t()) if to_rows else None,
            _outer(flat, rows.reshape(-1, rows.shape[-1])) if to_weight else None,
            flat.sum(0) if to_bias else None,
        )


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """`left.T @ right`. oneDNN copies the first factor to make it contiguous, so the narrower one comes first."""
    if left.shape[1] > right.shape[1]:
        return product(right.t(), left.t()).t()
    return product(left.t(), right.t())


class OneDnnLinear(nn.Linear):
    """`nn.Linear` in float32 on the CPU; anything else goes the stock way."""

    def forward(self, input: Tensor) -> Tensor:
        if self._applies(input):
            # rows outside of the function: adapters add in place to what a layer returns, which a view made inside forbids
            rows: Tensor = _Linear.apply(input.reshape(-1, input.shape[-1]), self.weight, self.bias)  # type: ignore[no-untyped-call]
            return rows.view(*input.shape[:-1], -1)
        return super().forward(input)

    def _applies(self, rows: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined, no-untyped-call]
            return False
        return (
            rows.device.type == self.weight.device.type == "cpu"
            and rows.dtype == self.weight.dtype == torch.float32
            and rows.numel() * self.out_features >= LEAST
            and not torch.is_autocast_enabled("cpu")
        )
