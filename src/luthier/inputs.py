"""What a model reads, once methods have taken their share of its input."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.modalities.text import Text

SHORTEST = 4
"""Tokens that must be left for the text."""


def text_of(
    tokenizer: PreTrainedTokenizerBase,
    context: Context,
    methods: Sequence[Method],
    max_length: int | None,
    positions: int | None,
) -> Text:
    """How texts are encoded for a model with these methods.

    Args:
        tokenizer: of the base model.
        context: what the model predicts.
        methods: which may add positions (prompts) or write something around the text (cloze).
        max_length: tokens of the longest row, or None for what there is room for.
        positions: tokens that the model can read, or None where it has no limit.

    Raises:
        RecipeError: nothing is left for the text.
    """
    taken = {method.name: method.tokens for method in methods if method.tokens}
    left = None if positions is None else positions - sum(taken.values())
    if left is not None and left < SHORTEST:
        said = " and ".join(f"{name} takes {tokens}" for name, tokens in taken.items())
        raise RecipeError(f"method {said} of the {positions} positions of this model, which leaves none for the text.")
    templates = (method.template(context) for method in methods)
    return Text(tokenizer, max_length, left, next(filter(None, templates), None))
