"""Token files: a token and its tag a line, a blank line between sentences (CoNLL-2003, BIO and BMES files)."""

from __future__ import annotations

from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

import pyarrow as pa

from luthier.data.blocks import blocks
from luthier.data.encoding import Encoding
from luthier.data.packed import open_bytes
from luthier.errors import DataError

SCHEMA = pa.schema([("tokens", pa.list_(pa.string())), ("tags", pa.list_(pa.string()))])
DOCUMENT = "-DOCSTART-"
"""Token of the line with which CoNLL-2003 begins a document."""

Sentence = tuple[list[str], list[str]]


def batches(path: Path, encoding: Encoding) -> Iterator[pa.RecordBatch]:
    """A row a sentence: its `tokens` (first column of the file) and `tags` (last column).

    Raises:
        DataError: a line has no tag, or more or fewer columns than the first; or there is no line of a token at all.
    """
    none = True
    for block in blocks(_sentences(path, encoding.codec), lambda one: sum(map(len, one[0]))):
        none = False
        yield pa.RecordBatch.from_arrays(
            [pa.array(column, kind.type) for column, kind in zip(zip(*block, strict=True), SCHEMA, strict=True)],
            schema=SCHEMA,
        )
    if none:
        raise DataError(
            f"{path} holds no tokens; expected a token and its tag on each line and blank lines between sentences."
        )


def _sentences(path: Path, codec: str) -> Iterator[Sentence]:
    tokens: list[str] = []
    tags: list[str] = []
    width = 0
    with TextIOWrapper(open_bytes(path), encoding=codec) as file:
        for number, line in enumerate(file, start=1):
            cells = _cells(line.removeprefix("\ufeff") if number == 1 else line)
            if not cells or cells[0] == DOCUMENT:
                if tokens:
                    yield tokens, tags
                    tokens, tags = [], []
            elif not (line.startswith("# ") and " = " in line and not tokens):  # a comment of CoNLL-U
                width = width or len(cells)
                _check(cells, width, path, number)
                tokens.append(cells[0])
                tags.append(cells[-1])
    if tokens:
        yield tokens, tags


def _cells(line: str) -> list[str]:
    """The columns of a line: between tabs where there are any, else between white space."""
    plain = line.strip("\r\n")
    if not plain.strip():
        return []
    return [cell.strip() for cell in plain.split("\t")] if "\t" in plain else plain.split()


def _check(cells: list[str], width: int, path: Path, number: int) -> None:
    if width < 2 or len(cells) < 2:
        raise DataError(
            f"{path}, line {number}: {' '.join(cells)[:40]!r} has no tag; expected a token and its tag, such as `Paris B-LOC`."
        )
    if len(cells) != width:
        raise DataError(
            f"{path}, line {number}: {len(cells)} columns where the lines above have {width}: {' '.join(cells)[:60]!r}."
        )
