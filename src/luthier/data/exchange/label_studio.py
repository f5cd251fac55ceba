"""Label Studio's exports: JSON (a task with all its annotations), JSON-MIN and CSV (an annotation a row).

Formats: https://labelstud.io/guide/export and, for JSON-MIN and CSV, label_studio_sdk.converter.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.counted import many
from luthier.data.exchange import kinds
from luthier.data.exchange.kinds import Kind
from luthier.data.exchange.spans import Span
from luthier.data.exchange.votes import Answer, Contents, Item, Rows, settle
from luthier.errors import DataError

BOOKKEEPING = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "history")
"""Columns that the flat exports add to those of the data and of the labels."""

Region = Mapping[str, Any]
"""The value of one result: `{"choices": [...]}`, `{"rating": 4}`, `{"start": 0, "end": 4, "labels": [...]}` ..."""


@dataclass(frozen=True)
class Field:
    """One kind of result, told by the key that holds it."""

    kind: Kind
    holds: Callable[[Region], bool]
    """Whether a region is of this kind."""
    read: Callable[[Sequence[Region]], Any]
    """What all regions of one control say together."""


def _choices(regions: Sequence[Region]) -> list[str]:
    return list(dict.fromkeys(str(choice) for region in regions for choice in region["choices"]))


def _spans(regions: Sequence[Region]) -> list[Span]:
    return [
        {"start": region["start"], "end": region["end"], "label": str(label)}
        for region in regions
        for label in region["labels"]
    ]


def _is_span(region: Region) -> bool:
    """Part of a text; those of sounds are in fractions of a second."""
    return isinstance(region.get("labels"), list) and all(isinstance(region.get(key), int) for key in ("start", "end"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


FIELDS = (
    Field(kinds.CHOICES, lambda region: isinstance(region.get("choices"), list), _choices),
    Field(kinds.SPAN_LIST, _is_span, _spans),
    Field(
        kinds.RATING,
        lambda region: _is_number(region.get("rating")),
        lambda regions: round(float(regions[0]["rating"])),
    ),
    Field(kinds.NUMBER, lambda region: _is_number(region.get("number")), lambda regions: float(regions[0]["number"])),
    Field(  # a pair's left or right
        kinds.CHOICE, lambda region: isinstance(region.get("selected"), str), lambda regions: regions[0]["selected"]
    ),
    Field(
        kinds.TEXT,
        lambda region: isinstance(region.get("text"), list) and "labels" not in region,
        lambda regions: "\n".join(str(line) for region in regions for line in region["text"]),
    ),
)


def is_tasks(row: Mapping[str, Any]) -> bool:
    """Whether this is a task of the JSON export."""
    return isinstance(row.get("data"), dict) and any(
        isinstance(row.get(key), list) for key in ("annotations", "completions")
    )


def is_flat(names: Iterable[str]) -> bool:
    """Whether these are the columns of JSON-MIN or CSV."""
    return {"annotator", "annotation_id", "lead_time"} <= set(names)


def read_tasks(rows: Rows, name: str, annotators: str) -> Contents:
    """The JSON export: a row a task, in the order of the file.

    Where rows have several choices, an annotation that was submitted empty says that none fits; where they have spans, one without
    any says that there are none; elsewhere it says nothing.

    Args:
        rows: gives the tasks.
        name: the file, for messages.
        annotators: `majority` or `all`, see `votes.settle`.

    Raises:
        DataError: a task is none, with its number.
    """
    odd: Counter[str] = Counter()
    items = [_item(task, f"{name}, task {number}", odd) for number, task in enumerate(rows(), start=1)]
    return _settled(items, name, annotators, odd, flat=False)


def read_flat(rows: Rows, name: str, annotators: str) -> Contents:
    """JSON-MIN and CSV: a row a task, with the answers of all its annotators; skipped ones are not in these exports.

    A column holds answers when some cell is written as Label Studio writes results, or when its cells differ within a task. Plain
    choices on which all agree cannot be told from data, and come back as they are.
    """
    tasks: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for number, row in enumerate(rows(), start=1):
        tasks[row.get("id") or f"row {number}"].append(row)
    labelled = _label_columns(tasks.values())
    odd: Counter[str] = Counter()
    items = [_flat_item(versions, labelled, odd) for versions in tasks.values()]
    return _settled(items, name, annotators, odd, flat=True)


def _settled(items: Sequence[Item], name: str, annotators: str, odd: Counter[str], flat: bool) -> Contents:
    items = list(_with_kept_inputs(items))
    found = _kinds(items)
    single = [column for column, kind in found.items() if kind is kinds.CHOICES and _at_most_one(items, column)]
    found |= dict.fromkeys(single, kinds.CHOICE)
    plain = [_plain(item, found, single, odd) for item in items]
    if not flat:  # there, plain choices stand among the inputs and an answer may have nothing else
        plain = [Item(item.inputs, [one for one in item.answers if one.values], item.skipped) for item in plain]
    made = settle(plain, found, annotators, name)
    left_out = [
        f"{name}: of the kind {key!r} {many(rows, 'result was', 'results were')} left out." for key, rows in odd.items()
    ]
    return Contents(made.rows, made.types, (*made.notes, *left_out), made.facts)


def _item(task: Any, where: str, odd: Counter[str]) -> Item:
    annotations = task.get("annotations", task.get("completions"))
    if not isinstance(task.get("data"), dict) or not isinstance(annotations, list):
        raise DataError(
            f"{where} is no task of Label Studio's JSON export: expected an object with `data` and a list of `annotations`."
        )
    if not all(isinstance(annotation, dict) for annotation in annotations):
        raise DataError(f"{where}: an annotation is no object; expected one with `completed_by` and a list `result`.")
    latest: dict[str, Mapping[str, Any]] = {}
    for annotation in sorted(annotations, key=lambda one: str(one.get("created_at") or "")):
        latest[_annotator(annotation)] = annotation
    kept = {who: one for who, one in latest.items() if not (one.get("was_cancelled") or one.get("skipped"))}
    answers = [Answer(who, _answered(one, where, odd), bool(one.get("ground_truth"))) for who, one in kept.items()]
    return Item(task["data"], answers, len(latest) - len(kept))


def _annotator(annotation: Mapping[str, Any]) -> str:
    who = annotation.get("completed_by")
    if isinstance(who, dict):
        who = who.get("email") or who.get("id")
    return str(who) if who is not None else f"annotation {annotation.get('id')}"


def _answered(annotation: Mapping[str, Any], where: str, odd: Counter[str]) -> dict[str, Any]:
    """What an annotation says, by the name of its control (`from_name`)."""
    regions: dict[str, list[Region]] = defaultdict(list)
    results = annotation.get("result") or []
    for result in results if isinstance(results, list) else [results]:
        if not _is_result(result):
            raise DataError(
                f"{where}: a result of an annotation is {json.dumps(result)[:60]}; expected an object with `value`."
            )
        if "from_name" in result:  # relations between regions have none
            regions[result["from_name"]].append(result.get("value", {}))
    return {name: value for name, values in regions.items() if (value := _value(values, odd)) is not None}


def _is_result(result: Any) -> bool:
    return (
        isinstance(result, dict)
        and isinstance(result.get("value", {}), dict)
        and isinstance(result.get("from_name", ""), str)
    )


def _value(regions: Sequence[Region], odd: Counter[str]) -> tuple[Kind, Any] | None:
    """The answer with its kind, or None for one that no column can hold, which is counted in `odd`."""
    for field in FIELDS:
        fitting = [region for region in regions if field.holds(region)]
        if fitting:
            return field.kind, field.read(fitting)
    for region in regions:
        odd[", ".join(sorted(set(region) - {"start", "end", "type"})) or "empty"] += 1
    return None


def _label_columns(tasks: Iterable[Sequence[Mapping[str, Any]]]) -> set[str]:
    """Columns of a flat export that hold answers: written as Label Studio's objects, or not the same throughout a task."""
    found: set[str] = set()
    for versions in tasks:
        for column in set().union(*versions) - set(BOOKKEEPING) - found:
            cells = [row.get(column) for row in versions]
            if any(_regions(cell) for cell in cells) or any(cell != cells[0] for cell in cells):
                found.add(column)
    return found


