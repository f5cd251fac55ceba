"""Kinds of answers that people give, and what several answers to one row come to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median_low
from typing import Any

import pyarrow as pa

from luthier.data.exchange import spans

Answered = tuple[Mapping[str, Any], Sequence[Any]]
"""A row: what people saw, and their answers, one each."""

Unit = tuple[Sequence[Hashable], int]
"""What people answered to one thing, one answer each, and how many such things there are in a row."""

SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("label", pa.string())]))


@dataclass(frozen=True)
class Kind:
    """One kind of answer."""

    arrow: pa.DataType
    majority: Callable[[Sequence[Any]], Any]
    """What the answers of several annotators come to; None when they are split evenly."""
    level: str | None
    """How agreement is measured, see `agreement.measure`; None where alpha has no meaning."""
    units: Callable[[Sequence[Answered]], Iterator[Unit]]
    """What agreement is measured on; fails with a DataError that says why where it cannot be told."""
    unit: str = "rows"
    """What these are called."""
    spans: bool = False
    """Whether it marks parts of a text."""


def whole(rows: Sequence[Answered], key: Callable[[Any], Hashable] = lambda value: value) -> Iterator[Unit]:
    """Every row is one unit; `key` makes an answer a value that can be counted."""
    return (([key(answer) for answer in answers], 1) for _, answers in rows)


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


CHOICE = Kind(pa.string(), most, "nominal", whole)
CHOICES = Kind(pa.list_(pa.string()), more_than_half, "masi", partial(whole, key=frozenset))
RATING = Kind(pa.int64(), median_low, "ordinal", whole)
NUMBER = Kind(pa.float64(), median_low, "interval", whole)
TEXT = Kind(pa.string(), most, None, whole)
SPAN_LIST = Kind(SPANS, spans.majority, "nominal", spans.units, "characters", spans=True)
