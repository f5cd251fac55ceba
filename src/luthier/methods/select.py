"""Methods that insert nothing and choose which of the weights train."""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from luthier.errors import RecipeError
from luthier.methods import Method, Rate
from luthier.search import Among, Range

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import nn

    from luthier.models.anatomy import Anatomy


class Full(Method):
    """Every weight."""

    name: ClassVar[str] = "full"
    rate: ClassVar[Rate] = Rate(5e-5, "Devlin et al. 2019 (BERT), appendix A.3: 2e-5, 3e-5 or 5e-5")

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """All of them."""
        return [name for name, _ in model.named_parameters()]


class Head(Method):
    """Only the task head, on a frozen base (a linear probe)."""

    name: ClassVar[str] = "head"
    rate: ClassVar[Rate] = Rate(
        1e-2,
        "measured on MiniLM and 2,000 rows of SST-2: accuracy 0.71 after 3 epochs, and 0.61 at 1e-3; Kumar et al. 2022 sweep 1e-4 to 1e-2",
    )
    epochs: ClassVar[int] = 30
    """The frozen base is computed once, so they cost next to nothing (0.71 after 3 epochs, 0.74 after 30)."""


class Top(Method):
    """The last blocks, what follows them, and the head."""

    name: ClassVar[str] = "top"
    rate: ClassVar[Rate] = Rate(
        3e-4,
        "measured: accuracy 0.84 on 2,000 rows of SST-2 (MiniLM) and 0.89 on hotel reviews (e5), where 5e-5 gives 0.83 and 0.68",
    )
    needs: ClassVar[frozenset[str]] = frozenset({"blocks"})

    blocks: Annotated[int, Field(ge=1)] = 2
    """How many of the last blocks train, of each network where there is one for images and one for texts."""
    embeddings: bool = False
    """Train the embeddings too."""

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """The last blocks and what the base registers behind them."""
        from luthier.models.anatomy import parameters_of

        if self.blocks > len(anatomy.blocks):
            raise RecipeError(
                f"method top: blocks: {self.blocks} is more than the {len(anatomy.blocks)} blocks that this model has."
            )
        parts = (*anatomy.last(self.blocks), *(anatomy.embeddings if self.embeddings else ()))
        return [name for name, _ in parameters_of(model, parts)]

    def space(self, anatomy: Anatomy) -> Mapping[str, Range | Among]:
        """Up to four blocks."""
        most = min(4, len(anatomy.blocks))
        return {"blocks": Range(1, most)} if most > 1 else {}


class Bias(Method):
    """Only biases, and the head: BitFit (Ben Zaken et al. 2022)."""

    name: ClassVar[str] = "bias"
    rate: ClassVar[Rate] = Rate(
        9e-4, "Ben Zaken et al. 2022 (BitFit), section 4: 1e-4 to 9e-4; at 4e-4 three epochs were too few"
    )

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """Every parameter called `bias`, or `q_bias`, `in_proj_bias` and the like."""
        head = _head_names(model, anatomy)
        biases = [name for name, _ in model.named_parameters() if name.endswith("bias") and name not in head]
        if not biases:
            raise RecipeError(
                "method bias: this model has no biases (many decoders have none). Use lora or top instead."
            )
        return biases


