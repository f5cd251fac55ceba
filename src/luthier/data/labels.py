"""The label column as values: a string, an integer or a float per row, a list of strings for multi-label, None where it is missing."""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc

from luthier.data.answers import Answer
from luthier.data.cells import values
from luthier.data.found import Found, Kind
from luthier.data.tables import scan
from luthier.errors import DataError

INTEGER = re.compile(r"-?(0|[1-9]\d*)(\.0+)?")
"""`3` and `3.0` (what pandas makes of integers beside a gap), but not `03`, which is a code."""


YES = frozenset({"1", "1.0", "true", "yes"})
NO = frozenset({"0", "0.0", "false", "no"})


def labels(dataset: datasets.Dataset, found: Found) -> list[Any]:
    """One value per row.

    A single label is a str, or an int where `found.integers` and it reads as one; whole floats count as integers, booleans become
    `true` and `false`, class numbers of a ClassLabel their names. Multi-label values are lists of str; no label at all is an empty
    list. Numbers are floats, and of several columns a mapping of column to float. Missing is None: null, an empty or blank cell, a
    class number below 0, and for indicators and several numbers any missing cell. Rows that have none are all 1.

    Raises:
        DataError: an indicator column holds something that is neither 0 nor 1, a number is none, or a list cannot be read.
    """
    return list(READERS[found.kind](dataset, found))


def measured(labels: Sequence[Any]) -> bool:
    """Whether labels are numbers that were measured, so that rows need not share any and those that differ do not conflict."""
    return bool(labels) and isinstance(labels[0], float | dict | Answer)


def all_integers(dataset: datasets.Dataset, column: str) -> bool:
    """Whether every label in a column that is not missing reads as an integer."""
    read = _scalar(dataset, column)
    seen = {read(value) for value in distinct(dataset, column)} - {None}
    return bool(seen) and all(isinstance(value, str) and INTEGER.fullmatch(value) for value in seen)


def distinct(dataset: datasets.Dataset, column: str) -> set[Any]:
    """The different values of a column."""
    values: set[Any] = set()
    for table in scan(dataset, column):
        values.update(pc.unique(table[column]).to_pylist())
    return values


def is_listed(value: Any) -> bool:
    """Whether a cell is a list written as text: `["a", "b"]` (JSON) or `['a', 'b']` (pandas)."""
    return isinstance(value, str) and value.strip().startswith("[") and value.strip().endswith("]")


