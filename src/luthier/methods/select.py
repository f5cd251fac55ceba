"""Methods that insert nothing and choose which of the weights train."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from luthier.errors import RecipeError
from luthier.methods import Method, Rate

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from luthier.models.anatomy import Anatomy


class Full(Method):
    """Every weight."""

    name: ClassVar[str] = "full"
    rate: ClassVar[Rate] = Rate(5e-5, "Devlin et al. 2019 (BERT), appendix A.3: 2e-5, 3e-5 or 5e-5")

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Switch all weights on."""
        _switch_on(model.parameters())
        return model


class Head(Method):
    """Only the task head, on a frozen base (a linear probe)."""

    name: ClassVar[str] = "head"
    rate: ClassVar[Rate] = Rate(
        1e-3, "AdamW's and Keras' default for new layers; Kumar et al. 2022 (LP-FT) sweep 1e-4 to 1e-2"
    )

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Nothing beyond the head, which the pipeline has switched on."""
        return model


class Top(Method):
    """The last blocks, what follows them, and the head."""

    name: ClassVar[str] = "top"
    rate: ClassVar[Rate] = Rate(
        5e-5, "as full fine-tuning; Lee et al. 2019 (What would Elsa do?) freeze lower layers at 1e-5 to 5e-5"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"blocks"})

    blocks: Annotated[int, Field(ge=1)] = 2
    """How many of the last blocks train."""
    embeddings: bool = False
    """Train the embeddings too."""

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Switch on the last blocks and what the base registers behind them."""
        from luthier.models.anatomy import parameters_of

        if self.blocks > len(anatomy.blocks):
            raise RecipeError(
                f"method top: blocks: {self.blocks} is more than the {len(anatomy.blocks)} blocks that this model has."
            )
        parts = (*anatomy.blocks[-self.blocks :], *anatomy.after, *(anatomy.embeddings if self.embeddings else ()))
        _switch_on(one for _, one in parameters_of(model, parts))
        return model


class Bias(Method):
    """Only biases, and the head: BitFit (Ben Zaken et al. 2022)."""

    name: ClassVar[str] = "bias"
    rate: ClassVar[Rate] = Rate(4e-4, "Ben Zaken et al. 2022 (BitFit), section 4: 1e-4 to 9e-4")

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Switch on every parameter called `bias`, or `q_bias`, `in_proj_bias` and the like."""
        from luthier.models.anatomy import parameters_of

        head = {name for name, _ in parameters_of(model, anatomy.head)}
        biases = [one for name, one in model.named_parameters() if name.endswith("bias") and name not in head]
        if not biases:
            raise RecipeError(
                "method bias: this model has no biases (many decoders have none). Use lora or top instead."
            )
        _switch_on(biases)
        return model


class Pattern(Method):
    """Weights whose names match regular expressions."""

    name: ClassVar[str] = "pattern"
    rate: ClassVar[Rate] = Full.rate

    train: Annotated[list[str], Field(min_length=1)]
    """Regular expressions, searched anywhere in a parameter's name, such as `layer\\.(4|5)\\.` or `LayerNorm`."""
    freeze: list[str] = []
    """Regular expressions of what stays frozen although `train` matches it."""

    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Switch on what `train` matches and `freeze` does not."""
        wanted, unwanted = (_compile(patterns) for patterns in (self.train, self.freeze))
        names = [name for name, _ in model.named_parameters()]
        for pattern in wanted:
            if not any(pattern.search(name) for name in names):
                some = ", ".join(names[:: max(1, len(names) // 6)])
                raise RecipeError(f"method pattern: {pattern.pattern!r} matches no parameter. Some names here: {some}.")
        _switch_on(
            one for name, one in model.named_parameters() if _matches(name, wanted) and not _matches(name, unwanted)
        )
        return model


def _compile(patterns: list[str]) -> list[re.Pattern[str]]:
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as wrong:
        raise RecipeError(f"method pattern: {wrong.pattern!r} is not a regular expression: {wrong}.") from None


def _matches(name: str, patterns: list[re.Pattern[str]]) -> bool:
    return any(pattern.search(name) for pattern in patterns)


def _switch_on(parameters: Iterable[nn.Parameter]) -> None:
    for one in parameters:
        one.requires_grad_(True)
