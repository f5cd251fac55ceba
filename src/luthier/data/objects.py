"""Rows as JSON objects: one per line, a list of them, or a list under a key such as {"data": [...]}."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pyarrow as pa

from luthier.data.blocks import blocks
from luthier.data.encoding import Encoding
from luthier.data.packed import inside, open_bytes
from luthier.errors import DataError

Rows = Callable[[], Iterator[Mapping[str, Any]]]
EXPECTED = (
    'expected one object per line such as {"text": "...", "label": "..."}, a list of such objects, or {"data": [...]}'
)


def batches(rows: Rows, path: Path, types: Mapping[str, pa.DataType] | None = None) -> Iterator[pa.RecordBatch]:
    """Rows as Arrow batches.

    Values of different kinds under one key (2 and "two") become strings. Passes over the rows twice, once for the columns.

    Args:
        rows: gives the rows, as often as it is asked.
        path: where they come from, for messages.
        types: Arrow types of columns whose values fit them; those of the others follow from their values.

    Raises:
        DataError: there are no rows.
    """
    given = {name: (arrow, _as_is) for name, arrow in (types or {}).items()}
    readers = {name: _reader(kinds) for name, kinds in _kinds(rows(), path).items()} | given
    schema = pa.schema([(name, arrow) for name, (arrow, _) in readers.items()])
    for block in blocks(rows(), _weight):
        columns = [pa.array([read(row.get(name)) for row in block], arrow) for name, (arrow, read) in readers.items()]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _weight(row: Mapping[str, Any]) -> int:
    return sum(len(value) if isinstance(value, str) else 16 for value in row.values())


def beginning(path: Path, encoding: Encoding, characters: int = 1 << 16) -> str:
    """The first characters of a file."""
    with _open(path, encoding.codec) as file:
        return file.read(characters)


def read(path: Path, encoding: Encoding) -> Rows:
    """The rows of a JSON file, as often as they are asked for; a list is held in memory, lines are read anew.

    Raises:
        DataError: not JSON, not objects, or no rows; the message names the line.
    """
    codec = encoding.codec
    if _has_lines(path, codec):
        return lambda: _lines(path, codec)
    with _open(path, codec) as file:
        text = file.read().removeprefix("\ufeff")
    try:
        content = json.loads(text)
    except json.JSONDecodeError as wrong:
        raise DataError(f"{path}, line {wrong.lineno}: this is not JSON ({wrong.msg}); {EXPECTED}.") from None
    except (ValueError, RecursionError) as wrong:
        raise DataError(f"{path} cannot be read as JSON ({wrong}); {EXPECTED}.") from None
    rows = _list_in(content)
    if rows is None:
        raise DataError(f"{path} holds no list of rows; {EXPECTED}.")
    return lambda: (_checked(row, path, f"row {number}") for number, row in enumerate(rows, start=1))


def _open(path: Path, codec: str) -> TextIOWrapper:
    return TextIOWrapper(open_bytes(path), encoding=codec)


def _has_lines(path: Path, codec: str) -> bool:
    """Whether the first line is an object of its own and not the whole of {"data": [...]}."""
    with _open(path, codec) as file:
        lines = (line.removeprefix("\ufeff").strip() for line in file)
        first = next((line for line in lines if line), None)
        if first is None:
            raise DataError(f"{path} is empty; {EXPECTED}.")
        if not first.startswith("{"):
            return False
        second = next((line for line in lines if line), None)
    if second is not None and second.startswith("{") and first.endswith("}"):
        return True
    try:
        return second is None and not _is_holder(json.loads(first), inside(path).endswith(".jsonl"))
    except (ValueError, RecursionError):  # the reader says what is wrong
        return inside(path).endswith(".jsonl")


def _is_holder(content: dict[str, Any], has_lines: bool) -> bool:
    """Whether an object holds the rows; where lines are rows, one with more than its list is a row, unless that is called `data`."""
    return _list_in(content) is not None and ("data" in content or len(content) == 1 or not has_lines)


def _lines(path: Path, codec: str) -> Iterator[dict[str, Any]]:
    with _open(path, codec) as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix("\ufeff") if number == 1 else line
            if not text.strip():
                continue
            try:
                row = json.loads(text)
            except json.JSONDecodeError as wrong:
                raise DataError(
                    f"{path}, line {number}: this is not JSON ({wrong.msg}): {text.strip()[:80]!r}."
                ) from None
            except (
                ValueError,
                RecursionError,
            ) as wrong:  # numbers of thousands of digits, lists within lists within lists
                raise DataError(f"{path}, line {number} cannot be read as JSON ({wrong}).") from None
            yield _checked(row, path, f"line {number}")


def _list_in(content: Any) -> list[Any] | None:
    """The list of rows: the content itself, what stands under `data`, or the only list of objects there is."""
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return None
    lists = {
        key: value for key, value in content.items() if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    return lists.get("data", next(iter(lists.values())) if len(lists) == 1 else None)


def _checked(row: Any, path: Path, where: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise DataError(f"{path}, {where} is {json.dumps(row, ensure_ascii=False)[:60]}, not an object; {EXPECTED}.")
    return row


def _kinds(rows: Iterator[Mapping[str, Any]], path: Path) -> dict[str, set[type]]:
    """The kinds of values under each key; null counts for nothing."""
    kinds: dict[str, set[type]] = defaultdict(set)
    for row in rows:
        for name, value in row.items():
            if name not in kinds and not _is_name(name):
                raise DataError(
                    f"{path}: the key {name!r} holds what no column can be called by. Give it another name."
                )
            kinds[name] |= set() if value is None else {_kind(value)}
    if not kinds:
        raise DataError(f"{path} holds no rows; {EXPECTED}.")
    return kinds


def _is_name(key: str) -> bool:
    """Whether Arrow can call a column so: neither the character NUL nor half of one."""
    return "\0" not in key and not any("\ud800" <= letter <= "\udfff" for letter in key)


def _kind(value: Any) -> type:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str
    return type(value)


def _reader(kinds: set[type]) -> tuple[pa.DataType, Callable[[Any], Any]]:
    """Arrow type that holds all of these kinds, and what makes a value fit it."""
    if kinds in ({bool}, {int}):
        return (pa.bool_() if kinds == {bool} else pa.int64()), _as_is
    if kinds in ({float}, {int, float}):
        return pa.float64(), lambda number: None if number is None else float(number)
    if kinds == {list}:
        return pa.list_(pa.string()), lambda items: None if items is None else [_text(item) for item in items]
    return pa.string(), _text


def _as_is(value: Any) -> Any:
    return value


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Half an emoji (a lone surrogate, which JSON can write) is no character.
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
