"""Prefix-tuning: learned keys and values before those of every attention layer (Li & Liang 2021).

Without reparametrisation and in every layer of any network it is P-tuning v2 (Liu et al. 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from luthier.errors import RecipeError
from luthier.methods import Method, Rate
from luthier.search import Among, Range

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from luthier.methods import Context
    from luthier.models.anatomy import Anatomy
    from luthier.models.prefix_attention import Rows


class Prefix(Method):
    """Rows of keys and values that every token attends to, in the self-attention and cross-attention of every block.

    Blocks that share their weights (ALBERT) share their prefix.
    """

    name: ClassVar[str] = "prefix"
    rate: ClassVar[Rate] = Rate(
        2e-2, "twice the 1e-2 of Liu et al.'s scripts (P-tuning v2): measured on 500 reviews of sst2_en with MiniLM"
    )
    needs: ClassVar[frozenset[str]] = frozenset({"attentions"})
    lasting: ClassVar[bool] = True

    length: Annotated[int, Field(ge=1)] = 20
    """Rows before each attention layer's own."""
    projection: bool = False
    """Train a network whose outputs are the rows (Li & Liang, equation 3), in place of the rows themselves. Where the recipe names no rate,
    this network has 4e-4."""
    hidden: Annotated[int, Field(ge=1)] = 512
    """Width of that network (Li & Liang, section 4.3: 512 to 800)."""
    activations: bool = True
    """Start from the network's own keys and values for sampled words (section 7.4), in place of random numbers."""

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Lengths on both sides of the default."""
        return {"length": Among((5, 10, 20, 50))}

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Put a prefix on each attention layer of the base."""
        from luthier.models.anatomy import within
        from luthier.models.prefix_attention import CHILD, attend, probe

        self._check_length(model)
        found = {name: rows for name, rows in probe(model, self.length).items() if not within(name, anatomy.head)}
        if not found:
            raise RecipeError(
                f"method prefix: {type(model).__name__} computes attention by code of its own, which transformers' attention "
                "registry does not reach, so nothing can be put before its keys and values. Use adapter, lora or prompt."
            )
        for name, prefix in self._prefixes(found).items():
            model.get_submodule(name).add_module(CHILD, prefix)
        attend(model)
        return model

    def merge(self, model: nn.Module) -> nn.Module:
        """Keep the rows and drop the network that they came from."""
        from luthier.models.prefix_attention import CHILD, ProjectedPrefix

        for module in list(model.modules()):
            child = module._modules.get(CHILD)
            if isinstance(child, ProjectedPrefix):
                module.add_module(CHILD, child.plain())
        return model

    @property
    def folded(self) -> Method:
        """The same without the network."""
        return self.model_copy(update={"projection": False})

    @property
    def inserted_rate(self) -> float:
        """With the network a fiftieth: a step of it moves each row by hundreds of its weights at once (measured beside the rate)."""
        return self.rate.value * (0.02 if self.projection else 1.0)

    def _check_length(self, model: nn.Module) -> None:
        from luthier.models.open import positions

        readable = positions(model.config)
        if readable is not None and self.length > readable:
            raise RecipeError(
                f"method prefix: length: {self.length} is more than the {readable} positions that this model reads; "
                "10 to 100 is usual."
            )

    def _prefixes(self, found: Mapping[str, Rows]) -> dict[str, nn.Module]:
        from luthier.models.prefix_attention import PlainPrefix, ProjectedPrefix, Trunk, starts

        rows = {name: starts(one, self.length, self.activations) for name, one in found.items()}
        if not self.projection:
            return {name: PlainPrefix(one) for name, one in rows.items()}
        trunk = Trunk(self.length, self.hidden)
        return {name: ProjectedPrefix(trunk, one) for name, one in rows.items()}
