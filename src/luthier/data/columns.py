"""Which columns hold the text and the label: as given, else by their names, else by what stands in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import datasets

from luthier.data import captioning, captions, cells, media, passages, transcripts
from luthier.data.found import Found, Kind
from luthier.data.labels import all_integers, arrow_type, is_text, labels
from luthier.data.looks import (
    LABEL_NAMES,
    NUMBER,
    TEXT_NAMES,
    Look,
    by_name,
    check_exist,
    look_at,
    unclear,
    values_of,
    without_header,
)
from luthier.data.pair_columns import paired
from luthier.data.token_columns import token_lists
from luthier.errors import DataError
from luthier.recipe.data import INPUTS, Columns
from luthier.registry import closest
from luthier.tasks import Labels

__all__ = ["NUMBER", "Found", "again", "column_of", "infer", "labels"]

LONG = 3.0
"""How many times longer than the next a column's texts must be to be taken for the text by content alone."""


READ_AS: Mapping[str, Labels] = {
    "numbers": "numbers",
    "tags": "tags",
    "texts": "texts",
    "none": "none",
    "answers": "answers",
    "transcripts": "transcripts",
    "captions": "texts",
}
"""How a task reads labels of some kinds; all others are of classes."""

OWN_WAYS: Mapping[Labels, Callable[[datasets.Dataset, Columns], Found]] = {
    "tags": token_lists,
    "texts": captioning.find,
    "none": captions.pairs,
    "answers": passages.find,
    "transcripts": transcripts.find,
}
"""How columns are found where inputs are no single texts, images or sounds."""


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
    if wanted in OWN_WAYS:
        return OWN_WAYS[wanted](dataset, given)
    _check_given(dataset, given)
    pair = paired(dataset.column_names, given)
    if pair and all(is_text(arrow_type(dataset, name)) for name in pair):
        return _pair(dataset, given, wanted, *pair)
    captioned = captions.both(dataset, given)
    if captioned:
        return _captioned(dataset, given, wanted, *captioned)
    decoded = _decoded(dataset, given)
    looks = look_at(dataset.remove_columns(list(decoded)))
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
    read = dict(zip(INPUTS[facts.get("medium", "text")], cells.read_by(facts), strict=True))
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
    check_exist(dataset, [name for name in (*inputs, *labels_given) if name is not None])
    named: dict[str, str] = {}
    for key, column in zip(INPUTS.get(medium, ()), inputs, strict=True):
        twice = named.get(column) or ("label" if column in labels_given else None)
        if twice:
            raise DataError(f"data.columns names {column!r} as both {key} and {twice}.")
        if key not in media.MEDIA and not is_text(arrow_type(dataset, column)):
            raise DataError(f"data.columns.{key}: column {column!r} holds {arrow_type(dataset, column)}, not text.")
        named[column] = key


def _decoded(dataset: datasets.Dataset, given: Columns) -> dict[str, str]:
    """Columns whose cells are images or audio, by what they are; where the recipe names the input, only that one."""
    if given.input:
        medium, columns = given.input
        return dict.fromkeys(columns, medium) if medium in media.MEDIA else {}
    return media.held(dataset)


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


def _captioned(dataset: datasets.Dataset, given: Columns, wanted: Labels, image: str, text: str) -> Found:
    """A column of images and one of texts, and the label column among the others."""
    one = given.model_copy(update={"text": text, "image": None})
    alone = infer(dataset.remove_columns(image), one, wanted)
    why = f"{captions.said(image, text, given)}; {alone.why.partition('; ')[2]}"
    return replace(alone, text=image, also=(text,), medium=captions.MEDIUM, why=why)


def _text(looks: Sequence[Look], given: Columns) -> tuple[str, str]:
    if given.text is not None:
        return given.text, f"text is {given.text!r}, as the recipe says"
    taken = given.label if isinstance(given.label, list) else [given.label]
    texts = [look for look in looks if look.kind == "text" and look.name not in taken]
    named = by_name(texts, TEXT_NAMES, among=[look for look in texts if not look.repeats])
    if named:
        return named.name, f"text is {named.name!r} by its name"
    ranked = sorted((look for look in texts if not look.repeats), key=lambda look: -look.length)
    if not ranked and len(texts) == 1:
        ranked = texts
    if not ranked or without_header(looks) or (len(ranked) > 1 and ranked[0].length < LONG * ranked[1].length):
        raise DataError(without_header(looks) or unclear("text", ranked or texts, looks))
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
    named = by_name(possible, LABEL_NAMES, among=possible)
    if named:
        return named.name, f"label is {named.name!r} by its name ({values_of(named)})"
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
    named = by_name(numbers, LABEL_NAMES, among=numbers)
    if named:
        return named.name, f"label is {named.name!r} by its name"
    if len(numbers) != 1:
        raise DataError(unclear("number to predict", numbers, looks))
    return numbers[0].name, f"label is {numbers[0].name!r}, the only column of numbers"


def _label_by_content(others: Sequence[Look], looks: Sequence[Look]) -> tuple[str | list[str], str]:
    classes = [look for look in others if look.kind in {"class", "list"}] or [look for look in others if look.repeats]
    if without_header(looks):
        raise DataError(without_header(looks))
    if len(classes) > 1 and all(look.binary for look in classes):
        names = [look.name for look in others if look.binary]  # with those that the sample shows only one side of
        return names, f"labels are the columns {', '.join(names)}, which hold only 0 and 1: one column per label"
    if len(classes) != 1:
        raise DataError(unclear("label", classes, looks))
    name = classes[0].name
    return name, f"label is {name!r}, the only other column with few different values ({values_of(classes[0])})"


def _kind(looks: Sequence[Look], label: str | list[str], separator: str | None) -> Kind:
    if isinstance(label, list):
        return "indicator"
    stored = next(look.kind for look in looks if look.name == label)
    if separator is not None:
        return "list" if stored == "list" else "separated"
    return "list" if stored == "list" else "single"
