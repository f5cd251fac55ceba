"""Files that annotation tools and chat data sets write, told by their first row. A member is one row of `SHAPES`.

`recognise` looks at the first row of a JSON file or the columns of a csv; the shape's `read` gives rows, notes and facts
(`votes.Contents`). What is recognised by none of them is read as plain rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from luthier.data.exchange import chat, label_studio, prodigy, squad
from luthier.data.exchange.votes import KEEPING, Contents, Rows

__all__ = ["HINT", "KEEPING", "SHAPES", "Contents", "Shape", "recognise", "recognise_table"]

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Shape:
    """One way in which a tool writes its rows."""

    fits: Callable[[Row], bool]
    """Whether a row, the first of a file, is of this shape."""
    read: Callable[[Rows, str, str], Contents]
    """Rows, name of the file, `majority` or `all` -> contents."""
    tables: bool = False
    """Whether a csv can have this shape too."""


SHAPES: Mapping[str, Shape] = {
    "label-studio": Shape(label_studio.is_tasks, label_studio.read_tasks),
    "label-studio-flat": Shape(label_studio.is_flat, label_studio.read_flat, tables=True),
    "prodigy": Shape(prodigy.is_answers, prodigy.read),
    "sharegpt": Shape(chat.is_conversation, chat.read_conversations),
    "alpaca": Shape(chat.is_alpaca, chat.read_alpaca),
    "squad": Shape(squad.is_articles, squad.read_articles),
}

HINT = re.compile(
    r'"(annotations|completions|annotation_id|answer|conversations?|messages|instruction|paragraphs)"\s*:'
)
"""Stands near the beginning of every JSON file of these shapes: spares the others a look at their first row."""


def recognise(row: Row) -> Shape | None:
    """The shape of a JSON file by its first row, or None for plain rows."""
    return next((shape for shape in SHAPES.values() if shape.fits(row)), None)


def recognise_table(names: Iterable[str]) -> Shape | None:
    """The shape of a csv by its columns, or None for plain rows."""
    row = dict.fromkeys(names)
    return next((shape for shape in SHAPES.values() if shape.tables and shape.fits(row)), None)
