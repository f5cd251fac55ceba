"""Predictions of a whole file, written as they come, so that the file need not fit into memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from luthier.counted import many
from luthier.data import cells, hub, media, source
from luthier.data.media import folder
from luthier.data.media.stored import is_missing
from luthier.errors import DataError
from luthier.modalities import Modality
from luthier.recipe.data import Data
from luthier.show import Console
from luthier.tasks import Prediction

CHUNK = 2048
"""Most rows that are predicted and written at a time; of what is decoded first, such as images, no more than are encoded together."""
SHOWN = 5
"""Rows named in a sentence."""

Rows = list[dict[str, Any]]
Given = Callable[[Any], Any]


@dataclass(frozen=True)
class Answering:
    """What makes predictions of rows."""

    modality: Modality
    answer: Callable[[Sequence[Any]], list[Prediction]]
    """Predictions of what `Modality.given` gave, in its order."""

    @property
    def together(self) -> int:
        """Rows that are answered at a time."""
        return min(CHUNK, self.modality.together)

    def tried(self, values: Sequence[Any]) -> list[Prediction | DataError]:
        """A prediction of each row, or why it cannot be read."""
        read = [_read(self.modality.given, value) for value in values]
        answers = iter(self.answer([one for one in read if not isinstance(one, DataError)]))
        return [one if isinstance(one, DataError) else next(answers) for one in read]


def tables(file: str, facts: Mapping[str, Any]) -> list[datasets.Dataset]:
    """The rows of a file or folder that is to be predicted, a table a split.

    Args:
        file: any data file that a recipe can name, or a folder of images or recordings without classes.
        facts: what data.json says of the run's columns.

    Raises:
        DataError: it cannot be read.
    """
    path, medium = Path(file).expanduser(), facts["medium"]
    if medium in media.MEDIA and path.is_dir() and not hub.is_saved(path):
        loose = folder.read_loose(path, medium, facts["text"])
        if loose is not None:
            return [loose]
    found = source.read(Data(files=file)).splits.values()
    return [_renamed(rows, medium, facts["text"]) for rows in found]


def write(output: Path, rows: Sequence[datasets.Dataset], answering: Answering, columns: Sequence[str]) -> int:
    """Write every row with `predicted` and, where there is one, `confidence` beside its own columns; returns how many.

    Rows that cannot be read have an empty prediction, and are told on stderr with the reason. The file is there when it is whole.

    Args:
        output: a .csv, .jsonl or .parquet file.
        rows: tables with the same columns.
        answering: what predicts them.
        columns: that it reads.

    Raises:
        DataError: the ending of `output` is another, or no row can be read.
    """
    if output.suffix not in WRITERS:
        raise DataError(f"Predictions are written as {', '.join(sorted(WRITERS))}; got --output {output}.")
    total = sum(map(len, rows))
    unread: list[str] = []
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.part")
    console = Console()
    try:
        with console.bar("Predicting", total) as advance:
            WRITERS[output.suffix](partial, _filled(_answered(rows, answering, columns, unread, advance)))
        if len(unread) == total:
            raise DataError(f"None of the {total:,} rows can be read: {_listed(unread)}.")
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    if unread:
        console.warn(
            f"{len(unread):,} of {many(total, 'row')} cannot be read and got no prediction: {_listed(unread)}."
        )
    return total


def _renamed(rows: datasets.Dataset, medium: str, column: str) -> datasets.Dataset:
    """Folders of classes call their column after the medium, and a run may have learned from another."""
    named = medium in rows.column_names and column not in rows.column_names
    return rows.rename_column(medium, column) if named else rows


def _listed(unread: Sequence[str]) -> str:
    more = f" and {len(unread) - SHOWN:,} more" if len(unread) > SHOWN else ""
    return "; ".join(unread[:SHOWN]) + more


def _read(given: Given, value: Any) -> Any:
    """What a row is for the model, or why it is nothing."""
    if all(is_missing(cell) or cell == [] for cell in (value if isinstance(value, tuple) else (value,))):
        return DataError("it is empty")
    try:
        return given(value)
    except DataError as wrong:
        return wrong


def _answered(
    tables: Sequence[datasets.Dataset],
    answering: Answering,
    columns: Sequence[str],
    unread: list[str],
    advance: Callable[[int], None],
) -> Iterator[tuple[Rows, list[Prediction | DataError]]]:
    """Rows and what is said of them, some at a time; `unread` is told of those that cannot be read."""
    done = 0
    for table in tables:
        for start in range(0, len(table), answering.together):
            chunk = table[start : start + answering.together]
            read = {name: [cell or "" for cell in chunk[name]] for name in columns}
            answers = answering.tried(cells.values(read, columns))
            rows = [dict(zip(chunk, values, strict=True)) for values in zip(*chunk.values(), strict=True)]
            wrong = ((done + row, one) for row, one in enumerate(answers, 1) if isinstance(one, DataError))
            unread += [f"row {row} ({str(one).rstrip('.')})" for row, one in wrong]
            yield rows, answers
            done += len(rows)
            advance(len(rows))


def _filled(chunks: Iterator[tuple[Rows, list[Prediction | DataError]]]) -> Iterator[Rows]:
    """Rows with the columns of a prediction; empty ones, once a first answer has said which, where there is none."""
    waiting: list[tuple[Rows, list[Prediction | DataError]]] = []
    for rows, answers in chunks:
        waiting.append((rows, answers))
        first = next((one for one in answers if isinstance(one, Prediction)), None)
        if first is not None:
            break
    else:
        return
    empty = dict.fromkeys(_columns(first))
    for some, said in chain(waiting, chunks):
        yield [
            row | (empty if isinstance(one, DataError) else _columns(one)) for row, one in zip(some, said, strict=True)
        ]


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
    """The first rows wait until every column has held something, because a file says once what its columns hold."""
    held: list[pa.Table] = []
    schema = pa.schema([])
    for rows in chunks:
        held.append(pa.Table.from_pylist(rows))
        schema = pa.unify_schemas([schema, held[-1].schema], promote_options="permissive")
        if not any(map(_unknown, schema.types)):
            break
    with pq.ParquetWriter(output, schema) as writer:
        for table in held:
            writer.write_table(
                pa.concat_tables([schema.empty_table(), table], promote_options="permissive").cast(schema)
            )
        for rows in chunks:
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _unknown(stored: pa.DataType) -> bool:
    """Whether a column, or a part of it, has held nothing yet."""
    return pa.types.is_null(stored) or any(_unknown(stored.field(part).type) for part in range(stored.num_fields))


WRITERS: dict[str, Callable[[Path, Iterator[Rows]], None]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
