"""A row of words cut where spans begin and end, to show which spans were found, missed and made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from luthier.data.token_rows import spaced
from luthier.tasks import Piece
from luthier.tasks.tagging_schemes import Tagset, spans

Places = Mapping[tuple[int, int], str]
"""Types of spans by their first word and the first word behind them."""


def pieces(words: Sequence[str], label: Sequence[str], answer: Sequence[Any], tags: Tagset) -> list[Piece]:
    """Pieces whose texts make the whole row.

    Args:
        words: of the row.
        label: a tag for each word, spans as BIO.
        answer: entities with `start`, `end` and `type`, or a tag for each word, None where it was cut off.
        tags: what there is.
    """
    found = spans(tags.flat([np.array([tags.names.index(tag) for tag in label], dtype=np.int64)]))
    places = zip(found.starts.tolist(), found.ends.tolist(), found.kinds.tolist(), strict=True)
    true = {(start, end): tags.kinds[kind] for start, end, kind in places}
    if tags.alone:
        said = {(word, word + 1): str(tag) for word, tag in enumerate(answer) if tag is not None}
    else:
        said = {(int(one["start"]), int(one["end"])): str(one["type"]) for one in answer}
    return cut(list(words), true, said)


def cut(words: Sequence[str], true: Places, answered: Places) -> list[Piece]:
    """A row cut wherever a span begins or ends; no two spans of `true` overlap, and no two of `answered`."""
    between = " " if spaced(words) else ""
    cuts = sorted({0, len(words), *(end for place in (*true, *answered) for end in place)})
    return [_piece(words, start, end, true, answered, between) for start, end in pairwise(cuts)]


def _piece(words: Sequence[str], start: int, end: int, true: Places, answered: Places, between: str) -> Piece:
    label, answer = (_around(places, start) for places in (true, answered))
    behind = between if end < len(words) else ""
    text = between.join(words[start:end]) + behind
    return Piece(text, true.get(label, ""), answered.get(answer, ""), _same(label, answer, true, answered))


def _around(places: Places, word: int) -> tuple[int, int]:
    return next((place for place in places if place[0] <= word < place[1]), (0, 0))


def _same(label: tuple[int, int], answer: tuple[int, int], true: Places, answered: Places) -> bool:
    return label in true and label == answer and true[label] == answered[answer]
