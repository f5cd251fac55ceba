"""JSON in its usual shapes, against the objects that were written."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.formats import open_table
from luthier.errors import DataError

ROWS = [{"text": "good\nand cheap", "label": 1}, {"text": "坏", "label": 0}, {"text": None, "label": None}]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
@pytest.mark.parametrize(
    "content",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2, ensure_ascii=False),
        "\n".join(json.dumps(row) for row in ROWS),
        "\ufeff" + "\r\n\r\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\r\n",
        json.dumps({"version": 1, "data": ROWS}),
        json.dumps({"version": {"of": [1]}, "reviews": ROWS}, indent=1),
    ],
    ids=["list", "indented", "lines", "lines with mark", "under data", "under another key"],
)
def test_every_shape_gives_the_same_rows(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    assert open_table(file).rows.to_list() == ROWS


def test_rows_equal_the_objects_of_real_files(assets: Path) -> None:
    lines = assets / "data" / "dialogsum_en_dev.jsonl"
    assert open_table(lines).rows.to_list() == [
        json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()
    ]
    whole = assets / "data" / "alpaca_zh_demo.json"
    assert open_table(whole).rows.to_list() == json.loads(whole.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, None], [1, 2, None]),
        ([1, 2.5], [1.0, 2.5]),
        ([True, None], [True, None]),
        ([1, "two"], ["1", "two"]),
        ([True, "no"], ["true", "no"]),
        ([["a", "b"], [], None], [["a", "b"], [], None]),
        ([["a", 1]], [["a", "1"]]),
        (["a", ["b"]], ["a", '["b"]']),
        ([{"k": 1}], ['{"k": 1}']),
        (["half \ud83d an emoji é", "\U0001f600"], ["half ? an emoji é", "\U0001f600"]),
        ([2**70, 1], [str(2**70), "1"]),
        (["2009-01-01", "2009-01-02"], ["2009-01-01", "2009-01-02"]),
    ],
)
def test_values_of_one_key_get_one_kind(tmp_path: Path, values: list[Any], expected: list[Any]) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"text": "x", "value": value}) for value in values))
    assert [row["value"] for row in open_table(file).rows.to_list()] == expected


def test_a_kind_that_changes_late_is_found(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(json.dumps({"label": row}) for row in range(25_000)) + '\n{"label": "x", "new": 1}')
    rows = open_table(file).rows
    assert rows[24_999] == {"label": "24999", "new": None}
    assert rows[25_000] == {"label": "x", "new": 1}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": "b"\n',
            r"a\.jsonl, line 2: this is not JSON \(Expecting ',' delimiter\): '\{\"text\": \"b\"'",
        ),
        ("a.jsonl", '{"text": "a\n', r"a\.jsonl, line 1: this is not JSON"),
        (
            "a.json",
            '[{"text": "a"},\n oops]',
            r"a\.json, line 2: this is not JSON \(Expecting value\); expected one object per line such as",
        ),
        ("a.json", '["a", "b"]', r"a\.json, row 1 is \"a\", not an object; expected one object per line"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": "b"}\n[1]',
            r"a\.jsonl, line 3 is \[1\], not an object; expected one object per line",
        ),
        ("a.json", "3", r"a\.json holds no list of rows; expected one object per line"),
        ("a.json", "[]", r"a\.json holds no rows; expected one object per line"),
        ("a.json", " \n", r"a\.json is empty; expected one object per line"),
    ],
)
def test_what_is_not_rows_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    with pytest.raises(DataError, match=message):
        open_table(file)
