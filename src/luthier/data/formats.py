"""Which reader opens which file ending."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import datasets
import pyarrow as pa

from luthier.data import delimited, objects
from luthier.data.encoding import detect
from luthier.data.tables import BATCH, cached, key_of
from luthier.errors import DataError


@dataclass(frozen=True)
class Table:
    """The rows of one file, and what a person should know about how it was read."""

    rows: datasets.Dataset
    notes: tuple[str, ...] = ()


def _delimited(path: Path, encoding: str | None) -> Table:
    found = delimited.look(path, detect(path, encoding))
    key = key_of(path, found.codec, found.separator, found.quoted)
    return Table(cached(key, f"reading {path.name}", found.batches), found.notes)


def _objects(path: Path, encoding: str | None) -> Table:
    found = detect(path, encoding)
    rows = cached(key_of(path, found.codec), f"reading {path.name}", lambda: objects.batches(path, found))
    return Table(rows, (found.note,) if found.note else ())


def _parquet(path: Path, encoding: str | None) -> Table:
    return Table(cached(key_of(path), f"reading {path.name}", lambda: _parquet_batches(path)))


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as wrong:
        raise DataError(f"{path} is not a parquet file, or a damaged one: {wrong}.") from wrong
    if not file.metadata.num_rows:
        raise DataError(f"{path} holds no rows.")
    kept = [field.name for field in file.schema_arrow if not field.name.startswith("__index_level_")]
    plain = pa.schema([_plain(file.schema_arrow.field(name)) for name in kept], metadata=file.schema_arrow.metadata)
    for batch in file.iter_batches(batch_size=BATCH, columns=kept):
        yield batch.select(kept).cast(plain)


def _plain(field: pa.Field) -> pa.Field:
    """Categories, as pandas writes them, become their values."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


READERS: dict[str, Callable[[Path, str | None], Table]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".json": _objects,
    ".jsonl": _objects,
    ".parquet": _parquet,
}
PACKED = (".csv.gz", ".tsv.gz", ".json.gz", ".jsonl.gz")
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")


def ending(path: Path | str) -> str | None:
    """The supported ending of a file name (.csv.gz counts as .csv), or None."""
    name = str(path).lower()
    plain = name.removesuffix(".gz") if name.endswith(PACKED) else name
    return next((known for known in READERS if plain.endswith(known)), None)


def open_table(path: Path, encoding: str | None = None) -> Table:
    """Read one file into the cache and map it.

    Args:
        path: a csv, tsv, json, jsonl or parquet file; the text formats may be gzipped.
        encoding: the encoding that the recipe names; None detects it.

    Raises:
        DataError: no such file, an unsupported ending, or a content that cannot be read.
    """
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}{nearest(path)}")
    known = ending(path)
    if known is None:
        raise DataError(_unsupported(path))
    if not path.stat().st_size:
        raise DataError(f"{path} is empty.")
    try:
        return READERS[known](path, encoding)
    except (gzip.BadGzipFile, EOFError) as wrong:
        raise DataError(f"{path} is not a gzip file, or a damaged one: {wrong}.") from wrong


def nearest(path: Path) -> str:
    """The end of a sentence about a missing file: the nearest name in its folder."""
    folder = path.parent
    if not folder.is_dir():
        return f": there is no folder {str(folder)!r} either (looked from {Path.cwd()})."
    names = sorted(entry.name for entry in folder.iterdir())
    near = get_close_matches(path.name, names, n=1)
    if near:
        return f"; did you mean {str(folder / near[0])!r}?"
    data = [name for name in names if ending(name)]
    return f"; data files in {str(folder.resolve())!r}: {', '.join(data[:10]) or 'none'}."


def _unsupported(path: Path) -> str:
    if path.suffix.lower() in SPREADSHEETS:
        return f"{path} is a spreadsheet. Save the sheet as CSV (UTF-8) and give that file."
    return f"{path}: files that end in {path.suffix or 'nothing'!r} cannot be read; supported: {', '.join([*READERS, *PACKED])}."
