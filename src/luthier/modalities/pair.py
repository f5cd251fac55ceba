"""Two texts that a network reads together, as the tokenizer of the model puts them into one row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.errors import DataError
from luthier.modalities import Encoded, Modality
from luthier.modalities.text import Text
from luthier.models.heads import TYPES


class Pair(Modality):
    """Rows of two texts as token ids: those of `tokenizer(first, second)`, cut from the longer text first.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest row, both texts and special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.
        typed: whether the network is told which text a token belongs to, as BERT is and RoBERTa is not.
    """

    unit = "tokens"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
        positions: int | None = None,
        typed: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.typed = typed
        self._text = Text(tokenizer, max_length, positions)

    @property
    def limit(self) -> int:
        """Tokens of the longest row that is kept whole."""
        return self._text.limit

    @property
    def fingerprint(self) -> str:
        """Hash of what decides on the ids of a text, and of whether texts are told apart."""
        return hashlib.sha256(f"pair|{self.typed}|{self._text.fingerprint}".encode()).hexdigest()

    def given(self, value: Any) -> tuple[str, str]:
        """A tuple or list of two texts.

        Raises:
            DataError: it is something else.
        """
        return pair_given(value)

    def rows(self, given: Any) -> list[Any]:
        """Two texts are one row, and a list of pairs many."""
        return [given] if two_texts(given) else super().rows(given)

    def encode(self, values: Sequence[tuple[str, str]]) -> Encoded:
        """Token ids of each row, cut to `limit`; rows that were cut are tokenised again to count what they lost."""
        cut = self._tokenise(values, truncation=True)
        lengths = [len(row) for row in cut["input_ids"]]
        full = list(lengths)
        suspects = [index for index, length in enumerate(lengths) if length >= self.limit]
        whole = self._tokenise([values[index] for index in suspects], truncation=False)
        for index, row in zip(suspects, whole["input_ids"], strict=True):
            full[index] = len(row)
        return Encoded(cut, lengths, full)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, and `token_type_ids` where the network reads them, (rows, tokens) int64."""
        batch = self._text.collate(columns)
        if self.typed:
            mask = batch["attention_mask"].bool()
            types = torch.full_like(batch["input_ids"], self.tokenizer.pad_token_type_id)
            types[mask] = torch.from_numpy(np.concatenate([np.asarray(row, dtype=np.int64) for row in columns[TYPES]]))
            batch[TYPES] = types
        return batch

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of tokens that stand for what is not in the vocabulary."""
        return self._text.unknown(columns)

    def save(self, folder: str) -> None:
        """Write the tokenizer's files; with `truncation=True` it cuts where `encode` does."""
        self._text.save(folder)

    def _tokenise(self, values: Sequence[tuple[str, str]], truncation: bool) -> dict[str, list[list[int]]]:
        names = ["input_ids", *([TYPES] if self.typed else [])]
        if not values:
            return {name: [] for name in names}
        encoded = self.tokenizer(
            *(list(texts) for texts in zip(*values, strict=True)),
            truncation="longest_first" if truncation else False,
            max_length=self.limit if truncation else None,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=self.typed,
            verbose=False,
        )
        # a model needs a token to look at; not all tokenizers add one of their own
        nothing = {"input_ids": [self.tokenizer.pad_token_id], TYPES: [self.tokenizer.pad_token_type_id]}
        return {name: [list(row) or nothing[name] for row in encoded[name]] for name in names}


def pair_given(value: Any) -> tuple[str, str]:
    """A row that a person gives.

    Raises:
        DataError: it is no tuple or list of two texts.
    """
    if not two_texts(value):
        told = f"{len(value)} of them" if isinstance(value, list | tuple) else type(value).__name__
        raise DataError(f"A model of pairs predicts two texts together, as in (first, second); got {told}.")
    return value[0], value[1]


def two_texts(value: Any) -> bool:
    """Whether a value is a row: a tuple or list of two texts."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(text, str) for text in value)
