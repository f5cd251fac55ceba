"""How the weights may change.

A method says two things: which of the weights that are there it trains (`chosen`), and what it puts into the network
(`insert`); whatever it puts in trains too. It switches no weight on by itself and knows nothing of the others, which is
why methods combine as a list, and why a run of several stages is a list of such lists. Saving, resuming and serving hold
no method code: what is trained is what is saved.

A member is one file with a subclass of `Method`, one line in `METHODS`, and it must pass tests/methods/test_conformance.py.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from luthier.registry import Plugin, Registry

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerBase

    from luthier.modalities.template import Template
    from luthier.models.anatomy import Anatomy
    from luthier.search import Among, Range


@dataclass(frozen=True)
class Rate:
    """A default learning rate and where it comes from."""

    value: float
    source: str


@dataclass(frozen=True)
class Context:
    """What stands around the network, for methods that speak its language."""

    tokenizer: PreTrainedTokenizerBase | None = None
    """None where the network reads no text."""
    labels: tuple[str, ...] = ()
    """Names of what is to be predicted, in the order of the network's outputs."""
    head: str = "text"
    """Which head the network is opened with, a key of `models.heads.HEADS`."""
    positions: int | None = None
    """Positions of sound in a row, for networks whose table of them is cut to what is heard; None leaves networks as they are."""


class Method(Plugin, ABC):
    """One way to fine-tune; its fields are its settings."""

    rate: ClassVar[Rate]
    """Learning rate when the recipe names none."""

    epochs: ClassVar[int] = 3
    """Passes over the training rows when the recipe names none; of several methods the fewest."""

    steps: ClassVar[int] = 100
    """Optimiser steps that a training has at least when the recipe names no epochs: few rows are read more often. Measured on 300 rows
    of SST-2 with `lora`: accuracy 0.48, one label for all, after 30 steps, and 0.79 after 100."""

    needs: ClassVar[frozenset[str]] = frozenset()
    """What the anatomy must offer: any of `blocks`, `embeddings`, `linears`, `attentions`."""

    wraps: ClassVar[bool] = False
    """Whether `insert` puts the network into another (as PEFT does): done last, when names are still plain, and once only."""

    lasting: ClassVar[bool] = False
    """Whether what `insert` makes stays part of the network: no plain network computes the same (adapters, prefixes)."""

    words: ClassVar[bool] = False
    """Whether the network is opened with the head that predicts words, in place of a new one for the task."""

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """Names of the parameters in `model`, as it was opened, that this method trains; the head need not be among them.

        Raises:
            RecipeError: the settings do not fit this network (more blocks asked for than there are, no name matches).
        """
        return ()

    def frozen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """Names of the parameters in `model`, as it was opened, that no method beside this one may train.

        Raises:
            RecipeError: the settings do not fit this network.
        """
        return ()

    def insert(self, model: nn.Module, anatomy: Anatomy, context: Context) -> nn.Module:
        """Put new modules in; returns the network to train. New parameters with `requires_grad` train.

        Called once, in a freshly opened network whose weights are all frozen, and again when a saved one is opened.

        Raises:
            RecipeError: the settings do not fit this network.
        """
        return model

    def merge(self, model: nn.Module) -> nn.Module:
        """Fold what was inserted into the base weights; where the method is `lasting`, reduce it to what `folded` inserts.

        The outputs stay the same.
        """
        return model

    @property
    def folded(self) -> Method:
        """The method whose `insert` makes what `merge` leaves of a `lasting` one."""
        return self

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Settings of this method that `luthier tune` searches where the recipe names no space, beside the learning rate."""
        return {}

    @property
    def alters(self) -> bool:
        """Whether `insert` changes the base's own weights, so that what is inserted belongs to no plain base."""
        return False

    @property
    def tokens(self) -> int:
        """Positions of the network's input that the method takes for itself."""
        return 0

    @property
    def inserted_rate(self) -> float:
        """Learning rate of what is inserted when the recipe names none; a rate that it states is left as it is."""
        return self.rate.value

    def factor(self, parameter: str) -> float:
        """Learning rate of an inserted parameter over that of the others, whether that is stated or a default."""
        return 1.0

    def template(self, context: Context) -> Template | None:
        """What is written around each text."""
        return None

    def follow(self, model: nn.Module, steps: int) -> Follower | None:
        """What has to happen in each of the `steps` steps in which the method trains, beside the gradient."""
        return None


class Follower(ABC):
    """Something that a method does at each step, such as giving rank to where it is needed."""

    @abstractmethod
    def penalty(self) -> Tensor:
        """What is added to the mean loss of the step, a scalar."""

    @abstractmethod
    def after_step(self, step: int) -> None:
        """Called when the weights have moved and their gradients are still there; `step` counts from 0 in this stage.

        Under fp16 the scaler may have left the weights as they were, and gradients are then not finite.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What must be kept to go on exactly."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""


METHODS: Registry[Method] = Registry(
    "method",
    "luthier.methods",
    {
        "full": "luthier.methods.select:Full",
        "head": "luthier.methods.select:Head",
        "top": "luthier.methods.select:Top",
        "bias": "luthier.methods.select:Bias",
        "norm": "luthier.methods.norm:Norm",
        "scratch": "luthier.methods.scratch:Scratch",
        "pattern": "luthier.methods.select:Pattern",
        "lora": "luthier.methods.lora:Lora",
        "dora": "luthier.methods.lora:Dora",
        "rslora": "luthier.methods.lora:RsLora",
        "lora+": "luthier.methods.lora:LoraPlus",
        "adalora": "luthier.methods.adalora:AdaLora",
        "ia3": "luthier.methods.ia3:Ia3",
        "vera": "luthier.methods.vera:Vera",
        "oft": "luthier.methods.oft:Oft",
        "prefix": "luthier.methods.prefix:Prefix",
        "prompt": "luthier.methods.prompt:Prompt",
        "ptuning": "luthier.methods.ptuning:PTuning",
        "cloze": "luthier.methods.cloze:Cloze",
        "adapter": "luthier.methods.adapter:Adapter",
    },
)