def _single(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    column = _only(found)
    read = _scalar(dataset, column)
    known: dict[Any, Any] = {}
    for table in scan(dataset, column):
        for value in table[column].to_pylist():
            if value not in known:
                known[value] = _number(read(value)) if found.integers else read(value)
            yield known[value]


def _list(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    for items in _tags(dataset, found):
        yield None if items is None else _several(iter(items))


def _tags(dataset: datasets.Dataset, found: Found) -> Iterator[list[Any] | None]:
    """The items of each list, in their order."""
    column = _only(found)
    feature = dataset.features[column]
    inner = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else None
    read = _named(inner) if isinstance(inner, datasets.ClassLabel) else _plain
    for table in scan(dataset, column):
        for value in table[column].to_pylist():
            items = _parsed(value, column) if isinstance(value, str) else value
            yield None if items is None else [read(one) for one in items]


def _separated(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    column = _only(found)
    for table in scan(dataset, column):
        for value in table[column].to_pylist():
            cell = _plain(value)
            if cell is not None:
                yield _several(map(_plain, cell.split(found.separator)))
            else:  # an empty cell says that no label fits, null says nothing
                yield [] if isinstance(value, str) else None


def _indicator(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    columns = list(found.label)
    row = 0
    for table in scan(dataset, *columns):
        for cells in zip(*(table[column].to_pylist() for column in columns), strict=True):
            row += 1
            marks = [_mark(cell, column, row) for cell, column in zip(cells, columns, strict=True)]
            yield None if None in marks else [column for column, mark in zip(columns, marks, strict=True) if mark]


def _numbers(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    columns = found.label if isinstance(found.label, list) else [found.label]
    reads = [_scalar(dataset, column) for column in columns]
    row = 0
    for table in scan(dataset, *columns):
        for cells in zip(*(table[column].to_pylist() for column in columns), strict=True):
            row += 1
            values = [
                _measured(read(cell), column, row) for read, cell, column in zip(reads, cells, columns, strict=True)
            ]
            if None in values:
                yield None
            else:
                yield dict(zip(columns, values, strict=True)) if isinstance(found.label, list) else values[0]


def _texts(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    from luthier.data.dialogues import last_answers

    return last_answers(values(dataset, found.encoded))


def _none(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    return iter([1.0] * len(dataset))


def _answers(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    from luthier.data.passages import read

    return read(dataset, found)


def _transcripts(dataset: datasets.Dataset, found: Found) -> Iterator[Any]:
    from luthier.data.transcripts import words

    return words(dataset, found)


READERS: dict[Kind, Callable[[datasets.Dataset, Found], Iterator[Any]]] = {
    "single": _single,
    "list": _list,
    "separated": _separated,
    "indicator": _indicator,
    "numbers": _numbers,
    "tags": _tags,
    "texts": _texts,
    "none": _none,
    "answers": _answers,
    "transcripts": _transcripts,
    "captions": _transcripts,
}


def _only(found: Found) -> str:
    if isinstance(found.label, list):
        raise TypeError(f"{found.kind} labels stand in one column, not in {found.label}")
    return found.label


def _scalar(dataset: datasets.Dataset, column: str) -> Callable[[Any], str | None]:
    feature = dataset.features[column]
    return _named(feature) if isinstance(feature, datasets.ClassLabel) else _plain


def _named(feature: datasets.ClassLabel) -> Callable[[Any], str | None]:
    """Class numbers to names; data sets on the hub write -1 where the label is withheld."""
    return lambda number: None if number is None or number < 0 else str(feature.int2str(number))


def _plain(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip() or None


def _number(value: str | None) -> str | int | None:
    return int(value.split(".")[0]) if value is not None and INTEGER.fullmatch(value) else value


def _several(items: Iterator[str | None]) -> list[str]:
    """Without gaps and repetitions, in the order written."""
    return list(dict.fromkeys(item for item in items if item is not None))


def _parsed(value: str, column: str) -> list[Any] | None:
    if not value.strip():
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            items = parse(value)
        except (ValueError, SyntaxError):
            continue
        if isinstance(items, list):
            return items
    raise DataError(f'column {column!r} holds lists, and {value[:60]!r} is none; expected one such as ["a", "b"].')


def _mark(cell: Any, column: str, row: int) -> bool | None:
    value = _plain(cell)
    if value is None:
        return None
    if value.lower() in YES | NO:
        return value.lower() in YES
    raise DataError(
        f"column {column!r}, row {row}: {value!r} is neither 0 nor 1. With one column per label each cell says whether the row has it; "
        "for a single column of class names write data.columns.label: " + column + "."
    )


def _measured(cell: str | None, column: str, row: int) -> float | None:
    if cell is None:
        return None
    try:
        value = float(cell.replace("_", "-"))  # Python alone reads 1_000 as a number
    except ValueError:
        value = math.inf
    if math.isfinite(value):
        return value
    raise DataError(
        f"column {column!r}, row {row}: {cell[:40]!r} is no number. The task predicts numbers: write them with digits and a decimal point, "
        "as 3.5, and leave a cell empty where there is none; for classes write task: classify."
    )


def arrow_type(dataset: datasets.Dataset, column: str) -> pa.DataType:
    """How a column is stored."""
    return dataset.features.arrow_schema.field(column).type


def is_text(stored: pa.DataType) -> bool:
    """Whether Arrow stores strings."""
    return bool(pa.types.is_string(stored) or pa.types.is_large_string(stored))
