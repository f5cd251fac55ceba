"""The control: what the same network reaches without pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from luthier.errors import RecipeError
from luthier.methods import Method, Rate

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch import nn

    from luthier.methods import Context
    from luthier.models.anatomy import Anatomy


class Scratch(Method):
    """The same architecture with random weights, all of which train.

    It needs many more epochs than a pretrained network: give it those that the comparison should be fair with.
    """

    name: ClassVar[str] = "scratch"
    rate: ClassVar[Rate] = Rate(1e-4, "Devlin et al. 2019 (BERT), appendix A.2: pretraining from random weights")
    steps: ClassVar[int] = 300
    """Measured on 1,000 rows of SST-2 with MiniLM's architecture: macro F1 32.6 after 128 steps, one label for all, and 71.4 after 320,
    in which rates of 5e-4 and 1e-3 learned nothing (benchmarks/from_scratch.py)."""

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """All of them."""
        return [name for name, _ in model.named_parameters()]

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Draw every weight anew, and reset what the network has counted (the statistics of BatchNorm)."""
        import torch

        with torch.no_grad():
            _draw(model)
        return model


def _draw(model: nn.Module) -> None:
    from transformers import PreTrainedModel

    from luthier.models.made import MadeNetwork

    if not isinstance(model, PreTrainedModel):
        _reset(model)
        return
    whole: Any = model
    # made anew by the family's constructor, as its own rule passes over weights that it does not know
    fresh = type(whole)(whole.config).state_dict()
    for name, one in model.state_dict().items():
        if name in fresh:  # not what other methods have inserted
            one.copy_(fresh[name])
    if not isinstance(whole, MadeNetwork):  # a factory draws as its author means it
        _open_batch_norms(model)


def _open_batch_norms(model: nn.Module) -> None:
    """Let BatchNorm begin at scale 1 (Ioffe and Szegedy 2015), with nothing counted.

    EfficientNet's rule in transformers 5.23 draws the scales from N(0, 0.02), so that no signal gets through 49 of them and nothing is
    ever learned.
    """
    from torch.nn.modules.batchnorm import _BatchNorm

    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_parameters()


def _reset(model: nn.Module) -> None:
    """Let each layer draw its weights as torch's layers do when they are made."""
    for name, module in model.named_modules():
        if not [*module.parameters(recurse=False), *module.buffers(recurse=False)]:
            continue
        reset = getattr(module, "reset_parameters", None)
        if reset is None:
            raise RecipeError(
                f"method scratch: {name or 'the network'} ({type(module).__name__}) has no reset_parameters, so its weights cannot be "
                "drawn anew. Give it that method, or use full."
            )
        reset()
