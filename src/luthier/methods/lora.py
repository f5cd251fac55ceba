"""LoRA and its kin: low-rank updates beside frozen linear layers (Hu et al. 2021, equation 3)."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from luthier.methods import Rate
from luthier.methods.peft import Layer, Peft, check_rank
from luthier.search import Among, Range

if TYPE_CHECKING:
    from peft import LoraConfig
    from torch import nn

    from luthier.methods import Context
    from luthier.models.anatomy import Anatomy


class LowRank(Peft, ABC):
    """W x + scale * B A x, with W frozen, A of shape (rank, in) and B of shape (out, rank) starting at zero."""

    rank: Annotated[int, Field(ge=1)] = 16
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """Scale of the update times its rank. Default: twice the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout before A. Default: none, as in the reference code (loralib) and PEFT; it takes 12 to 21 % of a step on a CPU, and the
    network's own dropout works on either side of each layer."""

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> LoraConfig:
        """PEFT's settings of a plain LoRA."""
        from peft import LoraConfig

        check_rank(self.name, self.rank, layers)
        return LoraConfig(r=self.rank, lora_alpha=self.scaled_by, lora_dropout=self.dropout)

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Ranks on both sides of the default."""
        return {"rank": Among((4, 8, 16, 32))}

    @property
    def scaled_by(self) -> float:
        """Alpha, or its default."""
        return self.alpha or 2 * self.rank


class Lora(LowRank):
    """LoRA, or QLoRA with `bits: 4` (Dettmers et al. 2023)."""

    name: ClassVar[str] = "lora"
    rate: ClassVar[Rate] = Rate(4e-4, "Hu et al. 2021 (LoRA), table 9: 4e-4 to 5e-4 for RoBERTa base on GLUE")

    bits: Literal[4] | None = None
    """Keep the frozen weights of the adapted layers in 4-bit NormalFloat, an eighth of the memory. Needs bitsandbytes. Merging
    turns them back into floats, so that the merged model computes what was trained; an adapter alone belongs to the quantised
    base."""

    @property
    def alters(self) -> bool:
        """Where it quantises them."""
        return self.bits is not None

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Quantise the layers if asked to, then wrap the network by PEFT.

        Raises:
            ExtraError: `bits` needs bitsandbytes, which is not installed.
            RecipeError: the settings do not fit this network.
        """
        if self.bits:
            from luthier.methods.quantised import quantise

            quantise(model, [layer.name for layer in self._layers(model, anatomy)], self.name)
        return super().insert(model, anatomy, context)

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> LoraConfig:
        """PEFT's settings, with our layer for 4-bit weights."""
        config = super().config(layers, anatomy)
        if self.bits:
            from luthier.methods.quantised import MergeableLinear4bit, bitsandbytes

            config._register_custom_module({bitsandbytes.nn.Linear4bit: MergeableLinear4bit})
        return config


class Dora(LowRank):
    """The weight as length times direction, LoRA moving the direction, and the lengths trained: Liu et al. 2024, equation 5."""

    name: ClassVar[str] = "dora"
    rate: ClassVar[Rate] = Rate(4e-4, "as lora: Liu et al. 2024 (DoRA), section 5.1, take over LoRA's settings")

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> LoraConfig:
        """Plain LoRA's, with DoRA switched on."""
        config: Any = super().config(layers, anatomy)
        config.use_dora = True
        return config


class RsLora(LowRank):
    """LoRA with the scale alpha / sqrt(rank), under which large ranks learn too: Kalajdzievski 2023, equation 8."""

    name: ClassVar[str] = "rslora"
    rate: ClassVar[Rate] = Rate(4e-4, "as lora, whose scale it has at rank 16")

    alpha: Annotated[float, Field(gt=0)] | None = None
    """Scale of the update times the root of its rank. Default: 8, lora's default scale at rank 16."""

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> LoraConfig:
        """Plain LoRA's, with the other scale."""
        config: Any = super().config(layers, anatomy)
        config.use_rslora = True
        return config

    @property
    def scaled_by(self) -> float:
        """Alpha, or its default."""
        return self.alpha or 2 * sqrt(16)


class LoraPlus(LowRank):
    """LoRA whose A learns at a sixteenth of the rate of B: Hayou et al. 2024 (LoRA+), section 6.

    The rate is that of B and of the head; the paper and PEFT name that of A.
    """

    name: ClassVar[str] = "lora+"
    rate: ClassVar[Rate] = Rate(
        8e-4, "16 x 5e-5: the rate of A in PEFT's example of LoRA+, times Hayou et al. 2024's ratio"
    )

    RATIO: ClassVar[float] = 16.0
    """Rate of B over that of A."""

    def factor(self, parameter: str) -> float:
        """Of A 1/16, of all else 1."""
        return 1 / self.RATIO if ".lora_A." in parameter else 1.0
