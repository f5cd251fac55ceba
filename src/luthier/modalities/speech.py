"""Sound for an encoder, and what is said in it for a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from transformers import PreTrainedTokenizerBase

from luthier.modalities.audio import Audio
from luthier.modalities.perceived import Perceived


class Speech(Perceived):
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
    kind: ClassVar[str] = "speech"

    def __init__(
        self,
        audio: Audio,
        tokenizer: PreTrainedTokenizerBase,
        positions: int | None,
        start: int | None,
        spoken: Mapping[str, str],
    ) -> None:
        super().__init__(audio, tokenizer, positions, start, spoken)
        self.audio = audio
