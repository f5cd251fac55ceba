"""OFT: weights turned by a trained rotation, which keeps the angles between neurons (Qiu et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from luthier.errors import RecipeError
from luthier.methods import Rate
from luthier.methods.peft import Layer, Peft

if TYPE_CHECKING:
    from peft import OFTConfig
    from torch import nn

    from luthier.models.anatomy import Anatomy

LARGEST_BLOCK = 32
"""Largest block that is chosen by itself; PEFT's default."""


class Oft(Peft):
    """W R x, with R orthogonal and of blocks along its diagonal, made from skew-symmetric matrices that start at zero (Cayley).

    It needs attentions: networks without any apply their linear layers to maps of (batch, height, width, channels), and PEFT's
    OFT takes whatever has four dimensions for the input of a convolution.
    """

    name: ClassVar[str] = "oft"
    rate: ClassVar[Rate] = Rate(
        1e-3,
        "tried, one seed: 1e-3 and 4e-3 gave 0.80 and 0.78 on 300 other rows of SST-2 (MiniLM, 480 training rows, 2 epochs)",
    )

    needs: ClassVar[frozenset[str]] = frozenset({"linears", "attentions"})

    block_size: Annotated[int, Field(ge=2)] | None = None
    """Inputs that are turned together. Default: the largest number up to 32 that divides the inputs of every adapted layer."""

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> OFTConfig:
        """PEFT's settings, with the exact Cayley transform: its series would only be nearly orthogonal."""
        from peft import OFTConfig

        return OFTConfig(oft_block_size=self._size(layers), use_cayley_neumann=False)

    def _layers(self, model: nn.Module, anatomy: Anatomy) -> list[Layer]:
        from torch import nn

        layers = super()._layers(model, anatomy)
        for layer in layers:
            kind = model.get_submodule(layer.name)
            if not isinstance(kind, nn.Linear):
                raise RecipeError(
                    f"method oft: PEFT's OFT adapts nn.Linear layers only, and {layer.name} is a {type(kind).__name__}. "
                    "Take lora, or leave the layer out with targets."
                )
        return layers

    def _size(self, layers: Sequence[Layer]) -> int:
        common = gcd(*(layer.inputs for layer in layers))
        sizes = [size for size in range(2, common + 1) if common % size == 0]
        if self.block_size in sizes:
            return self.block_size
        if self.block_size is None and any(size <= LARGEST_BLOCK for size in sizes):
            return max(size for size in sizes if size <= LARGEST_BLOCK)
        wrong = next(layer for layer in layers if self.block_size is None or layer.inputs % self.block_size)
        known = f"such as {', '.join(map(str, sizes[-4:]))}" if sizes else "and here there is no such number: take lora"
        asked = (
            f"no block size up to {LARGEST_BLOCK} divides"
            if self.block_size is None
            else f"block_size {self.block_size} does not divide"
        )
        raise RecipeError(
            f"method oft: {asked} the {wrong.inputs} inputs of the layer {wrong.name}. It must divide those of every adapted "
            f"layer, {known}."
        )
