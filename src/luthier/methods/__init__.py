"""How the weights may change.

Before any method is applied the pipeline has frozen the whole model and switched the task head on, so a method only
inserts modules and switches weights on; that is why methods combine as a list. Saving, resuming and serving hold no
method code: what is trained is what has `requires_grad`, and that is what is saved.

A member is one file with a subclass of `Method`, one line in `METHODS`, and it must pass tests/methods/test_conformance.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    from torch import nn

    from luthier.models.anatomy import Anatomy


@dataclass(frozen=True)
class Rate:
    """A default learning rate and where it comes from."""

    value: float
    source: str


class Method(Plugin, ABC):
    """One way to fine-tune; its fields are its settings."""

    rate: ClassVar[Rate]
    """Learning rate when the recipe names none."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What the anatomy must offer: any of `blocks`, `embeddings`, `linears`, `attentions`."""

    wraps: ClassVar[bool] = False
    """Whether `apply` puts the model into another (as PEFT does); such methods are applied last, when names are still plain."""

    @abstractmethod
    def apply(self, model: nn.Module, anatomy: Anatomy) -> nn.Module:
        """Insert what this method inserts and switch `requires_grad` on; return the model to train.

        Raises:
            RecipeError: the settings do not fit this model (more blocks asked for than there are, no name matches).
        """

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold what was inserted into the base weights, where that can be done; the logits stay the same."""
        return model


METHODS: Registry[Method] = Registry(
    "method",
    "luthier.methods",
    {
        "full": "luthier.methods.select:Full",
        "head": "luthier.methods.select:Head",
        "top": "luthier.methods.select:Top",
        "bias": "luthier.methods.select:Bias",
        "pattern": "luthier.methods.select:Pattern",
        "lora": "luthier.methods.lora:Lora",
    },
)
