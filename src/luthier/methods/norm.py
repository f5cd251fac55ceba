"""Training normalisation layers and nothing else of the base."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from luthier.errors import RecipeError
from luthier.methods import Method, Rate

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn

    from luthier.models.anatomy import Anatomy


class Norm(Method):
    """Only gains and offsets of normalisation layers, and the head: Qi et al. 2022 (LN-tuning), Frankle et al. 2021 (BatchNorm)."""

    name: ClassVar[str] = "norm"
    rate: ClassVar[Rate] = Rate(
        9e-4, "as bias, whose weights are as few: the upper end of Ben Zaken et al. 2022 (BitFit), section 4"
    )

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """The weights of LayerNorm, RMSNorm, BatchNorm, GroupNorm and their kin outside the head."""
        from luthier.models.anatomy import parameters_of

        head = {name for name, _ in parameters_of(model, anatomy.head)}
        layers = {name for name, module in model.named_modules() if _is_norm(module)}
        names = [name for name, _ in model.named_parameters() if name.rpartition(".")[0] in layers and name not in head]
        if not names:
            raise RecipeError(
                "method norm: this model has no normalisation layers with weights of their own. Use bias, lora or top instead."
            )
        return names


def _is_norm(module: nn.Module) -> bool:
    """By torch's classes, and by name for those that transformers and timm write themselves (LlamaRMSNorm, BatchNormAct2d).

    A module around others, such as RobertaPreLayerNormModel, is none whatever its name says.
    """
    from torch import nn

    stock = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase)
    return isinstance(module, stock) or ("Norm" in type(module).__name__ and _owns_all_weights(module))


def _owns_all_weights(module: nn.Module) -> bool:
    return len(list(module.parameters(recurse=False))) == len(list(module.parameters()))
