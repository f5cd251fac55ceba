"""Spans that people marked in texts, as words with tags, so that a model can learn to mark them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from luthier.counted import many
from luthier.data.exchange.spans import Span
from luthier.data.token_rows import UNSPACED

TOKENS, TAGS = "tokens", "tags"
WORD = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})\w)+|[^\w\s]")
"""A character of a script without spaces, a word of other letters, or a mark."""


@dataclass(frozen=True)
class Tagged:
    """Rows with their words and tags."""

    rows: list[dict[str, Any]]
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Of the columns that were added."""
    notes: tuple[str, ...] = ()


def with_words(rows: list[dict[str, Any]], text: str, column: str, name: str) -> Tagged:
    """Add the columns `tokens` and `tags` (BIO), where rows have none of these names; no tags where nobody has said anything.

    Args:
        rows: of a file.
        text: holds the text of each row.
        column: holds its spans, or None.
        name: the file, for the notes.
    """
    if {TOKENS, TAGS} & rows[0].keys():
        return Tagged(rows)
    found = [tagged(row[text], row[column] or []) for row in rows]
    made = [
        {**row, TOKENS: words, TAGS: None if row[column] is None else tags}
        for row, (words, tags, _) in zip(rows, found, strict=True)
    ]
    lost = [str(number) for number, (_, _, left_out) in enumerate(found, start=1) if left_out]
    told = f"{name}: {many(len(lost), 'row')} with spans that overlap, of which the longest counts: row {', '.join(lost[:5])}."
    return Tagged(made, dict.fromkeys((TOKENS, TAGS), pa.list_(pa.string())), (told,) if lost else ())


def tagged(text: str, spans: Sequence[Span]) -> tuple[list[str], list[str], int]:
    """Words, cut where spans begin and end; their tags; and how many spans were left out because longer ones overlap them."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: one["start"] - one["end"]):
        if all(span["end"] <= other["start"] or other["end"] <= span["start"] for other in kept):
            kept.append(span)
    borders = {span[key] for span in kept for key in ("start", "end")}
    words, tags = [], []
    for found in WORD.finditer(text):
        cuts = sorted(
            {found.start(), found.end(), *(place for place in borders if found.start() < place < found.end())}
        )
        for start, end in pairwise(cuts):
            words.append(text[start:end])
            tags.append(_tag(text, start, kept))
    return words, tags, len(spans) - len(kept)


def _tag(text: str, start: int, spans: Sequence[Span]) -> str:
    """The tag of a word that begins here: the first of a span, but for white space before it, begins that."""
    span = next((one for one in spans if one["start"] <= start < one["end"]), None)
    if span is None:
        return "O"
    return f"{'I' if text[span['start'] : start].strip() else 'B'}-{span['label']}"
