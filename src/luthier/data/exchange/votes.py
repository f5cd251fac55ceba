"""From the answers of one or several annotators to rows, with everything that was left out counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from luthier.counted import many
from luthier.data.exchange import agreement
from luthier.data.exchange.kinds import Kind
from luthier.data.exchange.spans import text_column
from luthier.data.exchange.tagged import Tagged, with_words
from luthier.errors import DataError, ExtraError
from luthier.registry import closest

SHOWN = 20
"""Row numbers listed in the facts."""


@dataclass(frozen=True)
class Answer:
    """What one annotator said of one row."""

    annotator: str
    values: Mapping[str, Any]
    """By column; a column that was left open is absent."""
    decides: bool = False
    """Marked as ground truth: where a row has such answers, only they count."""


@dataclass(frozen=True)
class Item:
    """A row as people saw it."""

    inputs: Mapping[str, Any]
    answers: Sequence[Answer]
    skipped: int = 0
    """Annotators who skipped it."""


Rows = Callable[[], Iterator[Mapping[str, Any]]]
"""Gives rows, as often as it is asked."""


@dataclass(frozen=True)
class Contents:
    """What a file of annotations comes to."""

    rows: Rows
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Arrow types of the columns whose type does not follow from their values."""
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For data.json: counts, row numbers (from 1) and agreement."""


def settle(items: Sequence[Item], kinds: Mapping[str, Kind], annotators: str, name: str) -> Contents:
    """Make rows of annotated items, one per item or one per answer.

    Args:
        items: in the order of the file; their numbers, from 1, are the row numbers of the facts.
        kinds: the columns that annotators fill in.
        annotators: `majority`: one row an item, with what most annotators say, null where they are split evenly or nobody
            answered; `all`: one row an answer, with the columns `item` (row number) and `annotator`.
        name: the file, for the notes.

    Raises:
        DataError: `annotators` is none of these, or there are no rows.
    """
    if annotators not in KEEPING:
        raise DataError(f"data.annotators: there is no way {annotators!r}; {closest(annotators, KEEPING)}")
    rows = list(KEEPING[annotators](items, kinds))
    if not rows:
        raise DataError(f"{name} holds annotation tasks and no answers.")
    types = {column: kind.arrow for column, kind in kinds.items()}
    marked = next((column for column, kind in kinds.items() if kind.spans), "")
    text = text_column([(item.inputs, _given(item, marked)) for item in items]) if marked else None
    words = with_words(rows, text, marked, name) if text else Tagged(rows)
    measured, missing = _agreement(items, kinds)
    facts = _counts(items) | {"ties": _ties(items, kinds), "agreement": measured}
    notes = (*_notes(name, facts, missing, annotators), *words.notes)
    return Contents(lambda: iter(words.rows), {**types, **words.types}, notes, facts)


def _voted(items: Sequence[Item], kinds: Mapping[str, Kind]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield {**item.inputs, **{column: _majority(item, column, kind) for column, kind in kinds.items()}}


def _each(items: Sequence[Item], kinds: Mapping[str, Kind]) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(items, start=1):
        for answer in item.answers:
            values = {column: answer.values.get(column) for column in kinds}
            yield {**item.inputs, **values, "item": number, "annotator": answer.annotator}


KEEPING: Mapping[str, Callable[[Sequence[Item], Mapping[str, Kind]], Iterator[dict[str, Any]]]] = {
    "majority": _voted,
    "all": _each,
}


def _given(item: Item, column: str) -> list[Any]:
    """The answers that count, one for each annotator."""
    deciding = [answer for answer in item.answers if answer.decides] or item.answers
    return [answer.values[column] for answer in deciding if answer.values.get(column) is not None]


def _majority(item: Item, column: str, kind: Kind) -> Any:
    given = _given(item, column)
    return kind.majority(given) if given else None


def _ties(items: Sequence[Item], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    tied = [
        number
        for number, item in enumerate(items, start=1)
        if any(_given(item, column) and _majority(item, column, kind) is None for column, kind in kinds.items())
    ]
    return _listed(tied)


def _counts(items: Sequence[Item]) -> dict[str, Any]:
    unanswered = [number for number, item in enumerate(items, start=1) if not item.answers]
    return {
        "items": len(items),
        "answers": sum(len(item.answers) for item in items),
        "annotators": len({answer.annotator for item in items for answer in item.answers}),
        "skipped": sum(item.skipped for item in items),
        "without_answer": _listed(unanswered),
    }


def _listed(rows: Sequence[int]) -> dict[str, Any]:
    return {"rows": len(rows), "examples": list(rows[:SHOWN])}


def _agreement(items: Sequence[Item], kinds: Mapping[str, Kind]) -> tuple[dict[str, Any], list[str]]:
    """Alpha by column, and why it could not be measured."""
    found: dict[str, Any] = {}
    missing: list[str] = []
    for column, kind in kinds.items():
        if kind.level is None:
            continue
        rows = [(item.inputs, list(_everyone(item.answers, column))) for item in items]
        try:
            units = list(kind.units(rows))
            one = agreement.measure([unit for unit, _ in units], kind.level, [times for _, times in units])
        except (ExtraError, DataError) as reason:
            missing.append(f"agreement on {column!r} was not measured. {reason}")
            continue
        if one is not None:
            several = sum(len(answers) > 1 for _, answers in rows)
            found[column] = {"alpha": one.alpha, "level": one.level, "rows": several, kind.unit: one.units}
    return found, missing


def _everyone(answers: Iterable[Answer], column: str) -> Iterator[Any]:
    return (answer.values[column] for answer in answers if answer.values.get(column) is not None)


def _notes(name: str, facts: Mapping[str, Any], missing: Sequence[str], annotators: str) -> Iterator[str]:
    absent = facts["without_answer"]["rows"]
    if absent or facts["skipped"]:
        skipped = many(facts["skipped"], "annotation was", "annotations were")
        yield f"{name}: {absent:,} of {many(facts['items'], 'row')} without annotation; {skipped} skipped."
    for column, one in facts["agreement"].items():
        alpha = "is not defined, as all say the same" if one["alpha"] is None else f"{one['alpha']:.3f}"
        yield f"{name}: agreement on {column!r} over {_measured_on(one)}, Krippendorff's alpha ({one['level']}): {alpha}."
    yield from (f"{name}: {reason}" for reason in missing)
    tied = facts["ties"]
    if tied["rows"] and annotators == "majority":
        first = ", ".join(map(str, tied["examples"][:5]))
        rows = many(tied["rows"], "row, which has", "rows, which have")
        yield f"{name}: annotators are split evenly on {rows} no label therefore: row {first}."


def _measured_on(one: Mapping[str, Any]) -> str:
    rows = many(one["rows"], "row")
    return f"{one['characters']:,} characters of {rows}" if "characters" in one else rows
