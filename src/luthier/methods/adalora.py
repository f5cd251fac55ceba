"""AdaLoRA: a low-rank update as a singular value decomposition, rank moved to where it matters (Zhang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from luthier.methods import Follower, Rate
from luthier.methods.peft import Layer, Peft, check_rank

if TYPE_CHECKING:
    from peft import AdaLoraConfig
    from torch import nn

    from luthier.models.anatomy import Anatomy


class AdaLora(Peft):
    """W x + scale * P diag(e) Q x, with P and Q near orthogonal, and all but the most important e set to zero on the way."""

    name: ClassVar[str] = "adalora"
    rate: ClassVar[Rate] = Rate(
        2e-3, "Zhang et al. 2023 (AdaLoRA), table 8: 5e-4 to 2.2e-3 on GLUE; their runs are ten times longer"
    )

    rank: Annotated[int, Field(ge=1)] = 8
    """Rank of the updates at the end, as a mean over the layers."""
    initial_rank: Annotated[int, Field(ge=2)] = 12
    """Rank of every update at the beginning; the paper takes half as much again as at the end."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """Scale of the update times its initial rank. Default: twice the initial rank."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps before ranks are cut; the paper's runs on GLUE: a tenth."""
    final: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the steps after the last cut; the paper's runs on GLUE: 0.4 to 0.6."""
    orthogonality: Annotated[float, Field(ge=0)] = 0.5
    """Weight of the term that keeps P and Q orthogonal (equation 4)."""

    @model_validator(mode="after")
    def _ranks_and_shares(self) -> Self:
        if self.rank >= self.initial_rank:
            raise PydanticCustomError(
                "member",
                "rank {rank} must be smaller than initial_rank {initial_rank}, from which it is cut",
                {"rank": self.rank, "initial_rank": self.initial_rank},
            )
        if self.warmup + self.final >= 1:
            raise PydanticCustomError(
                "member", "warmup and final must leave a share of the steps between them: their sum must be below 1"
            )
        return self

    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> AdaLoraConfig:
        """PEFT's settings; how many steps there are is known only in `follow`."""
        from peft import AdaLoraConfig

        check_rank(self.name, self.initial_rank, layers)
        return AdaLoraConfig(
            init_r=self.initial_rank,
            target_r=self.rank,
            lora_alpha=self.alpha or 2 * self.initial_rank,
            orth_reg_weight=self.orthogonality,
            total_step=1,
        )

    def follow(self, model: nn.Module, steps: int) -> Follower:
        """Cut ranks over these steps."""
        from peft import AdaLoraModel

        from luthier.methods.rank_allocation import Allocation

        tuner = next(module for module in model.modules() if isinstance(module, AdaLoraModel))
        config: Any = tuner.peft_config["default"]
        config.total_step = steps
        config.tinit, config.tfinal = int(self.warmup * steps), int(self.final * steps)
        return Allocation(tuner)
