"""What modalities made of texts have in common: the limit, the vocabulary and the files are those of `Text`."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from luthier.errors import DataError
from luthier.modalities import Modality
from luthier.modalities.text import Text


class Tokenised(Modality):
    """Rows of something that a tokenizer reads.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest row, special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.
    """

    unit = "tokens"

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None, positions: int | None = None
    ) -> None:
        self.tokenizer = tokenizer
        self._text = Text(tokenizer, max_length, positions)

    @property
    @abstractmethod
    def settings(self) -> str:
        """What decides on the encoding beside the tokenizer and the limit."""

    @property
    def limit(self) -> int:
        """Tokens of the longest row that is kept whole."""
        return self._text.limit

    @property
    def fingerprint(self) -> str:
        """Hash of what decides on the ids of a text, and of the `settings`."""
        return hashlib.sha256(f"{self.settings}|{self._text.fingerprint}".encode()).hexdigest()

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of tokens that stand for what is not in the vocabulary."""
        return self._text.unknown(columns)

    def save(self, folder: str) -> None:
        """Write the tokenizer's files; with `truncation=True` it cuts where `encode` does."""
        self._text.save(folder)


class TwoTexts(Tokenised):
    """Rows of two texts each."""

    def given(self, value: Any) -> tuple[str, str]:
        """A tuple or list of two texts.

        Raises:
            DataError: it is something else.
        """
        if not _are_two(value):
            told = f"{len(value)} of them" if isinstance(value, list | tuple) else type(value).__name__
            raise DataError(f"A model of pairs predicts two texts together, as in (first, second); got {told}.")
        return value[0], value[1]

    def rows(self, given: Any) -> list[Any]:
        """Two texts are one row, and a list of pairs many."""
        return [given] if _are_two(given) else super().rows(given)


class TypedTexts(TwoTexts):
    """Two texts that one network reads together.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest sequence, both texts and special tokens included; None for what the model can read, at most
            512.
        positions: rows of the model's position table, where it has one.
        typed: whether the network is told which text a token belongs to, as BERT is and RoBERTa is not.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
        positions: int | None = None,
        typed: bool = False,
    ) -> None:
        super().__init__(tokenizer, max_length, positions)
        self.typed = typed


def _are_two(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(one, str) for one in value)
