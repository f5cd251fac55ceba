"""Conversations for instruction tuning: ShareGPT's and OpenAI's JSON to one `messages` column, and Alpaca's checked.

`messages` is a list of {role, content} with the roles of transformers' chat templates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from luthier.counted import many
from luthier.data.exchange.votes import SHOWN, Contents, Rows
from luthier.errors import DataError
from luthier.registry import closest

ROLES: Mapping[str, str] = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant"),
    "system": "system",
    "function_call": "assistant",
    **dict.fromkeys(("observation", "tool", "function"), "tool"),
}
"""Who speaks, as data sets of the ShareGPT kind write it, to the role of a chat template."""

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
ALPACA = ("instruction", "output")


def is_conversation(row: Mapping[str, Any]) -> bool:
    """Whether a row holds a list of turns; one without any is counted later, among the rows that cannot be used."""
    return _turns_key(row) is not None


def read_conversations(rows: Rows, name: str, annotators: str) -> Contents:
    """ShareGPT's {conversations: [{from, value}]} and {messages: [{role, content}]}; a `system` column becomes the first message.

    Args:
        rows: gives the conversations.
        name: the file, for messages.
        annotators: not used; conversations have none.

    Raises (when the rows are asked for):
        DataError: a row without turns, or a turn without text or with an unknown speaker, with its row number.
    """

    def made() -> Iterator[dict[str, Any]]:
        return (_conversation(row, f"{name}, row {number}") for number, row in enumerate(rows(), start=1))

    return Contents(made, {"messages": MESSAGES})


def _turns_key(row: Mapping[str, Any]) -> str | None:
    for key in ("conversations", "messages", "conversation"):
        turns = row.get(key)
        if isinstance(turns, list) and all(
            isinstance(turn, dict) and {"value", "content"} & set(turn) for turn in turns[:1]
        ):
            return key
    return None


def _conversation(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    key = _turns_key(row)
    if key is None:
        raise DataError(
            f'{where} has no list of turns; expected {{"conversations": [{{"from": "human", "value": "..."}}, ...]}} or '
            '{"messages": [{"role": "user", "content": "..."}, ...]}.'
        )
    messages = [_message(turn, f"{where}, turn {number}") for number, turn in enumerate(row[key], start=1)]
    system = row.get("system")
    if isinstance(system, str) and system.strip() and "system" not in {turn["role"] for turn in messages[:1]}:
        messages.insert(0, {"role": "system", "content": system})
    others = {name: value for name, value in row.items() if name not in {key, "system", "messages"}}
    return {"messages": messages, **others}


def _message(turn: Any, where: str) -> dict[str, str]:
    turn = turn if isinstance(turn, dict) else {}
    who, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if text is None and {"value", "content"} & set(turn):
        text = ""  # a call of a tool says nothing
    if not isinstance(text, str):
        raise DataError(f"{where} has no text: expected `value` or `content` to be a text, got {str(turn)[:60]}.")
    role = ROLES.get(str(who).lower())
    if role is None:
        raise DataError(f"{where}: there is no speaker {who!r}; {closest(str(who), ROLES)}")
    return {"role": role, "content": text}


def is_alpaca(row: Mapping[str, Any]) -> bool:
    """Whether a row is an instruction with its output."""
    return set(ALPACA) <= set(row)


def read_alpaca(rows: Rows, name: str, annotators: str) -> Contents:
    """Stanford Alpaca's {instruction, input, output}: the columns as they are; rows that lack one of them are counted."""
    lacking = [number for number, row in enumerate(rows(), start=1) if not _complete(row)]
    facts = {"incomplete": {"rows": len(lacking), "examples": lacking[:SHOWN]}} if lacking else {}
    return Contents(rows, {}, tuple(_incomplete(lacking, name)), facts)


def _complete(row: Mapping[str, Any]) -> bool:
    return all(isinstance(row.get(key), str) and row[key].strip() for key in ALPACA)


def _incomplete(rows: list[int], name: str) -> Iterator[str]:
    if rows:
        yield f"{name}: {many(len(rows), 'row lacks', 'rows lack')} an instruction or an output: row {', '.join(map(str, rows[:5]))}."
