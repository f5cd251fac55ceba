"""Prompts with their answers, and conversations: which columns hold them, what is wrong with a row, and both as lists of turns.

A turn is {role, content} as in transformers' chat templates; the roles are those of `data.exchange.chat.ROLES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import datasets
import pyarrow as pa

from luthier.data.answers import Answer
from luthier.data.exchange.chat import ROLES
from luthier.data.found import Found
from luthier.data.labels import arrow_type, is_text
from luthier.errors import DataError
from luthier.recipe.data import Columns
from luthier.registry import closest

Turn = dict[str, str]

PROMPTS = (
    *("instruction", "prompt", "question", "query", "dialogue", "document", "article", "source", "input", "text"),
    *("指令", "问题", "提问", "原文", "输入"),
)
FURTHER = ("input", "context", "输入")
"""What an instruction is about, where it has a column of its own; it may be empty."""
ANSWERS = (
    *("output", "response", "answer", "completion", "summary", "target", "reply", "label"),
    *("回答", "答案", "输出", "摘要", "译文"),
)
CONVERSATIONS = ("messages", "conversations", "conversation")
"""Earlier names win."""

USER, ASSISTANT = "user", "assistant"
PROMPT = "{prompt}"
"""Where a prompt stands in what is written around it."""
BETWEEN = "\n\n"
"""Stands between an instruction and what it is about."""


def find(dataset: datasets.Dataset, given: Columns) -> Found:
    """Find the column of conversations, or those of prompts and answers, and say why.

    Raises:
        DataError: a given column does not exist or is of another kind, or there are none with such names.
    """
    if isinstance(given.label, list):
        raise DataError("data.columns.label: an answer stands in one column; got a list.")
    for name in filter(None, (given.text, given.pair, given.label)):
        if name not in dataset.column_names:
            known = f"{closest(name, dataset.column_names)} The columns are {', '.join(dataset.column_names)}."
            raise DataError(f"There is no column {name!r} in the data; {known}")
    turns = [given.text] if given.text else CONVERSATIONS
    held = next((name for name in turns if name in dataset.column_names and _holds_turns(dataset, name)), None)
    if held is not None:
        return Found(held, held, None, "texts", f"conversations are in {held!r}.", medium="dialogue")
    return _prompts(dataset, given, given.label)


def _prompts(dataset: datasets.Dataset, given: Columns, label: str | None) -> Found:
    texts = [name for name in dataset.column_names if is_text(arrow_type(dataset, name))]
    answer = label or _named(texts, ANSWERS, (given.text, given.pair))
    prompt = given.text or _named(texts, PROMPTS, (answer, given.pair))
    if prompt is None or answer is None or prompt == answer or not {prompt, answer} <= set(texts):
        raise DataError(
            "Task generate needs a column of prompts and one of answers, or one of conversations, which are lists of {role, content}. "
            f"Columns with text are: {', '.join(texts) or 'none'}. Say which they are:\n"
            "data:\n  columns: {text: prompt, label: answer}"
        )
    further = given.pair or (_named(texts, FURTHER, (prompt, answer)) if prompt not in FURTHER else None)
    if further is None:
        return Found(prompt, answer, None, "texts", _why(prompt, answer), medium="prompt")
    why = f"{_why(prompt, answer)} What prompts are about is {further!r}."
    return Found(prompt, answer, None, "texts", why, medium="instruction", also=(further,))


def _why(prompt: str, answer: str) -> str:
    return f"prompts are {prompt!r}; answers are {answer!r}."


def _named(columns: Sequence[str], names: Sequence[str], taken: Iterable[str | None]) -> str | None:
    free = {name.strip().lower(): name for name in columns if name not in set(taken)}
    return next((free[name] for name in names if name in free), None)


def _holds_turns(dataset: datasets.Dataset, column: str) -> bool:
    stored = arrow_type(dataset, column)
    return bool(pa.types.is_list(stored) or pa.types.is_large_list(stored)) and pa.types.is_struct(stored.value_type)


def conversation(value: Any) -> list[Turn]:
    """A row as turns.

    Args:
        value: a list of turns, with OpenAI's names (role, content) or ShareGPT's (from, value); or a tuple of the cells of a
            prompt and, last, its answer, which is None where it is still to be written.
    """
    if isinstance(value, tuple):
        asked = BETWEEN.join(str(cell).strip() for cell in value[:-1] if cell is not None and str(cell).strip())
        answer = "" if value[-1] is None else str(value[-1]).strip()
        return [{"role": USER, "content": asked}, *([{"role": ASSISTANT, "content": answer}] if answer else [])]
    return [_turn(one) for one in value or ()]


def _turn(given: Mapping[str, Any]) -> Turn:
    who, text = given.get("role", given.get("from")), given.get("content", given.get("value"))
    return {"role": ROLES.get(str(who).lower(), str(who)), "content": "" if text is None else str(text).strip()}


def answered(turns: Sequence[Turn]) -> int | None:
    """Place of the last turn of the assistant; None where it has none."""
    places = [place for place, turn in enumerate(turns) if turn["role"] == ASSISTANT]
    return places[-1] if places else None


def fault(turns: Sequence[Turn]) -> str:
    """Why a row cannot be learned from; empty where it can."""
    strange = next((turn["role"] for turn in turns if turn["role"] not in ROLES.values()), None)
    last = answered(turns)
    if strange is not None:
        return f"there is no speaker {strange!r}"
    if last is None:
        return "no assistant turn" if any(turn["content"] for turn in turns) else "no turns"
    if not any(turn["content"] for turn in turns[:last]):
        return "no prompt"
    return "" if turns[last]["content"] else "the assistant's last turn is empty"


def unusable(values: Iterable[Any]) -> Iterator[tuple[int, str]]:
    """Rows that cannot be learned from, by their places, and why."""
    for place, value in enumerate(values):
        reason = fault(conversation(value))
        if isinstance(value, tuple) and reason == "no assistant turn":
            reason = "no answer"
        if reason:
            yield place, reason


def written(value: Any) -> str:
    """What the last answer of a row answers, as one text; of several turns each with who says it."""
    turns = conversation(value)
    before = turns[: answered(turns)]
    if len(before) == 1:
        return before[0]["content"]
    return "\n".join(f"{turn['role']}: {turn['content']}" for turn in before)


def last_answers(values: Iterable[Any]) -> Iterator[Answer]:
    """The last answer of each row, empty where there is none."""
    for value in values:
        turns = conversation(value)
        last = answered(turns)
        yield Answer("" if last is None else turns[last]["content"])
