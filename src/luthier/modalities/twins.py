"""Two texts that a network reads one by one, to compare what it makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from luthier.modalities import Encoded
from luthier.modalities.tokenised import TwoTexts

FIRST, SECOND = "first_ids", "second_ids"
MODULES = (("", "sentence_transformers.models.Transformer"), ("1_Pooling", "sentence_transformers.models.Pooling"))
"""Parts of a model of the sentence-transformers library, and the folders of their settings."""


class Twins(TwoTexts):
    """Rows of two texts, each encoded as if it stood alone.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest text, special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.
    """

    @property
    def settings(self) -> str:
        """That each text stands alone; `limit` is of each."""
        return "twins"

    def encode(self, values: Sequence[tuple[str, str]]) -> Encoded:
        """Token ids of both texts, each cut to `limit`; lengths are those of both together."""
        first, second = (self._text.encode([row[place] for row in values]) for place in (0, 1))
        return Encoded(
            {FIRST: first.columns["input_ids"], SECOND: second.columns["input_ids"]},
            [one + other for one, other in zip(first.lengths, second.lengths, strict=True)],
            [one + other for one, other in zip(first.full_lengths, second.full_lengths, strict=True)],
        )

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, (rows, 2, tokens) int64."""
        rows = len(columns[FIRST])
        batch = self._text.collate({"input_ids": [*columns[FIRST], *columns[SECOND]]})
        return {name: torch.stack([value[:rows], value[rows:]], dim=1) for name, value in batch.items()}

    def unknown(self, columns: Mapping[str, Sequence[Any]]) -> float:
        """Share of tokens that stand for what is not in the vocabulary."""
        return self._text.unknown({"input_ids": [*columns[FIRST], *columns[SECOND]]})

    def save(self, folder: str) -> None:
        """Write the tokenizer's files, and beside a whole model what makes it one of the sentence-transformers library."""
        super().save(folder)
        place = Path(folder)
        if (place / "config.json").is_file() and any(place.glob("model*.safetensors")):
            for name, content in self._sentence_transformer(place).items():
                (place / name).parent.mkdir(exist_ok=True)
                (place / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def _sentence_transformer(self, folder: Path) -> dict[str, Any]:
        """Files by name: the parts, how the first one reads, and that the second one takes means."""
        from transformers import AutoConfig

        width = AutoConfig.from_pretrained(folder).get_text_config().hidden_size
        modules = [{"idx": at, "name": str(at), "path": path, "type": kind} for at, (path, kind) in enumerate(MODULES)]
        return {
            "modules.json": modules,
            "sentence_bert_config.json": {"max_seq_length": self.limit, "do_lower_case": False},
            f"{MODULES[1][0]}/config.json": {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True},
        }
