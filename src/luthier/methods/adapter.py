"""Bottleneck adapters: small networks between or beside the frozen layers, through a tuner that luthier adds to PEFT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from luthier.errors import RecipeError
from luthier.methods import Method, Rate
from luthier.search import Among, Range

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

    from luthier.methods import Context
    from luthier.models.anatomy import Anatomy


class Adapter(Method):
    """y + scale * up(act(down(y))) behind a layer's output y, before it joins the residual stream; the norms stay frozen.

    Houlsby et al. train the norms too: combine with the method for norms to do as they do.
    """

    name: ClassVar[str] = "adapter"
    rate: ClassVar[Rate] = Rate(
        1e-3,
        "within Houlsby et al. 2019, section 3.1: 3e-5, 3e-4 or 3e-3; MiniLM on 2,000 rows of SST-2, 3 epochs: 0.84, and 0.81 at 3e-4",
    )
    needs: ClassVar[frozenset[str]] = frozenset({"linears"})
    wraps: ClassVar[bool] = True
    lasting: ClassVar[bool] = True

    kind: Literal["houlsby", "pfeiffer", "parallel"] = "houlsby"
    """`houlsby`: behind every attention and every feed-forward (Houlsby et al. 2019); `pfeiffer`: behind every feed-forward
    (Pfeiffer et al. 2021), half the weights; `parallel`: beside every feed-forward, reading its input (He et al. 2022)."""
    blocks: Annotated[int, Field(ge=1)] | None = None
    """How many of the last blocks have them. Default: all. What lies below is then computed once (Rücklé et al. 2021, AdapterDrop, leave
    the lower blocks without adapters too)."""
    reduction: Annotated[float, Field(gt=0)] = 16
    """Width of the layer over that of the bottleneck."""
    activation: Literal["gelu", "relu", "silu", "tanh"] = "gelu"
    """In the bottleneck; gelu as in the code of Houlsby et al."""
    scale: Annotated[float, Field(gt=0)] | Literal["learned"] | None = None
    """Factor on what is added. Default: 4 for `parallel` (He et al. 2022, section 4.6), else 1. `learned` starts at 1."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout in the bottleneck."""

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Bottlenecks on both sides of the default."""
        return {"reduction": Among((4, 8, 16, 32))}

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Wrap the model by PEFT."""
        from luthier.models.bottleneck import BottleneckConfig
        from luthier.models.wrap import wrap

        attentions = anatomy.attention_outputs if self.kind == "houlsby" else ()
        targets = self._chosen(model, anatomy, (*attentions, *anatomy.feedforward_outputs))
        pairs = zip(anatomy.feedforward_outputs, anatomy.feedforward_inputs, strict=True)
        inputs = {last: first for last, first in pairs if last in targets} if self.kind == "parallel" else {}
        self._check(model, targets)
        config = BottleneckConfig(
            target_modules=list(targets),
            inputs=inputs,
            reduction=self.reduction,
            activation=self.activation,
            scale=self._scale,
            dropout=self.dropout,
            modules_to_save=list(anatomy.head) or None,
        )
        return wrap(model, config, anatomy.head, self.name)

    def _chosen(self, model: nn.Module, anatomy: Anatomy, layers: Sequence[str]) -> tuple[str, ...]:
        from luthier.methods.peft import adaptable
        from luthier.models.anatomy import within

        layers = adaptable(model, layers)
        if self.blocks is None:
            return tuple(layers)
        if self.blocks > len(anatomy.blocks):
            raise RecipeError(
                f"method adapter: blocks: {self.blocks} is more than the {len(anatomy.blocks)} blocks that this model has."
            )
        last = (*anatomy.last(self.blocks), *(name for stack in anatomy.below for name in stack.blocks[-self.blocks :]))
        return tuple(name for name in layers if within(name, last))

    @property
    def _scale(self) -> float | None:
        if self.scale == "learned":
            return None
        return self.scale or (4.0 if self.kind == "parallel" else 1.0)

    def _check(self, model: nn.Module, targets: tuple[str, ...]) -> None:
        from luthier.models.anatomy import widths
        from luthier.models.bottleneck import bottleneck_size

        if not targets:
            raise RecipeError(
                f"method adapter: kind {self.kind} goes where a feed-forward of two linear layers ends, and none is found in this "
                "model. Use lora or top instead."
            )
        # beside a feed-forward, too: what a block reads and what it writes are equally wide
        for width in {widths(model.get_submodule(name))[1] for name in targets}:
            size = bottleneck_size(width, self.reduction)
            if not 1 <= size <= width:
                raise RecipeError(
                    f"method adapter: reduction {self.reduction:g} makes a bottleneck of {size} in a layer {width} wide. "
                    f"Write a reduction from 1 to {width}."
                )
