"""Questions about passages, with answers that stand in them: which columns hold them, and what is wrong with a row.

Answers are written as SQuAD (Rajpurkar et al. 2016) and `datasets` have them, {text: [...], answer_start: [...]} with no text where
there is no answer (Rajpurkar et al. 2018), or as a plain text, whose first place in the passage is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import datasets
import numpy as np

from luthier.counted import many
from luthier.data.answers import Marked
from luthier.data.cells import values
from luthier.data.found import Found
from luthier.data.labels import arrow_type, is_text
from luthier.data.looks import check_exist
from luthier.errors import DataError
from luthier.recipe.data import Columns

QUESTIONS = ("question", "query", "问题", "提问")
PASSAGES = ("context", "passage", "paragraph", "document", "article", "原文", "文章", "篇章", "段落")
ANSWERS = ("answers", "answer", "answer_text", "答案", "回答")
"""Earlier names win."""

TITLES = ("title",)
"""Columns that say which article a passage is of."""

SAMPLE = 200
"""Rows by which data are told to be of this kind."""

Given = tuple[str, int | None]
"""The text of an answer, and where it begins, where that is said."""


def find(dataset: datasets.Dataset, given: Columns) -> Found:
    """Find the columns of questions, passages and answers, and say why.

    Raises:
        DataError: a given column does not exist, or there are none with such names.
    """
    if isinstance(given.label, list):
        raise DataError("data.columns.label: answers stand in one column; got a list.")
    check_exist(dataset, [name for name in (given.text, given.pair, given.label) if name is not None])
    texts = [name for name in dataset.column_names if is_text(arrow_type(dataset, name))]
    question = given.text or _named(texts, QUESTIONS)
    passage = given.pair or _named(texts, PASSAGES)
    answer = given.label or _named(dataset.column_names, ANSWERS)
    if question is None or passage is None or answer is None or not {question, passage} <= set(texts):
        raise DataError(
            "Task answer needs a column of questions, one of the texts that answer them, and one of answers. Columns with text are: "
            f"{', '.join(texts) or 'none'}. Say which they are:\n"
            "data:\n  columns: {text: question, pair: context, label: answers}"
        )
    if len({question, passage, answer}) < 3:
        raise DataError("Task answer needs three different columns: data.columns names one of them twice.")
    why = f"questions are {question!r}; what answers them is {passage!r}; answers are {answer!r}."
    return Found(question, answer, None, "answers", why, medium="question", also=(passage,))


def fits(dataset: datasets.Dataset) -> bool:
    """Whether there are questions, passages and answers of which most stand in the passages."""
    try:
        found = find(dataset, Columns())
    except DataError:
        return False
    picked = np.unique(np.linspace(0, len(dataset) - 1, min(SAMPLE, len(dataset))).astype(int))
    known = [one for one in read(dataset.select(picked), found) if one is not None]
    return 2 * sum(one.lost is None for one in known) > len(picked)


def read(dataset: datasets.Dataset, found: Found) -> Iterator[Marked | None]:
    """The answers of each row, None where it says nothing of them."""
    for passage, cell in values(dataset, (found.also[0], str(found.label))):
        given = _given(cell)
        yield None if given is None else marked(str(passage or ""), given)


def marked(passage: str, given: Sequence[Given]) -> Marked:
    """Answers with their places, without white space at their ends; the place that is nearest to where it is said to be counts."""
    texts = [text.strip() or text for text, _ in given]
    said = [None if start is None else start + _indent(text) for text, start in given]
    starts = [_nearest(passage, text, start) for text, start in zip(texts, said, strict=True)]
    moved = any(start not in {None, place} for start, place in zip(said, starts, strict=True))
    return Marked(texts, starts, moved)


def faults(answers: Sequence[Marked | None]) -> Iterator[tuple[int, str]]:
    """Rows with an answer that does not stand in the passage, by index from 0, and why they cannot be used."""
    for row, one in enumerate(answers):
        if one is not None and one.lost is not None:
            yield row, f"the answer {one.lost[:40]!r} is not in its context"


def remarks(answers: Sequence[Marked | None], split: str) -> Iterator[str]:
    """A sentence on answers that stand elsewhere than is said."""
    rows = [row + 1 for row, one in enumerate(answers) if one is not None and one.moved and one.lost is None]
    if rows:
        where = "" if split == "all" else f" of {split}"
        some = ", ".join(map(str, rows[:5]))
        yield (
            f"{many(len(rows), 'row')}{where} with an answer that does not stand where answer_start says, such as row {some}: the nearest "
            "place where it does was taken."
        )


def group(dataset: datasets.Dataset, found: Found) -> str | None:
    """The column that says which questions are about the same: articles, or else the texts themselves, where they repeat."""
    texts = (*TITLES, found.also[0])
    kinds = {name: len(set(dataset[name])) for name in texts if name in dataset.column_names}
    return next((name for name, count in kinds.items() if 3 <= count < len(dataset)), None)


def _named(columns: Sequence[str], names: Sequence[str]) -> str | None:
    called = {name.strip().lower(): name for name in reversed(columns)}
    return next((called[name] for name in names if name in called), None)


def _given(cell: Any) -> list[Given] | None:
    """What a cell says; None where it says nothing."""
    if isinstance(cell, str):
        return _written(cell)
    if isinstance(cell, Mapping):
        return _paired(cell)
    if cell is None:
        return None
    return [one for item in cell for one in _given(item) or ()]


def _written(cell: str) -> list[Given] | None:
    """A plain text, or JSON as files without nested columns have it."""
    if cell.strip().startswith(("{", "[")):
        try:
            inner = json.loads(cell)
        except ValueError:
            return [(cell, None)]
        return _given(inner)
    return [(cell, None)] if cell.strip() else None


def _paired(cell: Mapping[str, Any]) -> list[Given] | None:
    texts, starts = cell.get("text"), cell.get("answer_start")
    if isinstance(texts, str):
        texts, starts = [texts], [starts]
    if texts is None:
        return None
    starts = [None] * len(texts) if starts is None else list(starts)
    if len(starts) != len(texts):
        starts = [None] * len(texts)
    return [(str(text), start) for text, start in zip(texts, starts, strict=True) if str(text).strip()]


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip()) if text.strip() else 0


def _nearest(passage: str, text: str, said: int | None) -> int:
    """Where a text stands, nearest to where it is said to; -1 where it does not."""
    if said is None or passage[max(said, 0) :].startswith(text):
        return passage.find(text) if said is None else max(said, 0)
    before, behind = passage.rfind(text, 0, max(said, 0) + len(text)), passage.find(text, max(said, 0))
    places = [place for place in (before, behind) if place >= 0]
    return min(places, key=lambda place: abs(place - said), default=-1)
