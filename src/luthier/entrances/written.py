"""Rows that a model answers in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from luthier.entrances import Asked, Entrance, whole
from luthier.errors import ModelError, RecipeError
from luthier.methods import Context, Method
from luthier.modalities import Modality
from luthier.models.find import Base
from luthier.models.heads import CAUSAL, answers_apart
from luthier.models.open import architecture, open_tokenizer, positions


def prompt(asked: Asked) -> Entrance:
    from luthier.modalities.dialogue import PLAIN

    return _written(asked, PLAIN)


def dialogue(asked: Asked) -> Entrance:
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
    _refuse_calls(asked.methods)
    config, tokenizer = architecture(asked.base, CAUSAL), ending(open_tokenizer(asked.base), asked.base)
    modality = _apart(asked, config, tokenizer) if answers_apart(config) else _behind(asked, config, tokenizer, plain)
    return Entrance(Context(tokenizer, asked.labels, CAUSAL), modality)


def ending(tokenizer: PreTrainedTokenizerBase, base: Base) -> PreTrainedTokenizerBase:
    """A tokenizer that knows how a text ends.

    Raises:
        ModelError: it does not.
    """
    if tokenizer.eos_token_id is None:
        raise ModelError(
            f"The tokenizer of {base.name} has no end of sequence, which the model writes when an answer is complete. Add one with "
            "tokenizer.add_special_tokens({'eos_token': '</s>'}), save it, and use that folder as model."
        )
    return tokenizer


def _apart(asked: Asked, config: Any, tokenizer: PreTrainedTokenizerBase) -> Modality:
    """Prompts for an encoder, and answers for a decoder."""
    from luthier.modalities.languages import set_languages
    from luthier.modalities.seq2seq import Seq2Seq

    language = set_languages(tokenizer, asked.languages, asked.base.name)
    start, window = config.decoder_start_token_id, positions(config)
    return Seq2Seq(tokenizer, whole(asked.limit), window, start, asked.wording, language)


def _behind(asked: Asked, config: Any, tokenizer: PreTrainedTokenizerBase, plain: str | None) -> Modality:
    """Answers behind their prompts, for a decoder alone."""
    from luthier.modalities.dialogue import Dialogue, chat_template
    from luthier.modalities.languages import set_languages

    set_languages(tokenizer, asked.languages, asked.base.name)
    wording = asked.wording or (None if tokenizer.chat_template else plain)
    if wording is not None and not asked.saved:
        tokenizer.chat_template = chat_template(tokenizer, wording)
    if not tokenizer.chat_template:
        raise ModelError(
            f"The rows are conversations, and the tokenizer of {asked.base.name} has no chat template to write them with. Take a model "
            "that was tuned to chat (often called Instruct), or say how turns are written: task: {name: generate, template: "
            '"User: {prompt}\nAssistant: "}.'
        )
    return Dialogue(tokenizer, whole(asked.limit), positions(config), asked.base.name)


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
