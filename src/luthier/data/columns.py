"""Which columns hold the text and the label: as given, else by their names, else by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import datasets
import numpy as np
import pyarrow as pa

from luthier.data import cells, media
from luthier.data.labels import NO, YES, Found, Kind, all_integers, arrow_type, is_listed, is_text, labels
from luthier.data.pair_columns import paired
from luthier.errors import DataError
from luthier.recipe.data import INPUTS, Columns
from luthier.registry import closest
from luthier.tasks import Labels

__all__ = ["Found", "again", "column_of", "infer", "labels"]

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

LONG = 3.0
"""How many times longer than the next a column's texts must be to be taken for the text by content alone."""


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


READ_AS: Mapping[str, Labels] = {"numbers": "numbers", "tags": "tags"}
"""How a task reads labels of some kinds; all others are of classes."""

TOKEN_NAMES = ("tokens", "words", "characters", "chars", "text", "sentence", "字", "词")
TAG_NAMES = ("tags", "ner_tags", "pos_tags", "labels", "label", "tag", "ner", "标签")


def infer(dataset: datasets.Dataset, given: Columns, wanted: Labels = "classes") -> Found:
    """Find the column of inputs and the label column of training data, and say why.

    Args:
        dataset: the rows.
        given: what the recipe says of columns.
        wanted: how the task reads labels, as `Task.labels`.

    Raises:
        DataError: a given column does not exist or cannot be what it is given as, or the choice is not clear; the message shows
            the columns and the recipe lines to write.
    """
    if wanted == "tags":
        return _token_lists(dataset, given)
    _check_given(dataset, given)
    pair = paired(dataset.column_names, given)
    if pair and all(is_text(arrow_type(dataset, name)) for name in pair):
        return _pair(dataset, given, wanted, *pair)
    decoded = _decoded(dataset, given)
    looks = _looks(dataset.remove_columns(list(decoded)))
    medium, text, why_text = _media(decoded, given) if decoded else ("text", *_text(looks, given))
    others = [look for look in looks if look.name != text]
    if wanted == "numbers":
        label, why_label = _number(others, given, looks)
        return Found(text, label, None, "numbers", f"{why_text}; {why_label}.", medium=medium)
    label, why_label = _label(others, given, looks)
    kind = _kind(looks, label, given.separator)
    integers = isinstance(label, str) and kind == "single" and all_integers(dataset, label)
    return Found(text, label, given.separator, kind, f"{why_text}; {why_label}.", integers, medium)


def again(rows: datasets.Dataset, facts: Mapping[str, Any]) -> Found:
    """The columns of a run in other rows.

    Args:
        rows: with those columns.
        facts: what data.json says of them.

    Raises:
        DataError: one of them is not there.
    """
    read = dict(zip(INPUTS[facts["medium"]], cells.read_by(facts), strict=True))
    given = Columns(**read, label=facts["label"], separator=facts["separator"])
    return infer(rows, given, READ_AS.get(facts["kind"], "classes"))


def column_of(rows: datasets.Dataset, column: str, key: str) -> list[Any]:
    """All values of a column.

    Args:
        rows: to read.
        column: its name.
        key: of the recipe, which named it.

    Raises:
        DataError: there is none of that name.
    """
    if column not in rows.column_names:
        raise DataError(f"{key}: there is no column {column!r} in the data; {closest(column, rows.column_names)}")
    values: list[Any] = rows.with_format("arrow")[column].to_pylist() if len(rows) else []
    return values


def _check_given(dataset: datasets.Dataset, given: Columns) -> None:
    labels_given = given.label if isinstance(given.label, list) else [given.label]
    medium, inputs = given.input or ("", ())
    _check_exist(dataset, [name for name in (*inputs, *labels_given) if name is not None])
    named: dict[str, str] = {}
    for key, column in zip(INPUTS.get(medium, ()), inputs, strict=True):
        twice = named.get(column) or ("label" if column in labels_given else None)
        if twice:
            raise DataError(f"data.columns names {column!r} as both {key} and {twice}.")
        if medium not in media.MEDIA and not is_text(arrow_type(dataset, column)):
            raise DataError(f"data.columns.{key}: column {column!r} holds {arrow_type(dataset, column)}, not text.")
        named[column] = key


