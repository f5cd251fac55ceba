"""A question and a text that may answer it, in as many overlapping windows as the text needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.data.batches import padded
from luthier.errors import DataError, ModelError, RecipeError
from luthier.modalities import Encoded
from luthier.modalities.tokenised import TypedTexts
from luthier.models.heads import TYPES

OVERLAP = 128
"""Most tokens of the text that a window repeats of the one before (Devlin et al. 2019, run_squad.py)."""
SIZES = "target_windows"
BEGINS, ENDS, TEXT, OWNER, NULL = "target_begins", "target_ends", "target_text", "target_rows", "target_null"
"""Of a window's tokens the characters of the text where they begin and end, both 0 for tokens that are not of the text; the code
points of a row's text; the row that a window belongs to; the place of a window that stands for no answer."""


class Windows(TypedTexts):
    """Rows of a question and a text: what the tokenizer gives for both, with `stride` and `return_overflowing_tokens`.

    Nothing of the text is cut off. A question takes at most half of a window; what is longer is cut and counted.

    Args:
        tokenizer: a fast one, with a padding token.
        max_length: tokens of a window, question and special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.
        typed: whether the network is told what is question and what is text, as BERT is and RoBERTa is not.

    Raises:
        ModelError: the tokenizer does not say where its tokens stand.
        RecipeError: the limit leaves no room for a text.
    """

    windows: ClassVar[str] = SIZES

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int | None = None,
        positions: int | None = None,
        typed: bool = False,
    ) -> None:
        super().__init__(tokenizer, max_length, positions, typed)
        if not tokenizer.is_fast:
            raise ModelError(
                f"Task answer needs a tokenizer that says where each token stands in the text, and {type(tokenizer).__name__} does not. "
                "Take a model with a tokenizer.json."
            )
        self._room = self.limit - tokenizer.num_special_tokens_to_add(pair=True)
        if self._room < 2:
            raise RecipeError(
                f"data.max_length is {self.limit}, and this tokenizer writes {self.limit - self._room} tokens of its own around a question "
                "and its text: nothing is left for them. Raise data.max_length."
            )
        self._overlap = min(OVERLAP, self._room // 4)

    @property
    def settings(self) -> str:
        """How windows are cut."""
        return f"windows|{self.typed}|{self._overlap}"

    def given(self, value: Any) -> tuple[str, str]:
        """A mapping with `question` and `context`, or both as a tuple or list.

        Raises:
            DataError: it is something else.
        """
        both = tuple(map(value.get, ("question", "context"))) if isinstance(value, Mapping) else value
        if not isinstance(both, list | tuple) or len(both) != 2 or not all(isinstance(one, str) for one in both):
            raise DataError(
                'A model that answers questions reads {"question": "...", "context": "..."}, or (question, context); got '
                f"{str(value)[:60]!r}."
            )
        return both[0], both[1]

    def encode(self, values: Sequence[tuple[str, str]]) -> Encoded:
        """Of each row all its windows, one after the other; lengths are those of its windows when they are equally long."""
        if not values:
            return Encoded({name: [] for name in self._columns}, [], [])
        questions, lost = self._shortened([question or "" for question, _ in values])
        texts = [text or "" for _, text in values]
        encoded = self.tokenizer(
            questions,
            texts,
            truncation="only_second",
            max_length=self.limit,
            stride=self._overlap,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=False,
            verbose=False,
        )
        rows = np.bincount(encoded["overflow_to_sample_mapping"], minlength=len(values))
        columns = self._joined(encoded.encodings or [], rows)
        columns[TEXT] = [np.frombuffer(one.encode("utf-32-le", "surrogatepass"), dtype="<u4") for one in texts]
        lengths = [int(len(sizes) * sizes.max()) for sizes in columns[SIZES]]
        return Encoded(columns, lengths, [one + more for one, more in zip(lengths, lost, strict=True)])

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `attention_mask` and, where the network reads them, `token_type_ids`, (windows, tokens) int64.

        Beside them `target_begins` and `target_ends` of that shape, `target_rows` and `target_null`, (windows,), and `target_text`,
        (rows, characters), padded with -100; all int64.
        """
        counts = [len(one) for one in columns[SIZES]]
        ends = np.cumsum(np.concatenate([np.asarray(one, dtype=np.int64) for one in columns[SIZES]]))
        pieces = {name: np.split(_flat(columns[name]), ends[:-1]) for name in columns if name not in {SIZES, TEXT}}
        batch = self._text.collate({"input_ids": pieces.pop("input_ids")})
        mask = batch["attention_mask"].bool()
        for name, windows in pieces.items():
            filled = torch.full_like(batch["input_ids"], self.tokenizer.pad_token_type_id if name == TYPES else 0)
            filled[mask] = torch.from_numpy(_flat(windows))
            batch[name] = filled
        texts = np.empty(len(counts), dtype=object)
        for row, text in enumerate(columns[TEXT]):
            texts[row] = np.asarray(text, dtype=np.int64)
        owners = torch.from_numpy(np.repeat(np.arange(len(counts)), counts))
        return batch | {OWNER: owners, NULL: self._null(batch["input_ids"]), TEXT: torch.from_numpy(padded(texts))}

    @property
    def _columns(self) -> tuple[str, ...]:
        return ("input_ids", *([TYPES] if self.typed else []), BEGINS, ENDS, SIZES, TEXT)

    def _joined(self, windows: Sequence[Any], rows: np.ndarray) -> dict[str, list[np.ndarray]]:
        """The columns but for the text: what stands in the windows of each row, joined."""
        inside = [np.array([one == 1 for one in window.sequence_ids]) for window in windows]
        places = [np.asarray(one.offsets) * mask[:, None] for one, mask in zip(windows, inside, strict=True)]
        flat = {
            "input_ids": [np.asarray(one.ids) for one in windows],
            **({TYPES: [np.asarray(one.type_ids) for one in windows]} if self.typed else {}),
            BEGINS: [one[:, 0] for one in places],
            ENDS: [one[:, 1] for one in places],
            SIZES: [np.array([len(one.ids)]) for one in windows],
        }
        ends = np.cumsum(rows)
        return {
            name: [np.concatenate(own[end - count : end]) for end, count in zip(ends, rows, strict=True)]
            for name, own in flat.items()
        }

    def _shortened(self, questions: Sequence[str]) -> tuple[list[str], list[int]]:
        """Questions of at most half a window, and how many tokens each has lost."""
        most = self._room // 2
        encoded = self.tokenizer(
            list(questions), add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False
        )
        kept = [
            question[: places[most - 1][1]] if len(places) > most else question
            for question, places in zip(questions, encoded["offset_mapping"], strict=True)
        ]
        return kept, [max(0, len(places) - most) for places in encoded["offset_mapping"]]

    def _null(self, ids: torch.Tensor) -> torch.Tensor:
        """Where windows say that there is no answer: at the token for the whole row or, without one, at that of the beginning."""
        marks = [one for one in (self.tokenizer.cls_token_id, self.tokenizer.bos_token_id) if one is not None]
        return (ids == marks[0]).int().argmax(dim=1) if marks else ids.new_zeros(len(ids))


def _flat(values: Sequence[Any]) -> np.ndarray:
    return np.concatenate([np.asarray(one, dtype=np.int64) for one in values])
