"""Which column holds the id of a row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

NAMES = (
    *(
        "id",
        "uid",
        "uuid",
        "guid",
        "key",
        "index_id",
        "row_id",
        "doc_id",
        "text_id",
        "sample_id",
        "example_id",
        "message_id",
    ),
    *("review_id", "comment_id", "post_id", "tweet_id", "编号", "标识"),
)
"""What such columns are called; earlier names win."""


def guess(columns: Sequence[str]) -> str | None:
    """The column whose name says that it is an id, or None."""
    called = {_plain(name): name for name in reversed(columns)}
    return next((called[name] for name in NAMES if name in called), None)


def _plain(name: str) -> str:
    """`reviewId`, `Review-ID` and `review_id` are one."""
    cut = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[\W_]+", "_", cut).strip("_").lower()


def unusable(splits: Mapping[str, Sequence[Any]]) -> str | None:
    """Why values of a guessed column are no ids that can be compared between splits, or None where they are.

    Args:
        splits: values of each split.
    """
    for name, values in splits.items():
        if len({str(value) for value in values}) < len(values):
            return f"its values repeat within the {name} split"
    if len(splits) > 1 and all(map(_counts_rows, splits.values())):
        return "it counts the rows of each split anew"
    return None


def _counts_rows(values: Sequence[Any]) -> bool:
    """Whether the values are 0, 1, 2, ... or 1, 2, 3, ... but for a few rows left out."""
    if not len(values) or not all(str(value).isdecimal() for value in values):
        return False
    numbers = np.array([int(value) for value in values])
    return bool(numbers.min() <= 1 + 0.1 * len(numbers) and numbers.max() <= 1.1 * len(numbers) + 1)
