"""Tables as text: csv, tsv and what calls itself so. Every cell is read as the characters that stand there."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from luthier.data.blocks import blocks
from luthier.data.encoding import Encoding
from luthier.data.packed import inside, open_bytes
from luthier.errors import DataError

SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars"}
USUAL = {".csv": ",", ".tsv": "\t"}
LONGEST_CELL = 1 << 24
"""Characters; a longer cell is a quote that was never closed."""

END = "\0end"
"""A line put behind the last one: when it becomes part of a cell, a quote is still open."""


@dataclass(frozen=True)
class Delimited:
    """How a file is cut into cells."""

    path: Path
    codec: str
    separator: str
    quoted: bool
    names: tuple[str, ...]
    notes: tuple[str, ...] = field(default=(), compare=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, all cells as strings; cells that a short row lacks are null.

        Raises:
            DataError: a row has more cells than the header, a quote is never closed, or there are no rows.
        """
        schema = pa.schema([(name, pa.string()) for name in self.names])
        number = 0
        for block in blocks(self._rows(), lambda row: sum(len(cell) for cell in row if cell)):
            number += len(block)
            yield pa.RecordBatch.from_arrays(
                [pa.array(column, pa.string()) for column in zip(*block, strict=True)], schema=schema
            )
        if not number:
            raise DataError(f"{self.path} has a header and no rows below it.")

    def _rows(self) -> Iterator[tuple[str | None, ...]]:
        width = len(self.names)
        for line, row in _records(self.path, self.codec, self.separator, self.quoted, skip=1):
            if len(row) > width:
                raise DataError(self._too_wide(line, row))
            yield (*row, *[None] * (width - len(row)))

    def _too_wide(self, line: int, row: list[str]) -> str:
        shown = self.separator.join(row)[:80]
        return (
            f"{self.path}, line {line}: {len(row)} cells where the header has {len(self.names)} ({', '.join(self.names)}): {shown!r}. "
            f"A text that holds the separator {self.separator!r} must stand in double quotes."
        )


def look(path: Path, encoding: Encoding) -> Delimited:
    """Find out how a file is cut into cells.

    Raises:
        DataError: there is no line at all.
    """
    usual = USUAL[_suffix(path)]
    head = _head(path, encoding.codec)
    if not head:
        raise DataError(f"{path} is empty; expected a line of column names and rows below it.")
    separator = _separator(head, usual)
    notes = [encoding.note] if encoding.note else []
    if separator != usual:
        notes.append(
            f"{path} ends in {_suffix(path)} but its cells are separated by {SEPARATORS[separator]}; it was read so."
        )
    quoted = separator != "\t" or _tabs_are_quoted(head)
    if not quoted:
        notes.append(f"{path}: double quotes are read as plain characters, because not all of them close.")
    header = next(row for _, row in _records(path, encoding.codec, separator, quoted))
    names, renamed = _names(header)
    if renamed:
        notes.append(f"{path}: columns without a name, or with one that is taken, are called {', '.join(renamed)}.")
    return Delimited(path, encoding.codec, separator, quoted, names, tuple(notes))


def _suffix(path: Path) -> str:
    return Path(inside(path)).suffix


def _head(path: Path, codec: str, lines: int = 1000) -> list[str]:
    with TextIOWrapper(open_bytes(path), encoding=codec, newline="") as file:
        return [line for line in islice(file, lines) if line.strip("\r\n\ufeff \t")]


def _separator(head: list[str], usual: str) -> str:
    """The usual separator if the header has it, else the one that cuts it into most cells."""
    cells = {mark: len(next(csv.reader(head[:1], delimiter=mark))) for mark in SEPARATORS}
    return usual if cells[usual] > 1 or max(cells.values()) == 1 else max(cells, key=lambda mark: cells[mark])


def _tabs_are_quoted(head: list[str]) -> bool:
    """Many tab-separated files quote nothing, and a text that begins with a quote must not swallow the next lines."""
    width = head[0].count("\t")
    if any(line.count("\t") != width for line in head):
        return True
    opened = [cell for line in head for cell in line.rstrip("\r\n").split("\t") if cell.startswith('"')]
    return all(len(cell) > 1 and cell.endswith('"') for cell in opened)


def _records(path: Path, codec: str, separator: str, quoted: bool, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Rows with the line each begins on; blank lines are passed over.

    Raises:
        DataError: a quote is never closed.
    """
    csv.field_size_limit(LONGEST_CELL)
    with TextIOWrapper(open_bytes(path), encoding=codec, newline="") as file:
        lines: Iterable[str] = chain(_without_mark(file), [END])
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
        found, line = 0, 1
        try:
            for row in reader:
                if row and row[-1].endswith(END):
                    if row != [END] or line != reader.line_num:
                        raise DataError(_open_quote(path, line))
                    return
                found += bool(row)
                if row and found > skip:
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as wrong:
            raise DataError(f"{_open_quote(path, line)} ({wrong})") from wrong


def _without_mark(file: Iterable[str]) -> Iterator[str]:
    """Drop the byte order mark that UTF-16-LE and the like leave in the text."""
    rest = iter(file)
    first = next(rest, "")
    yield first.removeprefix("\ufeff")
    yield from rest


def _open_quote(path: Path, line: int) -> str:
    return f'{path}, line {line}: a double quote opens a cell here and is never closed. Close it, or write a quote inside a cell twice: "".'


def _names(header: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """Distinct, non-empty column names, and those of them that had to be made up."""
    names: list[str] = []
    made_up = []
    for place, cell in enumerate(header, start=1):
        plain = cell.replace("\0", "").strip() or f"column_{place}"  # NUL ends a name in Arrow
        name, copy = plain, 2
        while name in names:
            name, copy = f"{plain}_{copy}", copy + 1
        if name != cell.strip():
            made_up.append(name)
        names.append(name)
    return tuple(names), made_up
