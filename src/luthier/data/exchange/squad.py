"""Reading comprehension as SQuAD publishes it: articles of paragraphs of questions, with answers by their places.

Rajpurkar et al. 2016, and 2018 for questions without an answer; CMRC 2018 and DRCD are written so too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from luthier.data.exchange.votes import Contents, Rows
from luthier.errors import DataError

ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int64()))])
"""As `datasets` stores them."""


def is_articles(row: Mapping[str, Any]) -> bool:
    """Whether a row is an article with its paragraphs."""
    return isinstance(row.get("paragraphs"), list)


def read_articles(rows: Rows, name: str, annotators: str) -> Contents:
    """A row for each question: id, title, context, question, answers.

    Raises:
        DataError: a paragraph has no context or no questions, or an answer has no text; while rows are read.
    """
    return Contents(lambda: _questions(rows, name), {"answers": ANSWERS})


def _questions(rows: Rows, name: str) -> Iterator[dict[str, Any]]:
    for number, article in enumerate(rows(), start=1):
        for place, paragraph in enumerate(article.get("paragraphs") or (), start=1):
            where = f"{name}, article {number}, paragraph {place}"
            for asked in _part(paragraph, "qas", list, where):
                yield {
                    "id": str(asked.get("id", "")),
                    "title": str(article.get("title", "")),
                    "context": _part(paragraph, "context", str, where),
                    "question": _part(asked, "question", str, where),
                    "answers": _answers(asked, where),
                }


def _answers(asked: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Texts and places; none where the question cannot be answered, or where the file gives no answers."""
    given = [] if asked.get("is_impossible") else asked.get("answers") or []
    return {
        "text": [_text(_part(one, "text", str, where)) for one in given],
        "answer_start": [_part(one, "answer_start", int, where) for one in given],
    }


def _text(text: str) -> str:
    """Without halves of characters, which JSON can write and Arrow cannot hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _part(holder: Any, key: str, kind: type, where: str) -> Any:
    found = holder.get(key) if isinstance(holder, dict) else None
    if not isinstance(found, kind):
        raise DataError(
            f"{where}: `{key}` is missing, or {str(found)[:40]!r} where a {kind.__name__} belongs; expected SQuAD's "
            '{"context": "...", "qas": [{"id": "...", "question": "...", "answers": [{"text": "...", "answer_start": 0}]}]}.'
        )
    return found
