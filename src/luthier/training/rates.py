"""The peak learning rate of each parameter: one for all, one for each part, and decay from block to block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from luthier.errors import RecipeError
from luthier.models.anatomy import Anatomy, Stack, within

TOP = 2
"""Blocks that the part `top` of a recipe's rates means; as many as method `top` trains by default."""


class Rates:
    """What a recipe says of learning rates, laid over one network.

    Args:
        lr: one rate, or rates by part or regular expression, or None for what the method says.
        decay: rate of a block over that of the block above it (Howard & Ruder 2018, discriminative fine-tuning).
        anatomy: of the network before anything was inserted.
        names: plain names of all that trains, to find regular expressions that fit nothing.
        place: key of the recipe that gives `lr`, for errors.

    Raises:
        RecipeError: a part or expression that fits nothing of what trains.
    """

    def __init__(
        self,
        lr: float | Mapping[str, float] | None,
        decay: float | None,
        anatomy: Anatomy,
        names: Iterable[str],
        place: str = "train.lr",
    ) -> None:
        self.lr = lr
        self.place = place
        self.decay = decay
        self.anatomy = anatomy
        self._parts = {
            "head": anatomy.whole_head,
            "top": anatomy.last(TOP),
            "embeddings": anatomy.embeddings,
        }
        if isinstance(lr, Mapping):
            _refuse_idle(lr, {self._part(name) for name in names}, place)

    def of(self, name: str, default: float) -> float:
        """Rate of a parameter.

        Args:
            name: its plain name.
            default: rate where the recipe says none.
        """
        return self._stated(name, default) * (self.decay or 1.0) ** self._depth(name)

    def _stated(self, name: str, default: float) -> float:
        if isinstance(self.lr, Mapping):
            return self.lr.get(self._part(name), default)
        return self.lr or default

    def _part(self, name: str) -> str:
        """The first key of the recipe's mapping that fits."""
        keys = self.lr if isinstance(self.lr, Mapping) else ()
        return next((key for key in keys if key != REST and self._fits(key, name)), REST)

    def _fits(self, key: str, name: str) -> bool:
        return within(name, self._parts[key]) if key in self._parts else self._compile(key).search(name) is not None

    def _compile(self, pattern: str) -> re.Pattern[str]:
        try:
            return re.compile(pattern)
        except re.error as wrong:
            raise RecipeError(
                f"{self.place}: {pattern!r} is neither a part nor a regular expression: {wrong}."
            ) from None

    def _depth(self, name: str) -> int:
        """Blocks of its own stack above a parameter: none for the head and what follows the blocks, all of them for the embeddings."""
        anatomy = self.anatomy
        stacks = (Stack(anatomy.blocks, anatomy.after), *anatomy.beside, *anatomy.below)
        if within(name, (*anatomy.whole_head, *(after for stack in stacks for after in stack.after))):
            return 0
        own = [
            len(one.blocks) - index
            for one in stacks
            for index, block in enumerate(one.blocks)
            if within(name, (block,))
        ]
        return own[0] if own else 1 + max(len(one.blocks) for one in stacks)


REST = "rest"
"""Part of a recipe's rates for whatever fits no other."""


def _refuse_idle(lr: Mapping[str, float], used: set[str], place: str) -> None:
    idle = [key for key in lr if key not in {*used, REST}]
    if idle:
        raise RecipeError(
            f"{place} gives a rate for {idle[0]!r}, and nothing of it trains. Parts are head, top, embeddings and rest, or regular "
            "expressions of parameter names; take it out, or choose a method that trains it."
        )
