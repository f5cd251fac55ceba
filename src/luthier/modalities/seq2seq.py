"""Prompts for an encoder and answers for a decoder, as token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from transformers import PreTrainedTokenizerBase

from luthier.data.dialogues import PROMPT, Turn, answered, conversation, written
from luthier.errors import RecipeError
from luthier.modalities import Encoded
from luthier.modalities.answers import Answers, greedy
from luthier.modalities.dialogue import Turns, check_wording
from luthier.modalities.languages import Language
from luthier.models.quiet import quiet

READ = "prompt_lengths"
"""The column with the number of tokens that the encoder reads."""


class Seq2Seq(Turns):
    """Rows whose prompt an encoder reads and whose answer a decoder writes.

    Of a conversation the encoder reads what is said before the last answer, and the decoder learns that one.

    Args:
        tokenizer: with an end of sequence and a padding token; of several languages set to those of prompts and answers.
        max_length: tokens of the longest prompt, and of the longest answer; None for what the model can read, at most 512.
        positions: tokens that encoder and decoder can read, where there is a limit.
        start: id with which the decoder begins; labels do not have it.
        wording: written around each prompt, with `{prompt}` where it stands.
        language: the token of the answers' language, where the network knows several.
    """

    windows: ClassVar[str] = READ

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
        positions: int | None,
        start: int | None,
        wording: str | None = None,
        language: Language | None = None,
    ) -> None:
        super().__init__(tokenizer, max_length, positions)
        self._wording = check_wording(wording or PROMPT)
        self._answers = Answers(tokenizer, self.limit, start)
        self._window, self._language = positions or self.limit, language

    @property
    def settings(self) -> str:
        """The wording, languages, and how the decoder begins."""
        return f"apart|{self._wording}|{self._language}|{self._answers.start}"

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Ids of each prompt, and the labels of each answer; a length counts both.

        Args:
            values: of `data.dialogues.conversation`; rows without an answer are prompts.
        """
        rows = [conversation(value) for value in values]
        prompts = self._text.encode([self._wording.replace(PROMPT, written(turns)) for turns in rows])
        answers = self._answers.encode([_answer(turns) for turns in rows])
        return Encoded(
            {**prompts.columns, **answers.columns, READ: [[length] for length in prompts.lengths]},
            _sums(prompts.lengths, answers.lengths),
            _sums(prompts.full_lengths, answers.full_lengths),
        )

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, (rows, tokens), and what `Answers.collate` gives."""
        return self._text.collate(columns) | self._answers.collate(columns)

    def pack(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """Prompts and answers are two sequences.

        Raises:
            RecipeError: always.
        """
        raise RecipeError(
            "data.packing joins rows of one sequence each, and this model has an encoder and a decoder. Leave it out."
        )

    def write(self, network: Any, batch: Mapping[str, torch.Tensor], tokens: int) -> list[str]:
        """The text of each row's answer, up to the end of sequence."""
        settings = greedy(network, self.tokenizer, min(tokens, self._window - 1))
        if self._language:
            settings.update(**self._language.settings)
        with quiet(), torch.inference_mode():
            made = network.generate(
                input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], generation_config=settings
            )
        return self._answers.decode(made)


def _answer(turns: Sequence[Turn]) -> str:
    last = answered(turns)
    return "" if last is None else turns[last]["content"]


def _sums(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [first + second for first, second in zip(one, other, strict=True)]
