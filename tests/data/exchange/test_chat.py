"""Conversations and instructions."""

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.data.formats import Table, open_table
from luthier.errors import DataError


def opened(tmp_path: Path, rows: list[Any], name: str = "a.json") -> Table:
    (tmp_path / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return open_table(tmp_path / name)


def test_sharegpt_becomes_messages_with_the_roles_of_chat_templates(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Hello"},
        {"from": "observation", "value": "42"},
    ]
    table = opened(tmp_path, [{"id": "x", "conversations": turns, "system": "Be kind."}, {"conversations": turns[:2]}])
    first = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("tool", "42")]
    assert table.rows.to_list() == [
        {"messages": [{"role": role, "content": text} for role, text in first], "id": "x"},
        {"messages": [{"role": role, "content": text} for role, text in first[1:3]], "id": None},
    ]


def test_openai_messages_are_the_same(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "您好"}]
    assert opened(tmp_path, [{"messages": messages}]).rows.to_list() == [{"messages": messages}]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"conversations": "Hi"}, r"a\.json, row 2 has no list of turns; expected .*conversations.*"),
        ({"talk": []}, r"a\.json, row 2 has no list of turns"),
        (
            {"conversations": [{"from": "human", "value": 7}]},
            r"row 2, turn 1 has no text: expected `value` or `content`",
        ),
        (
            {"conversations": [{"from": "humn", "value": "x"}]},
            r"row 2, turn 1: there is no speaker 'humn'; did you mean 'human'\?",
        ),
    ],
)
def test_conversations_that_are_none_are_refused(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        opened(tmp_path, [{"conversations": [{"from": "human", "value": "x"}]}, row])


def test_conversations_without_turns_and_turns_that_say_nothing_are_left_to_be_counted(tmp_path: Path) -> None:
    said = {"role": "user", "content": "Hi"}
    called = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    rows = [{"messages": []}, {"messages": [said, called]}, {"messages": [], "system": "Be kind."}]
    assert opened(tmp_path, rows).rows["messages"][:] == [
        [],
        [said, {"role": "assistant", "content": ""}],
        [{"role": "system", "content": "Be kind."}],
    ]


def test_alpaca_is_read_as_it_is_and_gaps_are_counted(tmp_path: Path) -> None:
    rows = [{"instruction": "Add", "input": "1 1", "output": "2"}, {"instruction": "Add", "input": "", "output": " "}]
    table = opened(tmp_path, rows)
    assert table.rows.to_list() == rows
    assert table.notes == (f"{tmp_path}/a.json: 1 row lacks an instruction or an output: row 2.",)


def test_real_alpaca_files(assets: Path) -> None:
    for name in ("alpaca_en_demo.json", "alpaca_zh_demo.json"):
        file = assets / "data" / name
        assert open_table(file).rows.to_list() == json.loads(file.read_text(encoding="utf-8"))
