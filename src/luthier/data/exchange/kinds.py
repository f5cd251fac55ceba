"""Kinds of answers that people give, and what several answers to one row come to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import pyarrow as pa

Span = dict[str, Any]
"""Part of a text: `start` and `end` in characters (end excluded) and `label`."""

SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]))


@dataclass(frozen=True)
class Kind:
    """One kind of answer."""

    arrow: pa.DataType
    majority: Callable[[Sequence[Any]], Any]
    """What the answers of several annotators come to; None when they are split evenly."""
    level: str | None
    """How agreement is measured, see `agreement.measure`; None where alpha has no meaning."""
    key: Callable[[Any], Hashable] = lambda value: value
    """An answer as a value that can be counted."""


def most(answers: Sequence[Any]) -> Any:
    """The answer given most often, or None when two are."""
    first, *others = Counter(answers).most_common(2)
    return None if others and others[0][1] == first[1] else first[0]


def more_than_half(answers: Sequence[Sequence[Any]]) -> list[Any] | None:
    """The items that more than half of the annotators have, in the order in which they first come.

    Returns:
        None when every annotator has some and none has a majority.
    """
    written = {json.dumps(item, sort_keys=True): item for answer in answers for item in answer}
    votes = Counter(mark for answer in answers for mark in {json.dumps(item, sort_keys=True) for item in answer})
    kept = [item for mark, item in written.items() if 2 * votes[mark] > len(answers)]
    return None if not kept and all(answers) else kept


CHOICE = Kind(pa.string(), most, "nominal")
CHOICES = Kind(pa.list_(pa.string()), more_than_half, "masi", frozenset)
RATING = Kind(pa.int64(), median_low, "ordinal")
NUMBER = Kind(pa.float64(), median_low, "interval")
TEXT = Kind(pa.string(), most, None)
SPAN_LIST = Kind(SPANS, more_than_half, None)
