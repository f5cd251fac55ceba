"""Rows of texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from luthier.entrances import Asked, Entrance, left, whole
from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.modalities import Modality
from luthier.modalities.text import Text
from luthier.models.heads import ENDS, TWIN, TYPES, WORDS, has_types
from luthier.models.open import architecture, open_tokenizer, positions


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
    templates = (method.template(context) for method in methods)
    return Text(tokenizer, max_length, left(methods, positions), next(filter(None, templates), None))


def text(asked: Asked) -> Entrance:
    head = WORDS if any(method.words for method in asked.methods) else "text"
    readable = None if asked.saved else positions(architecture(asked.base, head))
    tokenizer = open_tokenizer(asked.base)
    context = Context(tokenizer, asked.labels, head)
    return Entrance(context, text_of(tokenizer, context, asked.methods, whole(asked.limit), readable))


def tokens(asked: Asked) -> Entrance:
    from luthier.modalities.tokens import Tokens

    why = "answers once for a whole text, and this task tags each of its tokens"
    return _tokenised(asked, "tokens", why, lambda config, tokenizer: Tokens)


def pair(asked: Asked) -> Entrance:
    from luthier.modalities.pair import Pair

    def kind(config: Any, tokenizer: PreTrainedTokenizerBase) -> Callable[..., Modality]:
        return partial(Pair, typed=TYPES in tokenizer.model_input_names and has_types(config, "text"))

    return _tokenised(asked, "text", "writes its words around one text, and these rows are pairs of texts", kind)


def question(asked: Asked) -> Entrance:
    from luthier.modalities.windows import Windows

    def kind(config: Any, tokenizer: PreTrainedTokenizerBase) -> Callable[..., Modality]:
        return partial(Windows, typed=TYPES in tokenizer.model_input_names and has_types(config, ENDS))

    return _tokenised(asked, ENDS, "answers with words, and this task marks an answer in a text", kind)


def twins(asked: Asked) -> Entrance:
    from luthier.modalities.twins import Twins

    why = "answers with words, and this network with a vector of each text"
    return _tokenised(asked, TWIN, why, lambda config, tokenizer: Twins)


def _tokenised(
    asked: Asked, head: str, why: str, kind: Callable[[Any, PreTrainedTokenizerBase], Callable[..., Modality]]
) -> Entrance:
    """The entrance of rows that are not one text.

    Args:
        asked: of which model.
        head: which head it gets.
        why: what to say of a method that answers with words.
        kind: of the model's configuration and tokenizer, what makes the modality of the tokenizer, a limit, and the positions that
            are left.

    Raises:
        RecipeError: a method answers with words, or nothing is left for the rows.
    """
    answering = [method.name for method in asked.methods if method.words]
    if answering:
        raise RecipeError(f"method {answering[0]} {why}.")
    config, tokenizer = architecture(asked.base, head), open_tokenizer(asked.base)
    room = left(asked.methods, None if asked.saved else positions(config))
    return Entrance(
        Context(tokenizer, asked.labels, head), kind(config, tokenizer)(tokenizer, whole(asked.limit), room)
    )
