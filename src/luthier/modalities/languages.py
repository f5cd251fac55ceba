"""Telling a tokenizer of several languages which of them prompts and answers are in: mBART, M2M100, NLLB and their kin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase, WhisperTokenizer
from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

from luthier.errors import RecipeError

SETTINGS: Mapping[str, str] = {"source_language": "src_lang", "target_language": "tgt_lang"}
"""Keys of the task, and what transformers calls them on a tokenizer."""


@dataclass(frozen=True)
class Language:
    """How a network is told the language that it is to write."""

    token: int
    begins: bool
    """Whether the decoder starts from the token (mBART-25); else the token is the first that it writes (mBART-50, M2M100, NLLB)."""

    @property
    def settings(self) -> dict[str, int]:
        """What `generate` has to be given."""
        return {"decoder_start_token_id" if self.begins else "forced_bos_token_id": self.token}


def set_languages(tokenizer: PreTrainedTokenizerBase, asked: Mapping[str, str], where: str) -> Language | None:
    """Set the languages of a tokenizer, in place; returns that of the answers, or None where it knows none.

    Args:
        tokenizer: of the model.
        asked: by the keys of `SETTINGS`.
        where: which model it is, for messages.

    Raises:
        RecipeError: it knows no languages, not these, or has to be told and is not.
    """
    several = getattr(tokenizer, SETTINGS["source_language"], None) is not None
    if not several:
        if asked:
            raise RecipeError(f"task.{next(iter(asked))}: the tokenizer of {where} knows no languages. Leave it out.")
        return None
    vocabulary = tokenizer.get_vocab()
    for key, name in SETTINGS.items():
        if key not in asked:
            raise RecipeError(f"The tokenizer of {where} knows several languages: say task.{key}, such as {EXAMPLE}.")
        if not {asked[key], f"__{asked[key]}__"} & vocabulary.keys():
            raise RecipeError(
                f"task.{key}: the tokenizer of {where} knows no language {asked[key]!r}; codes are such as {EXAMPLE}."
            )
        setattr(tokenizer, name, asked[key])
        tokenizer.init_kwargs[name] = asked[key]  # what is saved opens with the same languages
    ids = tokenizer(text_target="")["input_ids"]
    begins = ids[0] == tokenizer.eos_token_id
    return Language(ids[-1] if begins else ids[0], begins)


def spoken(tokenizer: PreTrainedTokenizerBase, asked: Mapping[str, str], where: str) -> dict[str, str]:
    """Set what a recogniser of several languages is to hear and write, in place; returns what `generate` has to be told.

    Args:
        tokenizer: of the model.
        asked: `language`, or nothing.
        where: which model it is, for messages.

    Raises:
        RecipeError: it knows no languages, or not this one.
    """
    if "language" not in asked:
        return {}
    name = asked["language"].lower()
    code = TO_LANGUAGE_CODE.get(name, name)
    vocabulary = tokenizer.get_vocab()
    if not isinstance(tokenizer, WhisperTokenizer) or HEARD not in vocabulary:
        raise RecipeError(f"task.language: {where} knows one language. Leave it out.")
    if f"<|{code}|>" not in vocabulary:
        raise RecipeError(
            f"task.language: {where} knows no language {name!r}; say it in English or as its code: french, fr."
        )
    tokenizer.set_prefix_tokens(language=code, task=TASK)
    return {"language": code, "task": TASK}


TASK = "transcribe"
HEARD = "<|fr|>"
"""A token that only a Whisper of several languages has."""
EXAMPLE = "en_XX (mBART), en (M2M100) or eng_Latn (NLLB)"
