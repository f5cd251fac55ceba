"""Readers against the standard library's writers, and against damage: a sentence for the user and never another exception."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from luthier.data.formats import Reading, Table, open_table
from luthier.errors import DataError

MANY = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = itertools.count()
"""For file names: each example is a file of its own."""

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff")
CELL = st.text(CHARACTERS | st.sampled_from('",;\t\n\r|'), max_size=10)
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters='"\ufeff'), max_size=10)
"""Cells that tab-separated files hold without quotes."""
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6)


def saved(folder: Path, ending: str, content: bytes) -> Path:
    file = folder / f"{next(NUMBERS)}{ending}"
    file.write_bytes(content)
    return file


def written(rows: Sequence[Sequence[str]], codec: str = "utf-8", **how: Any) -> bytes:
    sink = io.StringIO(newline="")
    csv.writer(sink, **how).writerows([("text", "label"), *rows])
    return sink.getvalue().encode(codec)


def cells(table: Table) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.rows.to_list()]


@MANY
@given(
    rows=ROWS,
    separator=st.sampled_from(",;|\t"),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030"]),
    end=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_every_cell_of_a_csv_comes_back_in_any_dialect_and_encoding(
    tmp_path: Path, rows: list[tuple[str, str]], separator: str, codec: str, end: str, quoting: int
) -> None:
    if (
        quoting == csv.QUOTE_MINIMAL
    ):  # Python's writer leaves a lone \r unquoted, which no reader can tell from a line's end
        rows = [(text.replace("\r", ""), label.replace("\r", "")) for text, label in rows]
    if separator == "\t":  # quotes in files of tabs are guessed at, see the next test
        rows = [(text.replace("\t", ""), label.replace("\t", "")) for text, label in rows]
    content = written(rows, codec, delimiter=separator, lineterminator=end, quoting=quoting)
    table = open_table(saved(tmp_path, ".csv", content), Reading(encoding=codec))
    assert cells(table) == rows


@MANY
@given(st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=6))
def test_every_cell_of_a_tsv_comes_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    assert cells(open_table(saved(tmp_path, ".tsv", written(rows, delimiter="\t")))) == rows


@MANY
@given(rows=ROWS, place=st.integers(0, 6), extra=st.integers(1, 3))
def test_a_line_with_too_many_cells_is_named_by_its_number(
    tmp_path: Path, rows: list[tuple[str, str]], place: int, extra: int
) -> None:
    rows = [(text.replace("\r", ""), label.replace("\r", "")) for text, label in rows]
    before, behind = rows[:place], rows[place:]
    line = 2 + sum(1 + (text + label).count("\n") for text, label in before)
    content = written([*before, ("x",) * (2 + extra), *behind], lineterminator="\n", quoting=csv.QUOTE_ALL)
    with pytest.raises(DataError, match=rf", line {line}: {2 + extra} cells where the header has 2 \(text, label\): "):
        open_table(saved(tmp_path, ".csv", content))


@MANY
@given(rows=ROWS, place=st.integers(0, 6))
def test_a_short_line_lacks_its_last_cells(tmp_path: Path, rows: list[tuple[str, str]], place: int) -> None:
    short = [*rows[:place], ("x",), *rows[place:]]
    table = open_table(saved(tmp_path, ".csv", written(short, quoting=csv.QUOTE_ALL)))
    assert cells(table) == [row if len(row) == 2 else ("x", None) for row in short]


VALUES = {
    "texts": st.text(st.characters(exclude_categories=["Cs"]), max_size=10),
    "integers": st.integers(-(2**63), 2**63 - 1),
    "floats": st.floats(allow_nan=False),
    "flags": st.booleans(),
    "lists": st.lists(st.text(CHARACTERS, max_size=5), max_size=3),
}


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("shape", ["lines", "list", "data"])
@settings(MANY, max_examples=20)
@given(data=st.data(), escaped=st.booleans(), indent=st.sampled_from([None, 1]))
def test_every_value_of_json_comes_back(
    tmp_path: Path, kind: str, shape: str, data: st.DataObject, escaped: bool, indent: int | None
) -> None:
    values = data.draw(st.lists(st.none() | VALUES[kind], min_size=2, max_size=5).filter(any_given))
    rows = [{"key": value, "n": str(number)} for number, value in enumerate(values)]
    if shape == "lines":
        text = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows)
    else:
        text = json.dumps(rows if shape == "list" else {"data": rows}, ensure_ascii=escaped, indent=indent)
    ending = ".jsonl" if shape == "lines" else ".json"
    assert open_table(saved(tmp_path, ending, text.encode())).rows.to_list() == rows


def any_given(values: Sequence[Any]) -> bool:
    return any(value is not None for value in values)


WORD = st.text(
    st.characters(exclude_categories=["Cs", "Z", "Cc"], exclude_characters="\ufeff#"), min_size=1, max_size=6
)
SENTENCES = st.lists(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=5), min_size=1, max_size=5)


@MANY
@given(
    sentences=SENTENCES,
    between=st.sampled_from([" ", "\t", "  "]),
    end=st.sampled_from(["\n", "\r\n"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig"]),
    blank=st.integers(1, 3),
)
def test_every_token_and_tag_comes_back(
    tmp_path: Path, sentences: list[list[tuple[str, str]]], between: str, end: str, codec: str, blank: int
) -> None:
    lines = ["".join(f"{word}{between}{tag}{end}" for word, tag in sentence) for sentence in sentences]
    table = open_table(saved(tmp_path, ".conll", (end * blank).join(lines).encode(codec)))
    assert [list(zip(row["tokens"], row["tags"], strict=True)) for row in table.rows] == sentences


def zipped(content: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", content)
    return sink.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".csv.gz": gzip.compress,
    ".csv.bz2": bz2.compress,
    ".csv.xz": lzma.compress,
    ".csv.zst": lambda content: bytes(pa.compress(content, codec="zstd", asbytes=True)),
    ".zip": zipped,
}


@pytest.mark.parametrize("ending", PACKERS)
@settings(MANY, max_examples=20)
@given(rows=ROWS)
def test_packed_rows_come_back(tmp_path: Path, ending: str, rows: list[tuple[str, str]]) -> None:
    content = PACKERS[ending](written(rows, quoting=csv.QUOTE_ALL))
    assert cells(open_table(saved(tmp_path, ending, content))) == rows


REVIEWS = [(f'review {row}, "good"\n中文 é', str(row % 2)) for row in range(20)]
OBJECTS = [{"text": text, "label": label, "n": 1, "list": ["a"], "object": {"key": None}} for text, label in REVIEWS]
MARKED = {"from_name": "ner", "type": "labels", "value": {"start": 0, "end": 3, "labels": ["A"]}}
ANNOTATED = [
    {"id": row, "data": {"text": text}, "annotations": [{"completed_by": who, "result": [MARKED]} for who in (1, 2)]}
    for row, (text, _) in enumerate(REVIEWS)
]
ANSWERED = [
    {"text": text, "spans": [{"start": 0, "end": 2, "label": "A"}], "label": "B", "answer": "accept"}
    for text, _ in REVIEWS
]
CHATS = [{"conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": "y"}]} for text, _ in REVIEWS]


def lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def parquet(rows: Sequence[Any]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink)
    return sink.getvalue()


WHOLE: dict[str, bytes] = {
    ".csv": written(REVIEWS),
    ".tsv": written(REVIEWS, delimiter="\t"),
    ".utf16.csv": written(REVIEWS, "utf-16"),
    ".utf32.csv": written(REVIEWS, "utf-32"),
    ".gb18030.csv": written(REVIEWS, "gb18030"),
    ".jsonl": lines(OBJECTS),
    ".json": json.dumps({"data": OBJECTS}, indent=1).encode(),
    ".label_studio.json": json.dumps(ANNOTATED).encode(),
    ".prodigy.jsonl": lines(ANSWERED),
    ".chat.jsonl": lines(CHATS),
    ".conll": b"".join(f"wörd{row} X B-A\n".encode() + b"\n" * (row % 3) for row in range(30)),
    ".parquet": parquet(OBJECTS),
    **{ending: pack(written(REVIEWS)) for ending, pack in PACKERS.items()},
}
PIECES = (
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b",",
    b"\t",
    b"{",
    b"]",
    b"null",
    b"1e999",
    b"\\ud800",
    b"\\u0000",
    b"\xff\xfe",
    b"NaN",
)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, left out or put in, or with the end cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(content)))
        gone = draw(st.sampled_from([0, 1, 1, 4, 40]))
        content[place : place + gone] = draw(st.binary(max_size=4) | st.sampled_from(PIECES))
    return bytes(content[: draw(st.none() | st.integers(0, len(content)))])


@pytest.mark.parametrize("ending", WHOLE)
@settings(MANY, max_examples=40)
@given(data=st.data())
def test_damaged_files_are_read_or_refused_with_a_sentence(tmp_path: Path, ending: str, data: st.DataObject) -> None:
    file = saved(tmp_path, ending, data.draw(damaged(WHOLE[ending])))
    try:
        table = open_table(file)
    except DataError as wrong:
        refused = str(wrong)
    else:
        refused = ""
        assert len(table.rows.to_list()) == len(table.rows) > 0
    assert not refused or str(file) in refused
