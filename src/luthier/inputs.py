"""What a model reads: the modality for a kind of data, once methods have taken their share of its input."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from transformers import PreTrainedTokenizerBase

from luthier.errors import ModelError, RecipeError
from luthier.methods import Context, Method
from luthier.modalities import Modality
from luthier.modalities.text import Text
from luthier.models.find import Base
from luthier.models.heads import CAUSAL, TWIN, TYPES, WORDS, has_types
from luthier.models.open import architecture, open_processor, open_tokenizer, positions

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


def entrance(medium: str, asked: Asked) -> Entrance:
    """Open what makes a model's input of raw rows.

    Args:
        medium: what rows are, a key of `ENTRANCES`.
        asked: of which model, for what.

    Raises:
        ModelError: the model does not read such rows.
        RecipeError: nothing is left for the text, or the limit does not fit.
    """
    return ENTRANCES[medium](asked)


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
    return Text(tokenizer, max_length, _left(methods, positions), next(filter(None, templates), None))


def _left(methods: Sequence[Method], positions: int | None) -> int | None:
    """Positions that methods leave for the text."""
    taken = {method.name: method.tokens for method in methods if method.tokens}
    left = None if positions is None else positions - sum(taken.values())
    if left is not None and left < SHORTEST:
        said = " and ".join(f"{name} takes {tokens}" for name, tokens in taken.items())
        raise RecipeError(f"method {said} of the {positions} positions of this model, which leaves none for the text.")
    return left


def _text(asked: Asked) -> Entrance:
    head = WORDS if any(method.words for method in asked.methods) else "text"
    readable = None if asked.saved else positions(architecture(asked.base, head))
    tokenizer = open_tokenizer(asked.base)
    context = Context(tokenizer, asked.labels, head)
    return Entrance(context, text_of(tokenizer, context, asked.methods, _whole(asked.limit), readable))


def _tokens(asked: Asked) -> Entrance:
    from luthier.modalities.tokens import Tokens

    why = "answers once for a whole text, and this task tags each of its tokens"
    return _tokenised(asked, "tokens", why, lambda config, tokenizer: Tokens)


def _pair(asked: Asked) -> Entrance:
    from luthier.modalities.pair import Pair

    def kind(config: Any, tokenizer: PreTrainedTokenizerBase) -> Callable[..., Modality]:
        return partial(Pair, typed=TYPES in tokenizer.model_input_names and has_types(config, "text"))

    return _tokenised(asked, "text", "writes its words around one text, and these rows are pairs of texts", kind)


def _twins(asked: Asked) -> Entrance:
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
    left = _left(asked.methods, None if asked.saved else positions(config))
    return Entrance(
        Context(tokenizer, asked.labels, head), kind(config, tokenizer)(tokenizer, _whole(asked.limit), left)
    )


def _prompt(asked: Asked) -> Entrance:
    from luthier.modalities.dialogue import PLAIN

    return _written(asked, PLAIN)


def _dialogue(asked: Asked) -> Entrance:
    return _written(asked, None)


def _written(asked: Asked, plain: str | None) -> Entrance:
    """How prompts and conversations are read by a model that writes.

    Args:
        asked: of which model; its wording goes before the tokenizer's own chat template.
        plain: wording where there is neither; None where rows cannot do without.

    Raises:
        ModelError: it is no language model, or its tokenizer has no end of sequence or lacks a chat template.
        RecipeError: a method is made for other tasks.
    """
    from luthier.modalities.dialogue import Dialogue, chat_template

    _refuse_calls(asked.methods)
    window = positions(architecture(asked.base, CAUSAL))
    tokenizer = open_tokenizer(asked.base)
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"The tokenizer of {asked.base.name} has no end of sequence, which the model writes when an answer is complete. Add one with "
            "tokenizer.add_special_tokens({'eos_token': '</s>'}), save it, and use that folder as model."
        )
    wording = asked.wording or (None if tokenizer.chat_template else plain)
    if wording is not None and not asked.saved:
        tokenizer.chat_template = chat_template(tokenizer, wording)
    if not tokenizer.chat_template:
        raise ModelError(
            f"The rows are conversations, and the tokenizer of {asked.base.name} has no chat template to write them with. Take a model "
            "that was tuned to chat (often called Instruct), or say how turns are written: task: {name: generate, template: "
            '"User: {prompt}\nAssistant: "}.'
        )
    modality = Dialogue(tokenizer, _whole(asked.limit), window, asked.base.name)
    return Entrance(Context(tokenizer, asked.labels, CAUSAL), modality)


def _refuse_calls(methods: Sequence[Method]) -> None:
    """Refuse methods that do something to each call of the network: a text is written one call a token."""
    for method in methods:
        if method.words:
            raise RecipeError(f"method {method.name} answers with one of the labels' words, and task generate writes.")
        if method.tokens:
            raise RecipeError(
                f"method {method.name} puts its tokens before the input of every call, and a text is written one call a token. Use lora or "
                "another method."
            )


def _image(asked: Asked) -> Entrance:
    from luthier.modalities.image import Image

    context = _perceiving(asked, "image")
    return Entrance(context, Image(open_processor(asked.base, "image"), _whole(asked.limit)))


def _audio(asked: Asked) -> Entrance:
    from luthier.modalities.audio import Audio

    context = _perceiving(asked, "audio")
    modality = Audio(open_processor(asked.base, "audio"), asked.limit)
    return Entrance(replace(context, positions=modality.positions), modality)


ROWS = {"image": "images", "audio": "recordings"}


def _perceiving(asked: Asked, medium: str) -> Context:
    """The context of a network that reads no text.

    Raises:
        ModelError: the network does not read such rows.
        RecipeError: a method writes text around the input.
    """
    speaking = [method.name for method in asked.methods if method.tokens or method.words]
    if speaking:
        raise RecipeError(f"method {speaking[0]} puts tokens beside a text, and these rows are {ROWS[medium]}.")
    architecture(asked.base, medium)
    return Context(None, asked.labels, medium)


def _whole(limit: float | None) -> int | None:
    """A limit in tokens or pixels.

    Raises:
        RecipeError: it is no whole number.
    """
    if limit is not None and (limit != int(limit) or limit < SHORTEST):
        raise RecipeError(f"data.max_length must be a whole number from {SHORTEST} here; got {limit:g}.")
    return None if limit is None else int(limit)


ENTRANCES: Mapping[str, Callable[[Asked], Entrance]] = {
    "text": _text,
    "tokens": _tokens,
    "pair": _pair,
    "twins": _twins,
    "prompt": _prompt,
    "instruction": _prompt,
    "dialogue": _dialogue,
    "image": _image,
    "audio": _audio,
}
