"""Labels that are answers: in free words, or pieces of a text."""

from __future__ import annotations

import json
from collections.abc import Sequence


class Answer(str):
    """A label in free words, which is no class that rows share."""

    __slots__ = ()


class Marked(Answer):
    """The true answers to a question about a text, which are pieces of it; as a str the JSON of SQuAD's {text, answer_start}.

    Args:
        texts: none where the text does not answer.
        starts: the character where each begins, -1 where it does not stand in the text.
        moved: whether one stands elsewhere than the data say.
    """

    __slots__ = ("moved", "starts", "texts")
    texts: tuple[str, ...]
    starts: tuple[int, ...]
    moved: bool

    def __new__(cls, texts: Sequence[str], starts: Sequence[int], moved: bool = False) -> Marked:
        """A str, and what it says."""
        one = super().__new__(cls, json.dumps({"text": list(texts), "answer_start": list(starts)}, ensure_ascii=False))
        one.texts, one.starts, one.moved = tuple(texts), tuple(starts), moved
        return one

    def __getnewargs__(self) -> tuple[Sequence[str], Sequence[int], bool]:  # type: ignore[override]
        """What a copy is made of."""
        return self.texts, self.starts, self.moved

    @property
    def lost(self) -> str | None:
        """The first answer that does not stand in the text."""
        return next((text for text, start in zip(self.texts, self.starts, strict=True) if start < 0), None)
