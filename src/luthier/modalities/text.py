"""Text, by a transformers tokenizer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.errors import RecipeError
from luthier.modalities import Encoded, Modality
from luthier.modalities.template import Template, surroundings

DEFAULT_LIMIT = 512
"""Longest row when neither the recipe nor the model says less; attention grows with the square of it."""

WHEREABOUTS = {
    "name_or_path",
    "is_local",
    "local_files_only",
    "vocab_file",
    "merges_file",
    "tokenizer_file",
    "model_max_length",
}
"""Settings of a transformers tokenizer that say where it came from and not what it does here (the limit is hashed by itself)."""


class Text(Modality):
    """Rows of text as token ids.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest row, special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.
        template: written around each text and never cut; counts as part of the row.

    Raises:
        RecipeError: the template leaves no room for the text.
    """

    unit = "tokens"

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
        positions: int | None = None,
        template: Template | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        readable = min(tokenizer.model_max_length, positions or tokenizer.model_max_length)
        self._limit = int(min(max_length or DEFAULT_LIMIT, readable))
        self._before, self._after = _around(tokenizer, template) if template else ((), ())
        taken = len(self._before) + len(self._after)
        if taken >= self._limit:
            raise RecipeError(
                f"The template takes {taken} tokens, and a row has {self._limit} at most: nothing of the text would be left. Shorten "
                "the template, or raise data.max_length."
            )

    @property
    def limit(self) -> int:
        """Tokens of the longest row that is kept whole."""
        return self._limit

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what decides on the ids: vocabulary, rules, special tokens, settings and the limit; not where they lie."""
        rest = {name: value for name, value in self.tokenizer.init_kwargs.items() if name not in WHEREABOUTS}
        parts = (
            type(self.tokenizer).__name__,
            _rules(self.tokenizer),
            sorted(rest.items()),
            self._settings,
            self._limit,
            *([self.template] if self.template else []),
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def encode(self, values: Sequence[str]) -> Encoded:
        """Token ids of each row, cut to `limit`; rows that were cut are tokenised again to count what they lost."""
        cut = self._tokenise(values, truncation=True)
        lengths = [len(row) for row in cut]
        full = list(lengths)
        suspects = [index for index, length in enumerate(lengths) if length >= self._limit]
        for index, row in zip(
            suspects, self._tokenise([values[index] for index in suspects], truncation=False), strict=True
        ):
            full[index] = len(row)
        return Encoded({"input_ids": cut}, lengths, full)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """Pad on the right to the longest row: `input_ids` and `attention_mask`, (rows, tokens) int64.

        On the right whatever the tokenizer says: positions then start at 0, so that no row depends on its neighbours.
        """
        rows = columns["input_ids"]
        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        mask = np.arange(lengths.max()) < lengths[:, None]
        ids = np.full(mask.shape, self.tokenizer.pad_token_id, dtype=np.int64)
        ids[mask] = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask.astype(np.int64))}

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of tokens that stand for what is not in the vocabulary; 0 where the tokenizer has no such token of its own."""
        token, special = self.tokenizer.unk_token_id, self.tokenizer.special_tokens_map
        if token is None or list(special.values()).count(str(self.tokenizer.unk_token)) > 1:
            return 0.0
        ids = np.concatenate([np.zeros(0, dtype=np.int64), *columns["input_ids"]])
        return float((ids == token).mean()) if len(ids) else 0.0

    def save(self, folder: str) -> None:
        """Write the tokenizer's files; with `truncation=True` it cuts where `encode` does."""
        self.tokenizer.model_max_length = self._limit
        self.tokenizer.save_pretrained(folder)

    def _tokenise(self, values: Sequence[str], truncation: bool) -> list[list[int]]:
        if not values:
            return []
        texts = [f" {value}" for value in values] if self.template and self.template.spaced else list(values)
        encoded = self.tokenizer(
            texts,
            add_special_tokens=self.template is None,
            truncation=truncation,
            max_length=self._limit - len(self._before) - len(self._after) if truncation else None,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        nothing = [
            self.tokenizer.pad_token_id
        ]  # a model needs a token to look at; not all tokenizers add one of their own
        return [[*self._before, *row, *self._after] or nothing for row in encoded["input_ids"]]

    @property
    def _settings(self) -> tuple[Any, ...]:
        """What may have been set after the tokenizer was opened."""
        tokens = sorted((name, str(token)) for name, token in self.tokenizer.special_tokens_map.items())
        return tokens, self.tokenizer.truncation_side


def _around(tokenizer: PreTrainedTokenizerBase, template: Template) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What stands before and behind each text: the template, and around it what the tokenizer writes."""
    first, last = surroundings(tokenizer)
    return (*first, *template.before), (*template.after, *(last if template.closed else ()))


def _rules(tokenizer: PreTrainedTokenizerBase) -> str:
    """How texts become ids, without truncation and padding, which each call sets."""
    if not tokenizer.is_fast:
        return repr(sorted(tokenizer.get_vocab().items()))
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    return json.dumps(state | {"truncation": None, "padding": None}, sort_keys=True)
