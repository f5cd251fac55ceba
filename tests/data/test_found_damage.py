"""What the search for damage in test_reader_properties.py has found, one case each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from luthier.data.formats import open_table
from luthier.errors import DataError


def saved(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


DEEP = "[" * 100_000
LONG = "1" * 5000
CASES = {
    "deep.json": (DEEP, r"cannot be read as JSON \(maximum recursion depth"),
    "deep.jsonl": ('{"a": 1}\n{"a": ' + DEEP, r", line 2 cannot be read as JSON \(maximum recursion depth"),
    "long.json": (f'[{{"a": {LONG}}}]', r"cannot be read as JSON \(Exceeds the limit"),
    "long.jsonl": (f'{{"a": 1}}\n{{"a": {LONG}}}\n', r", line 2 cannot be read as JSON \(Exceeds the limit"),
    "half.jsonl": (
        '{"a\\ud800": 1}\n',
        r"the key 'a\\ud800' holds what no column can be called by\. Give it another name\.",
    ),
    "nul.jsonl": (
        '{"a\\u0000": 1}\n',
        r"the key 'a\\x00' holds what no column can be called by\. Give it another name\.",
    ),
    "quote.csv": ('"', r", line 1: a double quote opens a cell here and is never closed"),
    "last.csv": ('a,b\n1,2\n"', r", line 3: a double quote opens a cell here and is never closed"),
    "spans.jsonl": (
        '{"text": "a", "spans": [{"start": 1}], "answer": "accept"}\n',
        r'row 1: `spans` is \[\{"start": 1\}\]; expected a list of \{"start": 0, "end": 5, "label": "\.\.\."\}, in characters\.',
    ),
    "names.jsonl": (
        '{"text": "a", "accept": 5, "answer": "accept"}\n',
        r"row 1: `label` is None and `accept` is 5; Prodigy writes a name and a list of names\.",
    ),
    "result.json": (
        '[{"data": {"text": "a"}, "annotations": [{"result": 5}]}]',
        r"task 1: a result of an annotation is 5; expected an object with `value`\.",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_search_for_damage_has_found(tmp_path: Path, name: str) -> None:
    content, message = CASES[name]
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        open_table(tmp_path / name)


def test_a_nul_in_a_column_name_of_a_csv_is_left_out_and_said(tmp_path: Path) -> None:
    table = open_table(saved(tmp_path / "nul.csv", b"te\0xt,label\na,1\n"))
    assert table.rows.to_list() == [{"text": "a", "label": "1"}]
    assert any(note.endswith("are called text.") for note in table.notes)


def test_a_single_line_of_jsonl_is_a_row_though_it_holds_a_list_of_objects(tmp_path: Path) -> None:
    row = {"text": "a", "turns": [{"who": "b"}]}
    assert len(open_table(saved(tmp_path / "rows.jsonl", lines([row]))).rows.column_names) == 2
    held = open_table(saved(tmp_path / "rows.jsonl", lines([{"data": [row, row]}])))
    assert held.rows.column_names == ["text", "turns"]
    assert len(held.rows) == 2


def test_integers_beside_fractions_are_doubles(tmp_path: Path) -> None:
    table = open_table(saved(tmp_path / "rows.jsonl", lines([{"a": 2**53 + 1}, {"a": 0.5}])))
    assert list(table.rows["a"]) == [float(2**53), 0.5]
