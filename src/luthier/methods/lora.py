"""LoRA: low-rank updates beside frozen linear layers, through PEFT (Hu et al. 2021, equation 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from luthier.errors import RecipeError
from luthier.methods import Method, Rate

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.anatomy import Anatomy


class Lora(Method):
    """W x + alpha/rank * B A x, with W frozen, A of shape (rank, in) and B of shape (out, rank) starting at zero."""

    name: ClassVar[str] = "lora"
    rate: ClassVar[Rate] = Rate(4e-4, "Hu et al. 2021 (LoRA), table 9: 4e-4 to 5e-4 for RoBERTa base on GLUE")
    needs: ClassVar[frozenset[str]] = frozenset({"linears"})
    wraps: ClassVar[bool] = True

    rank: Annotated[int, Field(ge=1)] = 16
    """Rank of the update."""
    alpha: Annotated[float, Field(gt=0)] | None = None
    """Scale of the update over its rank. Default: twice the rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Dropout before A."""
    targets: str = "linear"
    """`linear`: every linear layer of the blocks (Dettmers et al. 2023); `attention`: those of the attention; else a regular
    expression searched in module names."""

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Wrap the model by PEFT; weights that were already switched on stay on."""
        from peft import LoraConfig, TaskType, get_peft_model
        from transformers.pytorch_utils import Conv1D

        from luthier.models.quiet import quiet

        head = {id(one) for name in anatomy.head for one in model.get_submodule(name).parameters()}
        trained = [one for one in model.parameters() if one.requires_grad and id(one) not in head]
        targets = self._targets(anatomy)
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS,
            r=self.rank,
            lora_alpha=self.alpha or 2 * self.rank,
            lora_dropout=self.dropout,
            target_modules=list(targets),
            fan_in_fan_out=all(isinstance(model.get_submodule(name), Conv1D) for name in targets),
            modules_to_save=list(anatomy.head),
        )
        with quiet():
            wrapped: nn.Module = get_peft_model(model, config)
        for one in trained:  # PEFT has frozen all but what it inserted and its copy of the head
            one.requires_grad_(True)
        return wrapped

    def merge(self, model: nn.Module) -> nn.Module:
        """W + alpha/rank * B A."""
        wrapped: Any = model
        merged: nn.Module = wrapped.merge_and_unload()
        return merged

    @property
    def _regex(self) -> re.Pattern[str]:
        try:
            return re.compile(self.targets)
        except re.error as wrong:
            raise RecipeError(
                f"method lora: targets {self.targets!r} is neither linear, attention nor a regular expression: {wrong}."
            ) from None

    def _targets(self, anatomy: Anatomy) -> tuple[str, ...]:
        groups = {
            "linear": anatomy.linears,
            "attention": tuple(name for name in anatomy.linears if _inside(name, anatomy.attentions)),
        }
        found = groups.get(self.targets) or tuple(name for name in anatomy.linears if self._regex.search(name))
        if not found:
            raise RecipeError(
                f"method lora: targets {self.targets!r} matches no linear layer. Some here: {', '.join(anatomy.linears[:6])}."
            )
        return found


def _inside(name: str, owners: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{owner}.") for owner in owners)