def _regions(cell: Any) -> list[Region] | None:
    """The results that a cell holds, as objects or as their JSON; None where it holds something else."""
    if isinstance(cell, str) and cell[:1] in {"[", "{"}:
        try:
            cell = json.loads(cell)
        except json.JSONDecodeError:
            return None
    regions = cell if isinstance(cell, list) else [cell]
    return regions if regions and all(map(_is_region, regions)) else None


def _is_region(region: Any) -> bool:
    return isinstance(region, dict) and any(field.holds(region) for field in FIELDS)


def _flat_item(versions: Sequence[Mapping[str, Any]], labelled: set[str], odd: Counter[str]) -> Item:
    answers = []
    for row in versions:
        filled = {column: row[column] for column in labelled if row.get(column) not in (None, "", [], "[]")}
        values = {column: _flat_value(cell, odd) for column, cell in filled.items()}
        given = {column: value for column, value in values.items() if value is not None}
        if row.get("annotation_id") not in (None, ""):
            answers.append(Answer(str(row.get("annotator")), given))
    inputs = {column: cell for column, cell in versions[0].items() if column not in {*BOOKKEEPING, *labelled}}
    return Item(inputs, answers)


def _flat_value(cell: Any, odd: Counter[str]) -> tuple[Kind, Any] | None:
    regions = _regions(cell)
    return _value(regions, odd) if regions else (kinds.CHOICES, [str(cell)])


