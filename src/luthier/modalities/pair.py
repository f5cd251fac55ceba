"""Two texts that a network reads together, as the tokenizer of the model puts them into one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from luthier.modalities import Encoded
from luthier.modalities.tokenised import TypedTexts
from luthier.models.heads import TYPES


class Pair(TypedTexts):
    """Rows of two texts as token ids: those of `tokenizer(first, second)`, cut from the longer text first."""

    @property
    def settings(self) -> str:
        """Whether texts are told apart."""
        return f"pair|{self.typed}"

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
