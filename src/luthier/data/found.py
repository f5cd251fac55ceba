"""Which columns of the rows are read, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "single", "list", "indicator", "separated", "numbers", "tags", "texts", "none", "answers", "transcripts", "captions"
]


@dataclass(frozen=True)
class Found:
    """Which columns hold the text and the label."""

    text: str
    label: str | list[str]
    """A column, or one 0/1 column per label."""
    separator: str | None
    """What stands between several labels in one cell."""
    kind: Kind
    """`single`: one label a row; `texts`: an answer in free words; `transcripts`: what is said in a recording; `captions`: what is
    written of an image; `tags`: a list of one for each token; `numbers`: one number a row, or one in each of several columns; `none`:
    none, as what stands in a row belongs together, and `label` is its text; the others are multi-label: a `list` in the column, an
    `indicator` column per label, or labels `separated` by a character."""
    why: str
    """A sentence that explains the choice."""
    integers: bool = False
    """Whether every label of the rows this was inferred from is an integer."""
    medium: str = "text"
    """What the column of inputs holds: `text`, `tokens` (lists of words), or a key of `data.media.MEDIA`."""
    content: str = ""
    """The column by which rows are told apart, where the inputs are no text: their hash, or what lists of words say; of several columns
    of inputs what stands in all of them."""
    also: tuple[str, ...] = ()
    """Further columns of inputs, which the model reads together with `text`."""
    words: str = ""
    """The column with what rows say in words, where that is not `compared`: of images with a text the text."""

    part: tuple[str, str] | None = None
    """A column of which several rows may have the same, so that they belong on one side: a key of `data.leakage.pairs.KINDS`, and its
    name. Of images with a text the image, of questions the text that answers them."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """All columns that the model reads, in order."""
        return (self.text, *self.also)

    @property
    def encoded(self) -> tuple[str, ...]:
        """Columns that become rows of numbers: the inputs and, where the model writes its answer behind them, that too."""
        written = self.kind in {"texts", "transcripts", "captions"}
        with_answer = written and isinstance(self.label, str) and self.label not in self.inputs
        return (*self.inputs, *([str(self.label)] if with_answer else []))

    @property
    def told(self) -> tuple[str, ...]:
        """Columns of inputs that people are shown: of conversations what is asked, in words."""
        return (self.compared,) if self.medium == "dialogue" else self.inputs

    @property
    def said(self) -> str:
        """The column with what rows say in words."""
        return self.words or self.compared

    @property
    def compared(self) -> str:
        """The column by which rows are told apart."""
        return self.content or self.text
