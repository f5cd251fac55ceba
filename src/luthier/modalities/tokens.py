"""Words that are given one by one, such as those of a token file, each with the place of its first piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from luthier.data.batches import padded
from luthier.data.token_rows import spaced
from luthier.errors import DataError, RecipeError
from luthier.modalities import Encoded
from luthier.modalities.template import surroundings
from luthier.modalities.tokenised import Tokenised
from luthier.objectives.tokens import CUT

Pieces = tuple[int, ...]
"""Token ids of a word."""
Placed = tuple[str, str]
"""Where a word stands, a key of `BEFORE`, and the word."""

FIRST, SPACED, GLUED = "first", "spaced", "glued"
BEFORE: Mapping[str, tuple[tuple[str, str], ...]] = {FIRST: (), SPACED: (("a", " "),), GLUED: (("。", ""), ("国", ""))}
"""By where a word stands: what to tokenise it behind, with what between; the first that the tokenizer does not melt it with is taken.

Only so does every kind of tokenizer say what a word is inside a row: byte-level ones (GPT-2, RoBERTa) write another token behind a
space, and SentencePiece puts a space before whatever begins."""
TAKES = "A model that tags predicts a text, or a list of its words"


class Tokens(Tokenised):
    """Rows of words (for Chinese: of characters) as token ids: those of the row as a text, but no piece belongs to two words.

    Where the tokenizer splits at spaces these are the ids that transformers gives with `is_split_into_words`. Rows that are written
    without spaces get none, where transformers would put one before every character. A word that becomes no piece at all, such as
    a lone zero-width character, gets the unknown token.

    Args:
        tokenizer: with a padding token.
        max_length: tokens of the longest row, special tokens included; None for what the model can read, at most 512.
        positions: rows of the model's position table, where it has one.

    Raises:
        RecipeError: the limit leaves no room for a word.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None, positions: int | None = None
    ) -> None:
        super().__init__(tokenizer, max_length, positions)
        self._before, self._after = surroundings(tokenizer)
        self._room = self.limit - len(self._before) - len(self._after)
        if self._room < 1:
            raise RecipeError(
                f"data.max_length is {self.limit}, and this tokenizer writes {self.limit - self._room} tokens of its own around each "
                "row: nothing is left for the words. Raise data.max_length."
            )

    @property
    def settings(self) -> str:
        """How words are put together."""
        return f"words|{BEFORE}"

    def given(self, value: Any) -> list[str]:
        """A list of words as it is; of a text the words between spaces or, where it is written without them, its characters.

        Raises:
            DataError: it is neither.
        """
        if isinstance(value, str):
            return value.split() if spaced(value.split()) else [one for one in value if not one.isspace()]
        if not isinstance(value, list | tuple):
            raise DataError(f"{TAKES}; got {type(value).__name__}.")
        odd = [word for word in value if not isinstance(word, str)]
        if odd:
            raise DataError(f"{TAKES}; got a list with {type(odd[0]).__name__} in it.")
        return list(value)

    def encode(self, values: Sequence[Sequence[str]]) -> Encoded:
        """Token ids of each row, cut to `limit`, and for each of its words the place of the first piece, -1 where it was cut off."""
        placed = [list(_placed(words)) for words in values]
        pieces = self._pieces(sorted({one for row in placed for one in row}))
        rows = [self._row([pieces[one] for one in row]) for row in placed]
        own = len(self._before) + len(self._after)
        return Encoded(
            {"input_ids": [ids for ids, _, _ in rows], "target_places": [places for _, places, _ in rows]},
            [len(ids) for ids, _, _ in rows],
            [max(1, full + own) for _, _, full in rows],
        )

    def collate(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, torch.Tensor]:
        """`input_ids` and `attention_mask`, (rows, tokens) int64, and `target_places`, (rows, words) int64, padded with -100."""
        rows = np.empty(len(columns["target_places"]), dtype=object)
        for number, places in enumerate(columns["target_places"]):
            rows[number] = places
        return self._text.collate(columns) | {"target_places": torch.from_numpy(padded(rows))}

    def _row(self, words: Sequence[Pieces]) -> tuple[list[int], list[int], int]:
        """Ids, places, and how many ids the words would have uncut."""
        ids = [one for pieces in words for one in pieces]
        lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        begin = max(0, len(ids) - self._room) if self.tokenizer.truncation_side == "left" else 0
        starts = np.cumsum(lengths) - lengths - begin
        places = np.where((starts >= 0) & (starts < self._room), starts + len(self._before), CUT)
        row = [*self._before, *ids[begin : begin + self._room], *self._after]
        return row or [self.tokenizer.pad_token_id], places.tolist(), len(ids)

    def _pieces(self, words: Sequence[Placed]) -> dict[Placed, Pieces]:
        """What each word becomes where it stands."""
        found: dict[Placed, Pieces] = {}
        for number in range(max(map(len, BEFORE.values()))):
            found |= self._behind([one for one in words if one not in found and number < len(BEFORE[one[0]])], number)
        rest = [one for one in words if one not in found]
        found |= dict(zip(rest, self._tokenise([word for _, word in rest]), strict=True))
        return {one: pieces or self._nothing for one, pieces in found.items()}

    def _behind(self, words: Sequence[Placed], number: int) -> dict[Placed, Pieces]:
        """What follows the ids of the neighbour, for those words that leave them as they are."""
        around = [BEFORE[place][number] for place, _ in words]
        starts = self._tokenise([before for before, _ in around])
        whole = self._tokenise(
            [before + between + word for (before, between), (_, word) in zip(around, words, strict=True)]
        )
        return {
            one: ids[len(start) :]
            for one, start, ids in zip(words, starts, whole, strict=True)
            if ids[: len(start)] == start
        }

    def _tokenise(self, texts: Sequence[str]) -> list[Pieces]:
        ids = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"] if texts else []
        return [tuple(row) for row in ids]

    @property
    def _nothing(self) -> Pieces:
        unknown = self.tokenizer.unk_token_id
        return (self.tokenizer.pad_token_id if unknown is None else unknown,)


def _placed(words: Sequence[str]) -> Iterator[Placed]:
    inside = SPACED if spaced(words) else GLUED
    for number, word in enumerate(words):
        yield (FIRST if number == 0 and inside == SPACED else inside), word.strip()
