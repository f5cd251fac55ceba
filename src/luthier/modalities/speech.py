"""Sound for an encoder, and what is said in it for a decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.modalities import Encoded, Writing
from luthier.modalities.answers import Answers, greedy
from luthier.modalities.audio import Audio
from luthier.modalities.text import Text
from luthier.models.quiet import quiet
from luthier.objectives.next_token import LABELS


class Speech(Writing):
    """Rows of a recording and what is said in it; a length counts positions of the recording.

    Args:
        audio: how recordings are read.
        tokenizer: of what is said, with an end of sequence and a padding token.
        positions: tokens that the decoder can read, where it has a limit.
        start: id with which the decoder begins.
        spoken: arguments of the network's `generate` that say the language.
    """

    unit = Audio.unit
    together = Audio.together

    def __init__(
        self,
        audio: Audio,
        tokenizer: PreTrainedTokenizerBase,
        positions: int | None,
        start: int | None,
        spoken: Mapping[str, str],
    ) -> None:
        self.audio, self.tokenizer, self._spoken = audio, tokenizer, spoken
        self._text = Text(tokenizer, None, positions)
        self._answers = Answers(tokenizer, self._text.limit, start)

    @property
    def limit(self) -> float:
        """Seconds of the longest recording that is kept whole."""
        return self.audio.limit

    @property
    def fingerprint(self) -> str:
        """Hash of what decides on either."""
        parts = self.audio.fingerprint, self._text.fingerprint, self._answers.start, sorted(self._spoken.items())
        return hashlib.sha256(repr(("speech", parts)).encode()).hexdigest()

    def given(self, value: Any) -> Any:
        """See `Audio.given`."""
        return self.audio.given(value)

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Features of each recording and, where rows are tuples of both, the labels of what is said.

        Words that the decoder has no room for are cut, and their row counts as cut by a position each.
        """
        if not all(isinstance(value, tuple) for value in values):
            return self.audio.encode(values)
        heard = self.audio.encode([sound for sound, _ in values])
        said = self._answers.encode([str(text).strip() for _, text in values])
        lost = [full - kept for full, kept in zip(said.full_lengths, said.lengths, strict=True)]
        full_lengths = [length + more for length, more in zip(heard.full_lengths, lost, strict=True)]
        return Encoded({**heard.columns, **said.columns}, heard.lengths, full_lengths)

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """What `Audio.collate` and `Answers.collate` give."""
        sounds = self.audio.collate(columns)
        return sounds | self._answers.collate({LABELS: columns.get(LABELS, [()] * len(next(iter(columns.values()))))})

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """In seconds."""
        return self.audio.sizes(lengths)

    def spectrogram(self, row: Mapping[str, Any]) -> np.ndarray:
        """See `Modality.spectrogram`."""
        return self.audio.spectrogram(row)

    def save(self, folder: str) -> None:
        """Write what a plain pipeline reads: the extractor's and the tokenizer's files."""
        self.audio.save(folder)
        self._text.save(folder)

    def write(self, network: Any, batch: Mapping[str, torch.Tensor], tokens: int) -> list[str]:
        """The text of each row, up to the end of sequence."""
        inputs = {name: value for name, value in batch.items() if name in self.audio.extractor.model_input_names}
        room = self._text.limit - len(self.tokenizer(text_target="")["input_ids"])
        settings = greedy(network, self.tokenizer, min(tokens, room))
        with quiet(), torch.inference_mode():
            made = network.generate(**inputs, generation_config=settings, **self._spoken)
        return self._answers.decode(made)
