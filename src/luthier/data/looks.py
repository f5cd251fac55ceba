"""What a sample of each column holds, and what columns are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from luthier.data.labels import NO, YES, arrow_type, is_listed, is_text
from luthier.errors import DataError
from luthier.registry import closest

TEXT_NAMES = (
    *(
        "text",
        "sentence",
        "review",
        "content",
        "comment",
        "message",
        "body",
        "document",
        "utterance",
        "query",
        "question",
    ),
    *("tweet", "post", "sms", "description", "summary", "abstract", "headline", "title", "input"),
    *("文本", "评论", "评价", "内容", "短信", "句子", "正文", "消息", "留言", "新闻", "标题", "描述"),
)
LABEL_NAMES = (
    *(
        "label",
        "labels",
        "sentiment",
        "class",
        "category",
        "categories",
        "target",
        "intent",
        "topic",
        "tag",
        "tags",
        "type",
        "polarity",
    ),
    *("rating", "stars", "score", "emotion", "genre", "gold", "y", "output"),
    *("标签", "类别", "情感", "分类", "类型", "种类", "意图", "主题", "情绪", "评分"),
)
"""Earlier names win. A column whose name merely contains one (`review_text`) comes after those that are exactly so called."""

SAMPLE = 5_000
"""Rows looked at, spread evenly over the file: sorted files show one class at their beginning."""

FEW = 100
"""More distinct values than this are hardly classes, unless the column is called a label."""

NUMBER = re.compile(r"[-+]?\d[\d.,]*(e[-+]?\d+)?", re.IGNORECASE)


@dataclass(frozen=True)
class Look:
    """What a sample of a column holds."""

    name: str
    kind: str
    """`text`, `number` (also when written in strings), `class` (a ClassLabel), `list` or `other`."""
    distinct: int
    length: float
    """Mean characters of a cell."""
    rows: int
    """Cells of the sample that are not empty."""
    binary: bool
    """Only 0 and 1, or words for them."""
    first: str
    echo: bool
    """The column's name stands among its values: the name may be a value."""

    @property
    def repeats(self) -> bool:
        """Few distinct values, each many times: what classes look like."""
        return 1 < self.distinct <= min(FEW, max(2, self.rows // 2))

    @property
    def may_be_label(self) -> bool:
        """A measured quantity (`score` with hundreds of values) or a second text is no class, whatever its name."""
        few = self.repeats or (self.kind != "other" and self.distinct <= max(20, self.rows // 5))
        return self.rows > 0 and (self.kind in {"class", "list"} or few)


def look_at(dataset: datasets.Dataset) -> list[Look]:
    picked = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int))
    sample = dataset.select(picked).with_format("arrow")[:]
    return [_look(name, sample[name].to_pylist(), dataset) for name in dataset.column_names]


def _look(name: str, values: Sequence[Any], dataset: datasets.Dataset) -> Look:
    shown = [str(value).strip() for value in values if value is not None and str(value).strip()]
    distinct = set(shown)
    binary = bool(distinct) and {value.lower() for value in distinct} <= YES | NO
    length = sum(map(len, shown)) / max(1, len(shown))
    kind = _stored(dataset, name, distinct)
    return Look(name, kind, len(distinct), length, len(shown), binary, shown[0] if shown else "", name in distinct)


def _stored(dataset: datasets.Dataset, name: str, distinct: set[str]) -> str:
    if isinstance(dataset.features[name], datasets.ClassLabel):
        return "class"
    stored = arrow_type(dataset, name)
    if pa.types.is_list(stored) or pa.types.is_large_list(stored):
        return "list"
    if is_text(stored):
        if distinct and all(map(NUMBER.fullmatch, distinct)):
            return "number"
        return "list" if distinct and all(map(is_listed, distinct)) else "text"
    is_number = pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_boolean(stored)
    return "number" if is_number else "other"


def by_name(looks: Sequence[Look], names: Sequence[str], among: Sequence[Look]) -> Look | None:
    """The column that is called by the earliest of these names, else the first `among` these with one in its name."""
    called = {look.name.strip().lower(): look for look in reversed(looks)}
    exact = next((called[name] for name in names if name in called), None)
    return exact or next((look for name in names for look in among if name in _words(look.name)), None)


def _words(name: str) -> set[str]:
    """`reviewText` and `review_text` are review and text; Chinese names are looked into as they are."""
    cut = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = {word for word in re.split(r"[\W_\d]+", cut.lower()) if len(word) > 1}
    return words | {known for known in (*TEXT_NAMES, *LABEL_NAMES) if not known.isascii() and known in name}


def values_of(look: Look) -> str:
    return f"{look.distinct} different values" if look.kind != "list" else "lists of labels"


def _overview(looks: Sequence[Look]) -> str:
    return (
        "The columns are: "
        + "; ".join(f"{look.name} ({look.distinct} values, such as {look.first[:30]!r})" for look in looks)
        + "."
    )


def unclear(what: str, candidates: Sequence[Look], looks: Sequence[Look]) -> str:
    names = [look.name for look in candidates]
    found = f"it could be {' or '.join(names)}" if names else "none looks like it"
    best = max(looks, key=lambda look: look.length).name
    called = next((look.name for look in looks if look.name.lower() in LABEL_NAMES), "...")
    text, label = (names[0] if names else best, called) if what == "text" else (best, names[0] if names else "...")
    return (
        f"It is not clear which column holds the {what}: {found}. {_overview(looks)} Say it in the recipe:\n"
        f"data:\n  columns: {{text: {text}, label: {label}}}"
    )


def without_header(looks: Sequence[Look]) -> str | None:
    """What to say of a file whose first line is a row and not the names, or None."""
    odd = [
        look.name
        for look in looks
        if len(look.name) > 60 or NUMBER.fullmatch(look.name) or (look.echo and look.repeats)
    ]
    if not odd:
        return None
    line = ", ".join(look.name for look in looks)
    return f"The data seem to have no header: the first line is {line[:80]!r}. Put a line of column names above it, such as text,label."


def check_exist(dataset: datasets.Dataset, names: Sequence[str]) -> None:
    for name in names:
        if name not in dataset.column_names:
            raise DataError(
                f"There is no column {name!r} in the data; {closest(name, dataset.column_names)} "
                f"The columns are {', '.join(dataset.column_names)}."
            )
