"""How rows get into a network: what an entrance is asked, and what it gives. The members are named in `luthier.inputs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.modalities import Modality
from luthier.models.find import Base

SHORTEST = 4
"""Tokens that must be left for the text."""


@dataclass(frozen=True)
class Entrance:
    """How rows get into a network."""

    context: Context
    modality: Modality


@dataclass(frozen=True)
class Asked:
    """What is asked of an entrance."""

    base: Base
    labels: tuple[str, ...] = ()
    """Names of what is to be predicted."""
    methods: Sequence[Method] = ()
    """Which may add positions (prompts) or write something around the text (cloze)."""
    limit: float | None = None
    """`data.max_length`, or of audio the longest recording."""
    saved: bool = False
    """Whether the model is one that training has saved, and `limit` is what it was trained with."""
    wording: str | None = None
    """What the task says is written around each row, as `Target.wording`."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """What the task says of languages, as `Target.languages`."""


def whole(limit: float | None) -> int | None:
    """A limit in tokens or pixels.

    Raises:
        RecipeError: it is no whole number.
    """
    if limit is not None and (limit != int(limit) or limit < SHORTEST):
        raise RecipeError(f"data.max_length must be a whole number from {SHORTEST} here; got {limit:g}.")
    return None if limit is None else int(limit)


def left(methods: Sequence[Method], positions: int | None) -> int | None:
    """Positions that methods leave for the text."""
    taken = {method.name: method.tokens for method in methods if method.tokens}
    left = None if positions is None else positions - sum(taken.values())
    if left is not None and left < SHORTEST:
        said = " and ".join(f"{name} takes {tokens}" for name, tokens in taken.items())
        raise RecipeError(f"method {said} of the {positions} positions of this model, which leaves none for the text.")
    return left