class Pattern(Method):
    """Weights that are named: by regular expressions, or by the place of their module among its neighbours."""

    name: ClassVar[str] = "pattern"
    rate: ClassVar[Rate] = Full.rate

    train: list[str] = []
    """Regular expressions, searched anywhere in a parameter's name, such as `layer\\.(4|5)\\.` or `LayerNorm`. Default: every
    weight that the other settings do not freeze."""
    freeze: list[str] = []
    """Regular expressions of what stays frozen although `train` matches it, and which no other method of the list may train. The task
    head always trains: what an expression matches of it beside other weights is passed over."""
    freeze_children: Annotated[int, Field(ge=1)] | None = None
    """How many of the first children stay frozen too, as by `for child in list(model.children())[:7]`."""
    of: str = ""
    """Name of the module whose children they are, such as `resnet.encoder.stages`. Default: the whole network."""

    def chosen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """What `train` matches, where it is given, and nothing freezes."""
        names = [name for name, _ in model.named_parameters()]
        wanted, unwanted = _compile(self.train, names), self.frozen(model, anatomy)
        found = [name for name in names if name not in unwanted and (not wanted or _matches(name, wanted))]
        if _head_names(model, anatomy).issuperset(found):
            instead = ", or use head, which trains the task head alone" if anatomy.whole_head else ""
            raise RecipeError(
                "method pattern: train, freeze and freeze_children leave no weight of the base to train. Let train name some that "
                f"the others do not freeze{instead}."
            )
        return found

    def frozen(self, model: nn.Module, anatomy: Anatomy) -> Collection[str]:
        """What `freeze` matches, and the first children, outside the head."""
        head, unwanted = _head_names(model, anatomy), self._unwanted(model)
        for setting, names in unwanted.items():
            if names and head.issuperset(names):
                raise RecipeError(
                    f"method pattern: {setting} names only weights of the task head, such as {names[0]}, and the task head always "
                    "trains. Take it out, or name weights of the base."
                )
        return {name for names in unwanted.values() for name in names} - head

    @model_validator(mode="after")
    def _something_is_said(self) -> Pattern:
        if self.of and self.freeze_children is None:
            raise PydanticCustomError(
                "member", "of names whose children to freeze; write freeze_children: 1 or more too"
            )
        if not (self.train or self.freeze or self.freeze_children):
            raise PydanticCustomError("member", "write train, freeze or freeze_children: nothing says what to choose")
        return self

    def _unwanted(self, model: nn.Module) -> dict[str, list[str]]:
        """Names of what each setting freezes."""
        from luthier.models.anatomy import within

        names = [name for name, _ in model.named_parameters()]
        patterns, children = _compile(self.freeze, names), self._first_children(model)
        found = {f"freeze: {one.pattern!r}": [name for name in names if one.search(name)] for one in patterns}
        found[f"freeze_children: {self.freeze_children}"] = [name for name in names if within(name, children)]
        return found

    def _first_children(self, model: nn.Module) -> list[str]:
        if self.freeze_children is None:
            return []
        modules = dict(model.named_modules())
        if self.of not in modules:
            some = [name for name, module in modules.items() if name and len(list(module.children())) > 1]
            raise RecipeError(
                f"method pattern: of: {self.of!r} is no module of this model. Some with children: {_first(some)}."
            )
        children = [f"{self.of}.{name}".lstrip(".") for name, _ in modules[self.of].named_children()]
        if self.freeze_children > len(children):
            raise RecipeError(
                f"method pattern: freeze_children: {self.freeze_children}, and {self.of or 'the whole network'} has "
                f"{len(children)}: {_first(children) or 'none'}. Write fewer, or name another module with of."
            )
        return children[: self.freeze_children]


def _head_names(model: nn.Module, anatomy: Anatomy) -> set[str]:
    from luthier.models.anatomy import parameters_of

    return {name for name, _ in parameters_of(model, anatomy.whole_head)}


def _first(names: list[str]) -> str:
    return ", ".join([*names[:6], "..."] if len(names) > 6 else names)


def _compile(patterns: list[str], names: list[str]) -> list[re.Pattern[str]]:
    """Regular expressions, each of which fits some name.

    Raises:
        RecipeError: one is none, or fits nothing.
    """
    try:
        compiled = [re.compile(pattern) for pattern in patterns]
    except re.error as wrong:
        raise RecipeError(f"method pattern: {wrong.pattern!r} is not a regular expression: {wrong}.") from None
    for pattern in compiled:
        if not any(pattern.search(name) for name in names):
            some = ", ".join(names[:: max(1, len(names) // 6)])
            raise RecipeError(f"method pattern: {pattern.pattern!r} matches no parameter. Some names here: {some}.")
    return compiled


def _matches(name: str, patterns: list[re.Pattern[str]]) -> bool:
    return any(pattern.search(name) for pattern in patterns)


def gradual(epochs: int, blocks: int) -> list[Method]:
    """What trains in each epoch of gradual unfreezing (Howard & Ruder 2018, section 3.3): the head, then ever more of the last blocks.

    Raises:
        RecipeError: the network has no blocks, or there are too few epochs for steps.
    """
    if not blocks or epochs < 2:
        lacking = "this model has no blocks" if not blocks else f"train.epochs is {epochs}"
        raise RecipeError(f"stages: gradual needs blocks and at least 2 epochs, one a stage, and {lacking}.")
    parts = blocks + 1  # the embeddings are the last to join
    shares = [ceil(stage * parts / (epochs - 1)) for stage in range(1, epochs - 1)]
    return [Head(), *(Top(blocks=min(blocks, share)) for share in shares), Full()]