def _with_kept_inputs(items: Sequence[Item]) -> Iterator[Item]:
    """Data columns that are called like an answer get the name that Label Studio's CSV gives them: `_data_NAME`."""
    answered = {column for item in items for answer in item.answers for column in answer.values}
    for item in items:
        inputs = {f"_data_{key}" if key in answered else str(key): value for key, value in item.inputs.items()}
        yield Item(inputs, item.answers, item.skipped)


def _kinds(items: Sequence[Item]) -> dict[str, Kind]:
    """The kind of each answered column: the first that is met."""
    found: dict[str, Kind] = {}
    for item in items:
        for answer in item.answers:
            for column, (kind, _) in answer.values.items():
                found.setdefault(column, kind)
    return found


def _at_most_one(items: Sequence[Item], column: str) -> bool:
    given = (answer.values.get(column) for item in items for answer in item.answers)
    return all(len(pair[1]) <= 1 for pair in given if pair is not None and pair[0] is kinds.CHOICES)


def _plain(item: Item, found: Mapping[str, Kind], single: Sequence[str], odd: Counter[str]) -> Item:
    """The item with bare values: of a column with at most one choice that choice, no list."""
    nothing: dict[str, Any] = {column: [] for column, kind in found.items() if kind is kinds.CHOICES}
    unmarked: dict[str, Any] = {column: [] for column, kind in found.items() if kind is kinds.SPAN_LIST}
    answers = []
    for answer in item.answers:
        values = dict(unmarked) if answer.values else nothing | unmarked
        for column, (kind, value) in answer.values.items():
            if column in single and kind is kinds.CHOICES:
                values[column] = next(iter(value), None)
            elif kind is found[column]:
                values[column] = value
            else:
                odd[f"{column}, of two kinds"] += 1
        answers.append(Answer(answer.annotator, values, answer.decides))
    return Item(item.inputs, answers, item.skipped)
