"""What the methods that PEFT carries out have in common: which layers they adapt, wrapping the network, and merging."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import RecipeError
from luthier.methods import Method

if TYPE_CHECKING:
    from peft import PeftConfig
    from torch import nn

    from luthier.methods import Context
    from luthier.models.anatomy import Anatomy


@dataclass(frozen=True)
class Layer:
    """A linear layer that is adapted."""

    name: str
    inputs: int
    outputs: int


class Peft(Method, ABC):
    """A method of PEFT, which puts a module around each adapted layer and is saved as a folder that plain PEFT loads.

    PEFT's `task_type` is left out: those classes pass `input_ids` on by name, which images and sound do not have. PEFT then
    writes the class of the network into the folder, and its Auto classes find it there.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"linears"})
    wraps: ClassVar[bool] = True

    targets: str = "linear"
    """`linear`: every linear layer of the blocks (Dettmers et al. 2023); `attention`: those of the attention; else a regular
    expression searched in module names."""

    @abstractmethod
    def config(self, layers: Sequence[Layer], anatomy: Anatomy) -> PeftConfig:
        """PEFT's configuration for these layers, without their names and without the head.

        Raises:
            RecipeError: a layer is too small for the settings.
        """

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Wrap the network by PEFT; the head is copied and saved with the adapter."""
        from luthier.models.wrap import wrap

        layers = self._layers(model, anatomy)
        config: Any = self.config(layers, anatomy)
        config.target_modules = {layer.name for layer in layers}
        config.modules_to_save = list(anatomy.head)
        return wrap(model, config, anatomy.head, self.name)

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold what was learned into the weights; the network is again one of plain transformers."""
        from luthier.models.merge import merge_adapter

        return merge_adapter(model)

    def chosen_layers(self, anatomy: Anatomy) -> Sequence[str]:
        """Names of the linear layers that `targets` asks for; none where it matches none."""
        groups = {"linear": anatomy.linears, "attention": within_attention(anatomy)}
        if self.targets in groups:
            return groups[self.targets]
        pattern = self._pattern()
        return [name for name in anatomy.linears if pattern.search(name)]

    def _layers(self, model: nn.Module, anatomy: Anatomy) -> list[Layer]:
        from luthier.models.anatomy import widths

        names = adaptable(model, self.chosen_layers(anatomy))
        if not names:
            some = ", ".join(anatomy.linears[:6])
            raise RecipeError(
                f"method {self.name}: targets {self.targets!r} matches no linear layer. Some here: {some}."
            )
        return [Layer(name, *widths(model.get_submodule(name))) for name in names]

    def _pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self.targets)
        except re.error as wrong:
            raise RecipeError(
                f"method {self.name}: targets {self.targets!r} is neither linear, attention nor a regular expression: {wrong}."
            ) from None


def within_attention(anatomy: Anatomy) -> list[str]:
    """Names of the linear layers inside the attentions."""
    from luthier.models.anatomy import within

    return [name for name in anatomy.linears if within(name, anatomy.attentions)]


def check_rank(method: str, rank: int, layers: Iterable[Layer]) -> None:
    """An update of rank r has r directions on either side of the matrix.

    Raises:
        RecipeError: a layer has fewer inputs or outputs than that.
    """
    smallest = min(layers, key=lambda layer: min(layer.inputs, layer.outputs))
    most = min(smallest.inputs, smallest.outputs)
    if rank > most:
        raise RecipeError(
            f"method {method}: rank {rank} is larger than the layer {smallest.name}, which has {smallest.inputs} inputs and "
            f"{smallest.outputs} outputs. Take {most} at most, or leave the layer out with targets."
        )


def adaptable(model: nn.Module, names: Iterable[str]) -> list[str]:
    """Those layers that are called as a module and own their weight alone.

    torch's MultiheadAttention reads the weight of its `out_proj` and never calls it, so that an update would have no effect;
    and an update folded into a weight that two layers share would change both.
    """
    from torch import nn

    children = [child for module in model.modules() for child in module.children()]
    owners = Counter(id(one) for child in children for one in child.parameters(recurse=False))
    unread = {id(module.out_proj) for module in model.modules() if isinstance(module, nn.MultiheadAttention)}
    layers = {name: model.get_submodule(name) for name in names}
    return [
        name
        for name, layer in layers.items()
        if id(layer) not in unread and owners[id(layer.get_parameter("weight"))] == 1
    ]
