"""Something that is seen or heard for an encoder, and what is written of it for a decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.modalities import Encoded, Modality, Writing
from luthier.modalities.answers import Answers, greedy
from luthier.modalities.text import Text
from luthier.models.quiet import quiet
from luthier.objectives import inputs_of
from luthier.objectives.next_token import LABELS


class Perceived(Writing):
    """Rows of what is perceived and what is written of it; a length counts positions of what is perceived.

    Args:
        perceived: how that is read.
        tokenizer: of what is written, with an end of sequence and a padding token.
        positions: tokens that the decoder can read, where it has a limit.
        start: id with which the decoder begins.
        options: arguments of the network's `generate`.
        max_length: tokens of the longest that is written; None for what the decoder can read, at most 512.
    """

    kind: ClassVar[str]
    """Begins what the fingerprint is made of."""

    def __init__(
        self,
        perceived: Modality,
        tokenizer: PreTrainedTokenizerBase,
        positions: int | None,
        start: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
        max_length: int | None = None,
    ) -> None:
        self.perceived, self.tokenizer, self._options = perceived, tokenizer, options
        self._text = Text(tokenizer, max_length, positions)
        self._answers = Answers(tokenizer, self._text.limit, start)

    @property
    def limit(self) -> float:
        """The largest of what is perceived that is kept whole."""
        return self.perceived.limit

    @property
    def fingerprint(self) -> str:
        """Hash of what decides on either."""
        options = sorted(self._options.items())
        parts = self.perceived.fingerprint, self._text.fingerprint, self._answers.start, options
        return hashlib.sha256(repr((self.kind, parts)).encode()).hexdigest()

    def given(self, value: Any) -> Any:
        """As it takes rows whose modality this is."""
        return self.perceived.given(value)

    def encode(self, values: Sequence[Any]) -> Encoded:
        """What is perceived of each row and, where rows are tuples of both, the labels of what is written.

        Words that the decoder has no room for are cut, and their row counts as cut by a position each.
        """
        if not all(isinstance(value, tuple) for value in values):
            return self.perceived.encode(values)
        seen = self.perceived.encode([one for one, _ in values])
        said = self._answers.encode([str(text).strip() for _, text in values])
        lost = [full - kept for full, kept in zip(said.full_lengths, said.lengths, strict=True)]
        full_lengths = [length + more for length, more in zip(seen.full_lengths, lost, strict=True)]
        return Encoded({**seen.columns, **said.columns}, seen.lengths, full_lengths)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """What the modality of what is perceived and `Answers.collate` give."""
        seen = self.perceived.collate(columns)
        return seen | self._answers.collate({LABELS: columns.get(LABELS, [()] * len(next(iter(columns.values()))))})

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """In the unit of what is perceived."""
        return self.perceived.sizes(lengths)

    def spectrogram(self, row: Mapping[str, Any]) -> np.ndarray:
        """See `Modality.spectrogram`."""
        return self.perceived.spectrogram(row)

    def save(self, folder: str) -> None:
        """Write what a plain pipeline reads: the files of what is perceived, and the tokenizer's."""
        self.perceived.save(folder)
        self._text.save(folder)

    def write(self, network: Any, batch: Mapping[str, torch.Tensor], tokens: int) -> list[str]:
        """The text of each row, up to the end of sequence."""
        inputs = {name: value for name, value in inputs_of(batch).items() if name != LABELS}
        room = self._text.limit - len(self.tokenizer(text_target="")["input_ids"])
        settings = greedy(network, self.tokenizer, min(tokens, room))
        with quiet(), torch.inference_mode():
            made = network.generate(**inputs, generation_config=settings, **self._options)
        return self._answers.decode(made)
