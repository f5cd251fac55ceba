"""What is written around each text: words, the gap that is to be filled, and soft tokens, which no vocabulary has.

A pattern such as `{text} It was {mask}.` or `{soft:20} {text} {soft:It was} {mask}` becomes, with a tokenizer, the ids before
and after each text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from luthier.errors import RecipeError
from luthier.modalities import FIRST_VIRTUAL

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


TEXT, MASK, SOFT, WORDS = "text", "mask", "soft", "words"
PARTS = re.compile(r"\{(\w*)(?::([^{}]*))?\}|([^{}]+)|([{}])")
NEIGHBOUR = "a"
"""Stands for whatever is before a part when it is tokenised: words inside a row do not begin as the first of a row does."""


@dataclass(frozen=True)
class Template:
    """Token ids around each text; what the tokenizer itself writes around a text goes around both."""

    before: tuple[int, ...]
    after: tuple[int, ...]
    spaced: bool = False
    """Whether the text is tokenised with a space before it."""
    closed: bool = True
    """Whether what the tokenizer writes behind a text is written; not where the next word is to be predicted."""


@dataclass(frozen=True)
class Part:
    """A piece of a pattern: words that stand there, or one of {text}, {mask}, {soft}, {soft:5} and {soft:some words}."""

    kind: str
    content: str = ""


@dataclass(frozen=True)
class Pattern:
    """A template before it meets a tokenizer."""

    parts: tuple[Part, ...]

    @property
    def answer_behind(self) -> bool:
        """Whether the gap is behind the text; without a gap the answer is what follows."""
        kinds = [part.kind for part in self.parts]
        return MASK not in kinds or kinds.index(MASK) > kinds.index(TEXT)

    def template(self, tokenizer: PreTrainedTokenizerBase) -> Template:
        """Token ids for one tokenizer.

        Raises:
            RecipeError: the gap is missing, or there is no token for it and it is not at the end.
        """
        self._check_gap(tokenizer)
        rows: dict[bool, list[int]] = {False: [], True: []}
        behind, soft = False, FIRST_VIRTUAL
        for index, part in enumerate(self.parts):
            behind = behind or part.kind == TEXT
            ids = self._ids(tokenizer, index)
            rows[behind] += [soft + offset for offset in range(len(ids))] if part.kind == SOFT else ids
            soft += len(ids) if part.kind == SOFT else 0
        text = [part.kind for part in self.parts].index(TEXT)
        return Template(
            before=tuple(rows[False]),
            after=tuple(rows[True]),
            spaced=self._after_space(text) and _knows_spaces(tokenizer),
            closed=tokenizer.mask_token_id is not None,
        )

    def starts(self, tokenizer: PreTrainedTokenizerBase) -> tuple[int | None, ...]:
        """For each soft token the id of the word that it starts as, or None where the pattern does not say."""
        soft = [index for index, part in enumerate(self.parts) if part.kind == SOFT]
        return tuple(
            one if _is_text(self.parts[index]) else None for index in soft for one in self._ids(tokenizer, index)
        )

    def word(self, tokenizer: PreTrainedTokenizerBase, word: str) -> list[int]:
        """Ids of a word that stands in the gap."""
        kinds = [part.kind for part in self.parts]
        gap = kinds.index(MASK) if MASK in kinds else len(self.parts)
        if gap == 0:
            return _tokenise(tokenizer, word)
        before = self.parts[gap - 1]
        spaced = self._after_space(gap) or MASK not in kinds
        around = before.content.strip() if before.kind == WORDS else ""
        return _continue(tokenizer, f" {word}" if spaced else word, around or NEIGHBOUR, NEIGHBOUR)

    def _ids(self, tokenizer: PreTrainedTokenizerBase, index: int) -> list[int]:
        part = self.parts[index]
        if part.kind == MASK:
            return [] if tokenizer.mask_token_id is None else [tokenizer.mask_token_id]
        if part.kind == SOFT and not _is_text(part):
            return [0] * int(part.content or 1)
        # a space that ends the words belongs to what follows
        words = part.content.rstrip()
        if not words or not index:
            return _tokenise(tokenizer, words)
        return _continue(tokenizer, f" {words}" if self._after_space(index) else words, NEIGHBOUR)

    def _after_space(self, index: int) -> bool:
        before = self.parts[index - 1] if index else Part(WORDS)
        return before.kind == WORDS and before.content[-1:].isspace()

    def _check_gap(self, tokenizer: PreTrainedTokenizerBase) -> None:
        kinds = [part.kind for part in self.parts]
        masked = tokenizer.mask_token_id is not None
        if masked and MASK not in kinds:
            raise RecipeError(
                "method cloze: the template has no {mask}, the place of the word that this model is to predict."
            )
        if not masked and MASK in kinds and any(part.content.strip() for part in self._behind_gap()):
            raise RecipeError(
                "method cloze: this tokenizer has no mask token, so the word to predict is the one that follows: {mask} must stand "
                "last in the template, or be left out."
            )

    def _behind_gap(self) -> Iterator[Part]:
        kinds = [part.kind for part in self.parts]
        for part in self.parts[kinds.index(MASK) + 1 :]:
            yield part if part.kind == WORDS else Part(WORDS, part.kind)


def parse(pattern: str) -> Pattern:
    """Cut a template into its parts.

    Raises:
        ValueError: {text} is not there once, {mask} is there twice, or there is something else in braces; says what is expected.
    """
    parts = tuple(_part(*found.groups()) for found in PARTS.finditer(pattern))
    kinds = [part.kind for part in parts]
    if kinds.count(TEXT) != 1:
        raise ValueError("{text} once, where each row's text stands")
    if kinds.count(MASK) > 1:
        raise ValueError("{mask} once, where the answer stands")
    return Pattern(parts)


def surroundings(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """Ids that the tokenizer itself writes before and behind a text, such as [CLS] and [SEP]."""
    encoded = tokenizer(NEIGHBOUR, return_special_tokens_mask=True, verbose=False)
    ids, own = encoded["input_ids"], encoded["special_tokens_mask"]
    return ids[: own.index(0)], ids[len(own) - own[::-1].index(0) :]


def _part(name: str | None, content: str | None, words: str | None, brace: str | None) -> Part:
    if words is not None:
        return Part(WORDS, words)
    if brace is not None or name not in (TEXT, MASK, SOFT) or (content is not None and name != SOFT):
        raise ValueError("only {text}, {mask}, {soft}, {soft:5} and {soft:some words} in braces")
    if content is not None and not content.strip(" 0"):
        raise ValueError("a number or words in {soft:...}")
    return Part(name, content or "")


def _is_text(part: Part) -> bool:
    return part.content != "" and not part.content.isdecimal()


def _continue(tokenizer: PreTrainedTokenizerBase, words: str, *before: str) -> list[int]:
    """Ids of words that follow the first of some others that the tokenizer does not melt them with; else as they are alone."""
    for one in before:
        start, whole = _tokenise(tokenizer, one), _tokenise(tokenizer, one + words)
        if whole[: len(start)] == start:
            return whole[len(start) :]
    return _tokenise(tokenizer, words)


def _knows_spaces(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a text with a space before it becomes what it is inside a row; SentencePiece writes that space by itself."""
    alone = _tokenise(tokenizer, f" {NEIGHBOUR}")
    return _tokenise(tokenizer, f"b {NEIGHBOUR}")[-len(alone) :] == alone


def _tokenise(tokenizer: PreTrainedTokenizerBase, words: str) -> list[int]:
    ids: list[int] = tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"] if words else []
    return ids
