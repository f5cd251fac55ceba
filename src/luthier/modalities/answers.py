"""Answers that a decoder writes behind an encoder: labels, what ends them, and greedy writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from transformers import GenerationConfig, PreTrainedTokenizerBase

from luthier.data.batches import IGNORED, padded
from luthier.modalities import Encoded
from luthier.objectives.next_token import LABELS

GREEDY: Mapping[str, Any] = {
    "do_sample": False,
    "num_beams": 1,
    "max_length": None,
    "min_length": 0,
    "length_penalty": 1.0,
    "early_stopping": False,
    "no_repeat_ngram_size": 0,
    "repetition_penalty": 1.0,
}
"""In place of what a checkpoint says of searching, which was found for the texts that it was trained on."""


class Answers:
    """Texts as labels: each ends with the end of sequence and has no token that the decoder begins with.

    Args:
        tokenizer: with an end of sequence and a padding token.
        limit: tokens of the longest answer, its end included.
        start: id with which the decoder begins.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limit: int, start: int | None) -> None:
        self.tokenizer, self.limit, self.start = tokenizer, limit, start

    def encode(self, texts: Sequence[str]) -> Encoded:
        """`labels` of each text, int64; none of an empty one.

        What is cut keeps the end of sequence, and what the tokenizer writes behind it.
        """
        rows = [self._labels(ids) if text else [] for text, ids in zip(texts, self._ids(texts), strict=True)]
        cut = list(map(self._cut, rows))
        arrays = [np.asarray(row, dtype=np.int64) for row in cut]
        return Encoded({LABELS: arrays}, list(map(len, cut)), list(map(len, rows)))

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`labels`, (rows, tokens) int64, and `target_tokens`, (rows, 1 + tokens): the same behind where the decoder begins."""
        ragged = np.empty(len(columns[LABELS]), dtype=object)
        for number, row in enumerate(columns[LABELS]):
            ragged[number] = np.asarray(
                row if len(row) else [IGNORED], dtype=np.int64
            )  # a decoder reads one token at least
        labels = torch.from_numpy(padded(ragged))
        return {LABELS: labels, "target_tokens": F.pad(labels, (1, 0), value=IGNORED)}

    def decode(self, made: torch.Tensor) -> list[str]:
        """Texts of written ids, (rows, tokens)."""
        return [text.strip() for text in self.tokenizer.batch_decode(made, skip_special_tokens=True)]

    @property
    def _end(self) -> int:
        end = self.tokenizer.eos_token_id
        assert isinstance(end, int), "refused where the tokenizer is opened"
        return end

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(text_target=list(texts), verbose=False)["input_ids"]
        return ids

    def _cut(self, row: list[int]) -> list[int]:
        if len(row) <= self.limit:
            return row
        end = row[row.index(self._end) :]
        return [*row[: self.limit - len(end)], *end]

    def _labels(self, ids: list[int]) -> list[int]:
        labels = ids[1:] if ids[:1] == [self.start] else ids
        return labels if self._end in labels else [*labels, self._end]


def greedy(network: Any, tokenizer: PreTrainedTokenizerBase, tokens: int) -> GenerationConfig:
    """The network's own settings of what begins and ends a text and what may stand in it, with a greedy search.

    Args:
        network: with a decoder.
        tokenizer: whose end of sequence ends a text too.
        tokens: to be written at most.
    """
    own = network.generation_config
    ends = {tokenizer.eos_token_id, *(own.eos_token_id if isinstance(own.eos_token_id, list) else [own.eos_token_id])}
    given = {"max_new_tokens": tokens, "eos_token_id": sorted(ends - {None}), "pad_token_id": tokenizer.pad_token_id}
    return GenerationConfig.from_dict(own.to_dict() | GREEDY | given)
