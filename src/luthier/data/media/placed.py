"""Paths in the cells of a file, made absolute."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from luthier.data.labels import arrow_type, is_text
from luthier.data.media import held, sample
from luthier.data.media.stored import is_missing
from luthier.data.tables import cached, key_of, scan


def placed(rows: datasets.Dataset, file: Path) -> datasets.Dataset:
    """The rows of a file with relative paths of images and sounds seen from its folder, or else from the working directory.

    Only columns that hold such paths change, and only where some of the files are there.
    """
    written = [column for column in held(rows) if is_text(arrow_type(rows, column))]
    found = {column: _base(rows, column, file) for column in written}
    bases = {column: base for column, base in found.items() if base}
    if not bases:
        return rows
    before = [Path(part["filename"]).name for part in rows.cache_files]
    key = key_of(file, "placed", before, {column: str(base) for column, base in bases.items()})
    return cached(key, f"finding the files of {file.name}", lambda: _batches(rows, bases))


def _base(rows: datasets.Dataset, column: str, file: Path) -> Path | None:
    """The folder that relative paths are seen from; None where there are none or no file is found."""
    relative = [cell for cell in sample(rows, column) if _is_relative(cell)]
    bases = (file.parent.absolute(), Path.cwd())
    return next((base for base in bases if any((base / cell.strip()).is_file() for cell in relative)), None)


def _is_relative(cell: Any) -> bool:
    return not is_missing(cell) and "://" not in cell and not Path(cell.strip()).is_absolute()


def _batches(rows: datasets.Dataset, bases: Mapping[str, Path]) -> Iterator[pa.RecordBatch]:
    for table in scan(rows, *rows.column_names):
        for column, base in bases.items():
            place = table.column_names.index(column)
            cells = [str(base / cell.strip()) if _is_relative(cell) else cell for cell in table[column].to_pylist()]
            field = table.schema.field(place)
            table = table.set_column(place, field, pa.array(cells, field.type))  # noqa: PLW2901  a table is replaced whole
        yield from table.combine_chunks().to_batches()