def _check_exist(dataset: datasets.Dataset, names: Sequence[str]) -> None:
    for name in names:
        if name not in dataset.column_names:
            raise DataError(
                f"There is no column {name!r} in the data; {closest(name, dataset.column_names)} "
                f"The columns are {', '.join(dataset.column_names)}."
            )


def _decoded(dataset: datasets.Dataset, given: Columns) -> dict[str, str]:
    """Columns whose cells are images or audio, by what they are; where the recipe names the input, only that one."""
    if given.input:
        medium, columns = given.input
        return dict.fromkeys(columns, medium) if medium in media.MEDIA else {}
    kinds = {name: media.recognise(dataset, name) for name in dataset.column_names}
    return {name: kind for name, kind in kinds.items() if kind}


def _media(decoded: Mapping[str, str], given: Columns) -> tuple[str, str, str]:
    """What the input is, its column, and why.

    Raises:
        DataError: several columns could be it.
    """
    if len(decoded) > 1:
        first = next(iter(decoded))
        raise DataError(
            f"It is not clear which column the model should read: {' or '.join(decoded)}. Say it in the recipe:\n"
            f"data:\n  columns: {{{decoded[first]}: {first}}}"
        )
    ((column, medium),) = decoded.items()
    return medium, column, f"{medium} is {column!r}, {'as the recipe says' if given.input else 'by what its cells are'}"


def _pair(dataset: datasets.Dataset, given: Columns, wanted: Labels, first: str, second: str) -> Found:
    """Two columns of texts, and the label column among the others."""
    one = given.model_copy(update={"text": first, "pair": None})
    alone = infer(dataset.remove_columns(second), one, wanted)
    reason = "as the recipe says" if given.pair else "by their names"
    why = f"the texts of a pair are {first!r} and {second!r}, {reason}; {alone.why.partition('; ')[2]}"
    return replace(alone, also=(second,), medium="pair", why=why)


def _looks(dataset: datasets.Dataset) -> list[Look]:
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


def _text(looks: Sequence[Look], given: Columns) -> tuple[str, str]:
    if given.text is not None:
        return given.text, f"text is {given.text!r}, as the recipe says"
    taken = given.label if isinstance(given.label, list) else [given.label]
    texts = [look for look in looks if look.kind == "text" and look.name not in taken]
    named = _by_name(texts, TEXT_NAMES, among=[look for look in texts if not look.repeats])
    if named:
        return named.name, f"text is {named.name!r} by its name"
    ranked = sorted((look for look in texts if not look.repeats), key=lambda look: -look.length)
    if not ranked and len(texts) == 1:
        ranked = texts
    if not ranked or _without_header(looks) or (len(ranked) > 1 and ranked[0].length < LONG * ranked[1].length):
        raise DataError(_without_header(looks) or _unclear("text", ranked or texts, looks))
    best = ranked[0]
    return (
        best.name,
        f"text is {best.name!r}, which holds the longest strings ({best.length:.0f} characters on average)",
    )


def _label(others: Sequence[Look], given: Columns, looks: Sequence[Look]) -> tuple[str | list[str], str]:
    stated = _stated_label(given)
    if stated:
        return stated
    possible = [look for look in others if look.may_be_label]
    named = _by_name(possible, LABEL_NAMES, among=possible)
    if named:
        return named.name, f"label is {named.name!r} by its name ({_values(named)})"
    return _label_by_content(others, looks)


def _stated_label(given: Columns) -> tuple[str | list[str], str] | None:
    if isinstance(given.label, list):
        return list(given.label), f"labels are the columns {', '.join(given.label)}, as the recipe says"
    return None if given.label is None else (given.label, f"label is {given.label!r}, as the recipe says")


def _number(others: Sequence[Look], given: Columns, looks: Sequence[Look]) -> tuple[str | list[str], str]:
    """The column of numbers to predict."""
    stated = _stated_label(given)
    if stated:
        return stated
    numbers = [look for look in others if look.kind == "number"]
    named = _by_name(numbers, LABEL_NAMES, among=numbers)
    if named:
        return named.name, f"label is {named.name!r} by its name"
    if len(numbers) != 1:
        raise DataError(_unclear("number to predict", numbers, looks))
    return numbers[0].name, f"label is {numbers[0].name!r}, the only column of numbers"


