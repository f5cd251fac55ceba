"""Predictions of a whole file, written as they come, so that the file need not fit into memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from luthier.data import cells
from luthier.errors import DataError
from luthier.show import Console
from luthier.tasks import Prediction

CHUNK = 2048
"""Rows that are predicted and written at a time."""

Rows = list[dict[str, Any]]


def write(
    output: Path,
    tables: Sequence[datasets.Dataset],
    predict: Callable[[Sequence[Any]], list[Prediction]],
    columns: Sequence[str],
) -> int:
    """Write every row with `predicted` and, where there is one, `confidence` beside its own columns; returns how many.

    Raises:
        DataError: the ending of `output` is none of .csv, .jsonl and .parquet.
    """
    if output.suffix not in WRITERS:
        raise DataError(f"Predictions are written as {', '.join(sorted(WRITERS))}; got --output {output}.")
    total = sum(len(table) for table in tables)
    output.parent.mkdir(parents=True, exist_ok=True)
    with Console().bar("Predicting", total) as advance:
        WRITERS[output.suffix](output, _answered(tables, predict, columns, advance))
    return total


def _answered(
    tables: Sequence[datasets.Dataset],
    predict: Callable[[Sequence[Any]], list[Prediction]],
    columns: Sequence[str],
    advance: Callable[[int], None],
) -> Iterator[Rows]:
    for table in tables:
        for start in range(0, len(table), CHUNK):
            chunk = table[start : start + CHUNK]
            read = {name: [cell or "" for cell in chunk[name]] for name in columns}
            answers = predict(cells.values(read, columns))
            rows = [dict(zip(chunk, values, strict=True)) for values in zip(*chunk.values(), strict=True)]
            yield [row | _columns(answer) for row, answer in zip(rows, answers, strict=True)]
            advance(len(rows))


def _columns(answer: Prediction) -> dict[str, Any]:
    sure = {} if answer.confidence is None else {"confidence": round(answer.confidence, 4)}
    if isinstance(answer.label, dict):
        return {f"predicted {name}": value for name, value in answer.label.items()} | sure
    return {"predicted": answer.label} | sure


def _csv(output: Path, chunks: Iterator[Rows]) -> None:
    with output.open("w", encoding="utf-8", newline="") as stream:
        writer = None
        for rows in chunks:
            if writer is None:
                writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
                writer.writeheader()
            writer.writerows([{key: _cell(value) for key, value in row.items()} for row in rows])


def _cell(value: Any) -> Any:
    """Several values with a bar between them; what has parts, such as an entity, as JSON."""
    if not isinstance(value, list):
        return value
    parts = any(isinstance(one, dict) for one in value)
    return json.dumps(value, ensure_ascii=False) if parts else "|".join(map(str, value))


def _jsonl(output: Path, chunks: Iterator[Rows]) -> None:
    with output.open("w", encoding="utf-8") as stream:
        for rows in chunks:
            stream.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def _parquet(output: Path, chunks: Iterator[Rows]) -> None:
    first = pa.Table.from_pylist(next(chunks))
    with pq.ParquetWriter(output, first.schema) as writer:
        writer.write_table(first)
        for rows in chunks:
            writer.write_table(pa.Table.from_pylist(rows, schema=first.schema))


WRITERS: dict[str, Callable[[Path, Iterator[Rows]], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
