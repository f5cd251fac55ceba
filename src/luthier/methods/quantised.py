"""Linear layers with weights of 4 bits (NormalFloat, Dettmers et al. 2023) through bitsandbytes, on GPUs and CPUs.

Imported only where a recipe asks for it: without bitsandbytes the import raises ExtraError.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from peft.tuners.lora import bnb as adapted
from torch import Tensor, nn

from luthier.errors import RecipeError
from luthier.extras import need

bitsandbytes: Any = need("bitsandbytes", extra="quant")


class MergeableLinear4bit(adapted.Linear4bit):  # type: ignore[misc]
    """PEFT's LoRA beside a 4-bit layer, which merges into a layer of floats.

    PEFT's own rounds the sum to 4 bits again, and the merged network would compute something else than what was trained.
    """

    base_layer: Any

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Put the floats in place of the 4-bit layer, with the update added."""
        names = adapter_names or self.active_adapters
        weight = sum((self.get_delta_weight(name) for name in names), floats(self.base_layer))
        self.base_layer = _plain(weight, self.base_layer.bias)
        self.merged_adapters.extend(names)


def quantise(model: nn.Module, names: Iterable[str], method: str) -> None:
    """Exchange linear layers for ones of 4 bits, in place; those that transformers keeps in float32 (T5's `wo`) stay.

    Args:
        model: whose weights are frozen.
        names: of the layers.
        method: for the error.

    Raises:
        RecipeError: a layer is of a kind that cannot be quantised.
    """
    kept = getattr(model, "_keep_in_fp32_modules", None) or ()
    for name in names:
        if name.rpartition(".")[2] in kept:
            continue
        layer = model.get_submodule(name)
        if not isinstance(layer, nn.Linear) or layer.in_features % 2:
            kind = f"a {type(layer).__name__}" if not isinstance(layer, nn.Linear) else "of an odd number of inputs"
            raise RecipeError(
                f"method {method}: bits packs two weights into a byte and needs nn.Linear layers with an even number of inputs, "
                f"and {name} is {kind}. Leave bits out, or that layer with targets."
            )
        model.set_submodule(name, _four_bits(layer))


def floats(layer: Any) -> Tensor:
    """The weights that a 4-bit layer computes with, float32, of shape (out, in)."""
    weight: Tensor = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    return weight


def _four_bits(layer: nn.Linear) -> nn.Module:
    with torch.device("meta"):  # its own weights are never used
        made: Any = bitsandbytes.nn.Linear4bit(
            layer.in_features, layer.out_features, compute_dtype=torch.float32, quant_type="nf4"
        )
    made.weight = bitsandbytes.nn.Params4bit(
        layer.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=True, module=made
    ).to(layer.weight.device)
    made.bias = layer.bias
    # Else it would switch to a bfloat16 product in evaluation, with another result, and fail when training goes on.
    made.support_avx512bf16_for_cpu = False
    quantised: nn.Module = made.train(layer.training)
    return quantised


def _plain(weight: Tensor, bias: nn.Parameter | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.register_parameter("bias", bias)
    return layer
