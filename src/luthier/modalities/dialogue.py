"""Prompts and conversations as token ids, by a chat template, and which of the tokens are an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from luthier.data.batches import IGNORED, padded
from luthier.data.dialogues import ASSISTANT, PROMPT, USER, Turn, answered, conversation
from luthier.errors import DataError, ModelError, RecipeError
from luthier.modalities import Encoded, Writing
from luthier.modalities.answers import greedy
from luthier.modalities.template import surroundings
from luthier.modalities.tokenised import Tokenised
from luthier.models.quiet import quiet

PLAIN = f"### Instruction:\n{PROMPT}\n\n### Response:\n"
"""Stanford Alpaca's headings (Taori et al. 2023) without their preamble."""


def check_wording(wording: str) -> str:
    """A wording that has one place for the prompt.

    Raises:
        RecipeError: it has none, or several.
    """
    if wording.count(PROMPT) != 1:
        raise RecipeError(f"task.template must have {PROMPT} once, where the prompt stands; got {wording!r}.")
    return wording


def turns_of(value: Any) -> list[Turn]:
    """What a person asks: a prompt, the cells of its columns, or a conversation that ends before the answer.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, str):
        return [{"role": USER, "content": value}]
    if isinstance(value, tuple):
        return conversation((*value, None))
    if isinstance(value, list) and value and all(isinstance(turn, Mapping) for turn in value):
        turns = conversation(value)
        open_ = answered(turns) is not None and turns[-1]["role"] != ASSISTANT
        return [*turns, {"role": ASSISTANT, "content": ""}] if open_ else turns  # not the earlier answer is asked for
    raise DataError(
        "A model that writes answers a prompt, or a conversation as a list of {role, content}; "
        f"got {type(value).__name__}."
    )


def chat_template(tokenizer: PreTrainedTokenizerBase, wording: str) -> str:
    """A chat template (Jinja) that writes each prompt into a wording, and behind its answer the end of sequence.

    Args:
        tokenizer: with an end of sequence; where it begins texts with a token of its own, so does the template.
        wording: with `{prompt}` where the prompt stands; the answer comes behind it.

    Raises:
        RecipeError: the prompt has no place in it.
    """
    before, after = (json.dumps(part, ensure_ascii=False) for part in check_wording(wording).split(PROMPT))
    first = json.dumps("".join(tokenizer.convert_ids_to_tokens(surroundings(tokenizer)[0])), ensure_ascii=False)
    end = json.dumps(str(tokenizer.eos_token), ensure_ascii=False)
    return (
        f"{{{{ {first} }}}}{{% for message in messages %}}{{% if message['role'] == '{ASSISTANT}' %}}"
        f"{{{{ message['content'] + {end} }}}}{{% else %}}{{{{ {before} + message['content'] + {after} }}}}{{% endif %}}{{% endfor %}}"
    )


@dataclass(frozen=True)
class Conversed:
    """A conversation as ids."""

    ids: np.ndarray
    targets: np.ndarray
    """The id itself where it belongs to an answer, else -100."""
    start: int
    """Where the last answer begins."""

    def cut(self, limit: int) -> Conversed:
        """At most `limit` tokens: what is before the last answer loses its middle and, where it takes half of the room, the answer its end.

        The beginning of a prompt mostly says what is to be done, and its end where to begin.
        """
        if len(self.ids) <= limit:
            return self
        before = min(self.start, max(limit - (len(self.ids) - self.start), limit - limit // 2))
        places = np.arange(len(self.ids))
        kept = np.concatenate(
            [_shortened(places[: self.start], before), places[self.start : self.start + limit - before]]
        )
        targets = self.targets[kept]
        gap = np.flatnonzero(np.diff(kept) > 1) + 1
        targets[gap] = IGNORED  # nothing that stands before it now says it
        return Conversed(self.ids[kept], targets, before)

    def prompt(self, limit: int) -> np.ndarray:
        """Ids before the last answer, at most `limit`."""
        return _shortened(self.ids[: self.start], limit)


class Turns(Tokenised, Writing):
    """Rows of turns, of which the network writes the last answer."""

    def given(self, value: Any) -> list[Turn]:
        """A prompt, the cells of its columns, or a conversation that ends before the answer.

        Raises:
            DataError: it is none of these.
        """
        return turns_of(value)


class Dialogue(Turns):
    """Rows of turns; every answer of the assistant is learned, with the token that ends it.

    Prompts and answers are tokenised apart, as a prompt stands alone where its answer is to be written.

    Args:
        tokenizer: with a chat template, an end of sequence and a padding token.
        max_length: tokens of the longest row; None for what the model can read, at most 512.
        positions: tokens that the model can read, where it has a limit.
        where: which model this is, for messages.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None,
        positions: int | None,
        where: str = "the model",
    ) -> None:
        super().__init__(tokenizer, max_length, positions)
        self.where = where
        self._window = positions or self.limit

    @property
    def settings(self) -> str:
        """The chat template."""
        return f"dialogue|{self.tokenizer.chat_template}"

    def encode(self, values: Sequence[Any]) -> Encoded:
        """Ids and targets of each row, as long as each other, and the ids of its last prompt alone.

        A prompt is cut as if there were no answer, so that what is written behind it does not depend on the true answer's length.

        Args:
            values: of `data.dialogues.conversation`; turns behind the last answer are left out, and rows without one are prompts.

        Raises:
            ModelError: the chat template does not take these turns.
        """
        whole = [self._tokenised(conversation(value)) for value in values]
        rows = [one.cut(self.limit) for one in whole]
        columns = {
            "input_ids": [row.ids for row in rows],
            "target_tokens": [row.targets for row in rows],
            "target_prompt": [one.prompt(self.limit) for one in whole],
        }
        return Encoded(columns, [len(row.ids) for row in rows], [len(one.ids) for one in whole])

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask`, `target_tokens` and `target_prompt`, (rows, tokens) int64, padded on the right."""
        targets = {name: _together(columns[name]) for name in ("target_tokens", "target_prompt")}
        return self._text.collate(columns) | targets

    def pack(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `position_ids` and `target_tokens` of shape (1, all tokens).

        Positions begin anew with each row. Without an attention mask transformers takes that for the border of rows that do not see
        each other (`masking_utils.find_packed_sequence_indices`).
        """
        rows = [np.asarray(row, dtype=np.int64) for row in columns["input_ids"]]
        targets = [np.array(row, dtype=np.int64) for row in columns["target_tokens"]]
        for row in targets:
            row[0] = IGNORED  # it is not predicted from the row before
        positions = [np.arange(len(row)) for row in rows]
        joined = {"input_ids": rows, "position_ids": positions, "target_tokens": targets}
        return {name: torch.from_numpy(np.concatenate(parts)[None]) for name, parts in joined.items()}

    def write(self, network: Any, batch: Mapping[str, torch.Tensor], tokens: int) -> list[str]:
        """The text behind each row's last prompt, up to the end of sequence; prompts are padded on the left."""
        room = max(1, self._window - tokens, self._window // 2)
        prompts = [_shortened(row[row != IGNORED], room) for row in batch["target_prompt"].cpu().numpy()]
        width = max(map(len, prompts))
        mask = np.arange(width) >= width - np.array([[len(one)] for one in prompts])
        ids = np.full(mask.shape, self.tokenizer.pad_token_id, dtype=np.int64)
        ids[mask] = np.concatenate(prompts)
        device = batch["input_ids"].device
        with quiet(), torch.inference_mode():
            made = network.generate(
                input_ids=torch.from_numpy(ids).to(device),
                attention_mask=torch.from_numpy(mask.astype(np.int64)).to(device),
                generation_config=greedy(network, self.tokenizer, min(tokens, self._window - width)),
            )
        texts = self.tokenizer.batch_decode(made[:, width:], skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _tokenised(self, turns: Sequence[Turn]) -> Conversed:
        pieces = list(self._pieces(turns))
        ids = [np.asarray(self._ids(text), dtype=np.int64) for text, _ in pieces]
        targets = [
            one if learned else np.full_like(one, IGNORED) for one, (_, learned) in zip(ids, pieces, strict=True)
        ]
        lengths = [len(one) for one, (_, learned) in zip(ids, pieces, strict=True)]
        last = max((number for number, (_, learned) in enumerate(pieces) if learned), default=len(pieces))
        return Conversed(np.concatenate(ids), np.concatenate(targets), sum(lengths[:last]))

    def _pieces(self, turns: Sequence[Turn]) -> Iterator[tuple[str, bool]]:
        """The conversation cut where answers begin and end, and whether each piece is one."""
        last = answered(turns)
        if last is None:
            yield self._rendered(turns, prompt=True), False
            return
        turns = turns[: last + 1]
        whole, at = self._rendered(turns), 0
        for place in self._learned(turns, whole):
            begin, end = len(self._rendered(turns[:place], prompt=True)), len(self._rendered(turns[: place + 1]))
            answer, behind = self._ended(whole[begin:end])
            yield whole[at:begin], False
            yield answer, True
            at = end - len(behind)

    def _learned(self, turns: Sequence[Turn], whole: str) -> list[int]:
        """Places of the answers that the template writes in the whole conversation as it does at its end.

        Some templates write earlier answers otherwise (without what was thought): then only the last one is learned.
        """
        places = [place for place, turn in enumerate(turns) if turn["role"] == ASSISTANT]
        kept = [place for place in places if self._stands(turns, place, whole)]
        if len(turns) - 1 not in kept:
            raise ModelError(
                f"The chat template of {self.where} writes an answer otherwise than behind the prompt that asks for it, so it cannot be "
                'told which tokens are the answer. Give a template of your own, task: {name: generate, template: "...{prompt}..."}.'
            )
        return kept if kept == places else kept[-1:]

    def _stands(self, turns: Sequence[Turn], place: int, whole: str) -> bool:
        asked, told = self._rendered(turns[:place], prompt=True), self._rendered(turns[: place + 1])
        return whole.startswith(told) and told.startswith(asked)

    def _ended(self, piece: str) -> tuple[str, str]:
        """An answer with what ends it, and what the template writes behind that.

        Where it writes no end of sequence but another special token, that ends the answer; where it writes none at all, the end of
        sequence is put there.
        """
        end = piece.rfind(self.tokenizer.eos_token)
        if end >= 0:
            cut = end + len(self.tokenizer.eos_token)
            return piece[:cut], piece[cut:]
        ids = self._ids(piece)
        closed = set(ids[-2:]) & set(self._special)
        return (piece, "") if closed else (piece + self.tokenizer.eos_token, "")

    @property
    def _special(self) -> set[int]:
        return {number for number, token in self.tokenizer.added_tokens_decoder.items() if token.special}

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids

    def _rendered(self, turns: Sequence[Turn], prompt: bool = False) -> str:
        try:
            text = self.tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=prompt)
        except TemplateError as wrong:
            roles = ", ".join(turn["role"] for turn in turns)
            raise ModelError(
                f"The chat template of {self.where} does not take these turns ({roles}): {wrong}"
            ) from wrong
        return str(text)


def _together(rows: Sequence[Any]) -> torch.Tensor:
    ragged = np.empty(len(rows), dtype=object)
    for number, row in enumerate(rows):
        ragged[number] = row
    return torch.from_numpy(padded(ragged))


def _shortened(ids: np.ndarray, room: int) -> np.ndarray:
    """A prompt without its middle, where there is no room for that."""
    first = room - room // 2
    return ids if len(ids) <= room else np.concatenate([ids[:first], ids[len(ids) - (room - first) :]])