def _token_lists(dataset: datasets.Dataset, given: Columns) -> Found:
    """The column of tokens and that of their tags.

    Raises:
        DataError: a given column does not exist or holds no lists, or the choice is not clear.
    """
    _check_exist(dataset, [name for name in (given.text, given.label) if isinstance(name, str)])
    lists = [name for name in dataset.column_names if _holds_lists(dataset, name)]
    stated = given.label if isinstance(given.label, str) else None
    tags = stated or next((name for name in TAG_NAMES if name in lists and name != given.text), None)
    others = [name for name in lists if name != tags]
    tokens = given.text or next((name for name in TOKEN_NAMES if name in others), None)
    if tokens is None or tags is None or not {tokens, tags} <= set(lists):
        raise DataError(
            "Tagging needs a column with lists of tokens and one with lists of tags; columns with lists are: "
            f"{', '.join(lists) or 'none'}. Token files (.conll, .bio, .bmes) have both; of other data say which they are: "
            "data: {columns: {text: tokens, label: tags}}."
        )
    why = f"tokens are {tokens!r}; tags are {tags!r}."
    return Found(tokens, tags, None, "tags", why, medium="tokens")


def _holds_lists(dataset: datasets.Dataset, name: str) -> bool:
    stored = arrow_type(dataset, name)
    return bool(pa.types.is_list(stored) or pa.types.is_large_list(stored))


def _label_by_content(others: Sequence[Look], looks: Sequence[Look]) -> tuple[str | list[str], str]:
    classes = [look for look in others if look.kind in {"class", "list"}] or [look for look in others if look.repeats]
    if _without_header(looks):
        raise DataError(_without_header(looks))
    if len(classes) > 1 and all(look.binary for look in classes):
        names = [look.name for look in others if look.binary]  # with those that the sample shows only one side of
        return names, f"labels are the columns {', '.join(names)}, which hold only 0 and 1: one column per label"
    if len(classes) != 1:
        raise DataError(_unclear("label", classes, looks))
    name = classes[0].name
    return name, f"label is {name!r}, the only other column with few different values ({_values(classes[0])})"


def _by_name(looks: Sequence[Look], names: Sequence[str], among: Sequence[Look]) -> Look | None:
    """The column that is called by the earliest of these names, else the first `among` these with one in its name."""
    called = {look.name.strip().lower(): look for look in reversed(looks)}
    exact = next((called[name] for name in names if name in called), None)
    return exact or next((look for name in names for look in among if name in _words(look.name)), None)


def _words(name: str) -> set[str]:
    """`reviewText` and `review_text` are review and text; Chinese names are looked into as they are."""
    cut = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    words = {word for word in re.split(r"[\W_\d]+", cut.lower()) if len(word) > 1}
    return words | {known for known in (*TEXT_NAMES, *LABEL_NAMES) if not known.isascii() and known in name}


def _kind(looks: Sequence[Look], label: str | list[str], separator: str | None) -> Kind:
    if isinstance(label, list):
        return "indicator"
    stored = next(look.kind for look in looks if look.name == label)
    if separator is not None:
        return "list" if stored == "list" else "separated"
    return "list" if stored == "list" else "single"


def _values(look: Look) -> str:
    return f"{look.distinct} different values" if look.kind != "list" else "lists of labels"


def _overview(looks: Sequence[Look]) -> str:
    return (
        "The columns are: "
        + "; ".join(f"{look.name} ({look.distinct} values, such as {look.first[:30]!r})" for look in looks)
        + "."
    )


def _unclear(what: str, candidates: Sequence[Look], looks: Sequence[Look]) -> str:
    names = [look.name for look in candidates]
    found = f"it could be {' or '.join(names)}" if names else "none looks like it"
    best = max(looks, key=lambda look: look.length).name
    called = next((look.name for look in looks if look.name.lower() in LABEL_NAMES), "...")
    text, label = (names[0] if names else best, called) if what == "text" else (best, names[0] if names else "...")
    return (
        f"It is not clear which column holds the {what}: {found}. {_overview(looks)} Say it in the recipe:\n"
        f"data:\n  columns: {{text: {text}, label: {label}}}"
    )


def _without_header(looks: Sequence[Look]) -> str | None:
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
