"""Which reader opens which file ending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa

from luthier.data import conll, delimited, exchange, objects
from luthier.data.encoding import Encoding, detect
from luthier.data.media.placed import placed
from luthier.data.packed import OPENERS, inside
from luthier.data.tables import BATCH, cached, key_of
from luthier.errors import DataError


@dataclass(frozen=True)
class Reading:
    """How files are read, as the recipe says."""

    encoding: str | None = None
    """Character encoding; None detects it."""
    annotators: str = "majority"
    """What becomes of the answers of several annotators: `majority` or `all`, see `exchange.votes.settle`."""


@dataclass(frozen=True)
class Table:
    """The rows of one file, and what a person should know about how it was read."""

    rows: datasets.Dataset
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of annotated files what `exchange.votes.settle` counted."""


class _File:
    """A file on its way to a table. Its size and time of change are taken when it is first looked at."""

    def __init__(self, path: Path, reading: Reading) -> None:
        self.path = path
        self.reading = reading
        self._before = self._state()

    @cached_property
    def encoding(self) -> Encoding:
        return detect(self.path, self.reading.encoding)

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.encoding.note,) if self.encoding.note else ()

    def kept(self, batches: Callable[[], Iterable[pa.RecordBatch]], *settings: Any) -> datasets.Dataset:
        """The table in the cache, made of `batches()` when it is not there; `settings` are what else it depends on."""
        key = key_of(self.path, *settings)
        return cached(key, f"reading {self.path.name}", lambda: self._unchanged(batches()))

    def _unchanged(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The batches; a file that was written to meanwhile is refused before the table is kept."""
        try:
            yield from batches
        except (DataError, UnicodeError, OSError, pa.ArrowException) as wrong:
            self._refuse_changed(wrong)
            raise
        self._refuse_changed()

    def _refuse_changed(self, cause: Exception | None = None) -> None:
        if self._state() != self._before:
            raise DataError(
                f"{self.path} changed while it was read. Wait until whatever writes it is done, and run the same command again."
            ) from cause

    def _state(self) -> tuple[int, int, int] | None:
        if not self.path.exists():
            return None
        facts = self.path.stat()
        return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _delimited(file: _File) -> Table:
    found = delimited.look(file.path, file.encoding)
    shape = exchange.recognise_table(found.names)
    if shape:

        def rows() -> Iterator[dict[str, Any]]:
            return (row for batch in found.batches() for row in batch.to_pylist())

        return _exchanged(file, shape.read(rows, str(file.path), file.reading.annotators), found.notes)
    return Table(file.kept(found.batches, found.codec, found.separator, found.quoted), found.notes)


def _objects(file: _File) -> Table:
    codec = file.encoding.codec
    if exchange.HINT.search(objects.beginning(file.path, file.encoding)):
        rows = objects.read(file.path, file.encoding)
        shape = exchange.recognise(next(rows(), {}))
        if shape:
            contents = shape.read(rows, str(file.path), file.reading.annotators)
            return _exchanged(file, contents, file.notes)
    rows_read = file.kept(lambda: objects.batches(objects.read(file.path, file.encoding), file.path), codec)
    return Table(rows_read, file.notes)


def _exchanged(file: _File, contents: exchange.Contents, notes: tuple[str, ...]) -> Table:
    rows = file.kept(
        lambda: objects.batches(contents.rows, file.path, contents.types),
        *(file.encoding.codec, "exchange", file.reading.annotators),
    )
    return Table(rows, (*notes, *contents.notes), contents.facts)


def _tokens(file: _File) -> Table:
    rows = file.kept(lambda: conll.batches(file.path, file.encoding), file.encoding.codec)
    return Table(rows, file.notes)


def _parquet(file: _File) -> Table:
    return Table(file.kept(lambda: _parquet_batches(file.path)))


def _parquet_batches(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        kept = [field.name for field in file.schema_arrow if not field.name.startswith("__index_level_")]
        plain = pa.schema([_plain(file.schema_arrow.field(name)) for name in kept], metadata=file.schema_arrow.metadata)
        rows = 0
        for batch in file.iter_batches(batch_size=BATCH, columns=kept):
            rows += len(batch)
            batch.validate(full=True)  # damage that is not looked for here fails wherever the cell is first read
            yield batch.select(kept).cast(plain)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as wrong:
        if isinstance(wrong, OSError) and wrong.errno is not None:
            raise  # the disk's trouble, not the file's
        raise DataError(f"{path} is not a parquet file, or a damaged one: {str(wrong).strip()}.") from wrong
    if not rows:
        raise DataError(f"{path} holds no rows.")


def _plain(field: pa.Field) -> pa.Field:
    """Categories, as pandas writes them, become their values."""
    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


READERS: dict[str, Callable[[_File], Table]] = {
    ".csv": _delimited,
    ".tsv": _delimited,
    ".json": _objects,
    ".jsonl": _objects,
    ".parquet": _parquet,
    ".conll": _tokens,
    ".bio": _tokens,
    ".bmes": _tokens,
}
SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")


def ending(path: Path | str) -> str | None:
    """The supported ending of a file name, or None; .csv.gz counts as .csv, and a zip as what is in it.

    Raises:
        DataError: a damaged zip.
    """
    path = Path(path)
    known = Path(inside(path)).suffix
    packed = path.suffix.lower() in OPENERS
    return known if known in READERS and not (packed and known == ".parquet") else None


def open_table(path: Path, reading: Reading | None = None) -> Table:
    """Read one file into the cache and map it.

    Args:
        path: a csv, tsv, json, jsonl, parquet, conll, bio or bmes file; text formats may be compressed (gz, bz2, xz, zst, zip).
            Exports of Label Studio and Prodigy and ShareGPT's conversations are told by their content. Relative paths
            of images and sounds become absolute, see `media.placed`.
        reading: encoding and annotators, as the recipe says.

    Raises:
        DataError: no such file, an unsupported ending, a content that cannot be read, or one that changed meanwhile.
    """
    if not path.is_file():
        raise DataError(f"There is no file {str(path)!r}{nearest(path)}")
    known = ending(path)
    if known is None:
        raise DataError(_unsupported(path))
    if not path.stat().st_size:
        raise DataError(f"{path} is empty.")
    table = READERS[known](_File(path, reading or Reading()))
    return replace(table, rows=placed(table.rows, path))


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
    return (
        f"{path}: files that end in {path.suffix or 'nothing'!r} cannot be read; supported: {', '.join(READERS)}, "
        f"and the text formats compressed as {', '.join(OPENERS)}."
    )
