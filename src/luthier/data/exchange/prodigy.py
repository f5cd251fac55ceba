"""Prodigy's JSONL: text classification by accept and reject or by choice, and spans.

Format: https://prodi.gy/docs/api-interfaces and the `answer` key in https://prodi.gy/docs/api-web-app.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from luthier.data.exchange import kinds
from luthier.data.exchange.kinds import Kind
from luthier.data.exchange.spans import Span
from luthier.data.exchange.votes import Answer, Contents, Item, Rows, settle
from luthier.errors import DataError

ANSWERS = ("accept", "reject", "ignore")
OWN = ("label", "accept", "options", "spans", "tokens", "answer", "config", "style")
"""Keys that the interfaces and the answers use; all others but those that begin with `_` belong to the row."""
LABEL, SPANS = "label", "spans"

Record = Mapping[str, Any]


def is_answers(row: Record) -> bool:
    """Whether this is an answered task of Prodigy; a question with its `answer` in free text is none."""
    return row.get("answer") in ANSWERS and bool({"_task_hash", "label", "options", "accept", "spans"} & set(row))


def read(rows: Rows, name: str, annotators: str) -> Contents:
    """A row for each text, in the order in which they first come, with the answers of all annotators.

    By choice, a row has the options that were accepted. By accept and reject, it has the labels that were accepted; where the
    whole file asks for one label, a rejected row has the label `not LABEL`. Ignored tasks and rejected choices count as skipped.

    Args:
        rows: gives the answered tasks.
        name: the file, for messages.
        annotators: `majority` or `all`, see `votes.settle`.

    Raises:
        DataError: a line without an answer, or with one or with spans that Prodigy does not write.
    """
    tasks: dict[str, list[Record]] = defaultdict(list)
    labels: Counter[str] = Counter()
    for number, row in enumerate(rows(), start=1):
        _check(row, f"{name}, row {number}")
        tasks[_input(row)].append(row)
        labels.update([row["label"]] if "label" in row else [])
    only = next(iter(labels)) if len(labels) == 1 else None
    items = [_item(records, only) for records in tasks.values()]
    several = any(_takes_several(record) for records in tasks.values() for record in records)
    items, found = _fitting_kinds(items, several)
    return settle(items, found, annotators, name)


def _check(row: Record, where: str) -> None:
    if row.get("answer") not in ANSWERS:
        raise DataError(
            f"{where}: `answer` is {row.get('answer')!r}; Prodigy writes {', '.join(ANSWERS)}. Export with `prodigy db-out`."
        )
    if not isinstance(row.get("label", ""), str) or not isinstance(row.get("accept", []), list):
        raise DataError(
            f"{where}: `label` is {row.get('label')!r} and `accept` is {row.get('accept')!r}; Prodigy writes a name and a list of names."
        )
    marked = row.get("spans", [])
    if not isinstance(marked, list) or not all(map(_is_span, marked)):
        raise DataError(
            f'{where}: `spans` is {json.dumps(marked)[:60]}; expected a list of {{"start": 0, "end": 5, "label": "..."}}, in characters.'
        )


def _input(row: Record) -> str:
    """What makes two tasks questions about the same row."""
    return str(row["_input_hash"]) if "_input_hash" in row else json.dumps(_inputs(row), sort_keys=True)


def _inputs(row: Record) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in OWN and not key.startswith("_")}


def _item(records: Sequence[Record], only: str | None) -> Item:
    by_annotator: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_annotator[str(record.get("_annotator_id") or record.get("_session_id") or "")].append(record)
    given = {who: dict(_values(mine, only)) for who, mine in by_annotator.items()}
    answers = [Answer(who, values) for who, values in given.items() if values]
    return Item(_inputs(records[0]), answers, len(given) - len(answers))


def _values(records: Sequence[Record], only: str | None) -> Iterator[tuple[str, Any]]:
    """What one annotator says of one row, by column: nothing where all is ignored."""
    for fits, column, read in INTERFACES:
        mine = [record for record in records if fits(record)]
        value = read(mine, only) if mine else None
        if value is not None:
            yield column, value


def _chosen(records: Sequence[Record], only: str | None) -> list[str] | None:
    """The last choice that was made; a rejected one says that the row is no good."""
    made = [record.get("accept", []) for record in records if record["answer"] == "accept"]
    return list(map(str, made[-1])) if made else None


def _judged(records: Sequence[Record], only: str | None) -> list[str] | None:
    last = {str(record["label"]): record["answer"] for record in records}
    accepted = [label for label, answer in last.items() if answer == "accept"]
    if only is not None and last.get(str(only)) == "reject":
        return [f"not {only}"]
    return accepted if accepted or "reject" in last.values() else None


def _marked(records: Sequence[Record], only: str | None) -> list[Span] | None:
    made = [record["spans"] for record in records if record["answer"] == "accept"]
    if not made:
        return None
    return [{"start": span["start"], "end": span["end"], "label": str(span.get("label"))} for span in made[-1]]


def _is_span(span: Any) -> bool:
    return isinstance(span, dict) and all(isinstance(span.get(key), int) for key in ("start", "end"))


Reader = Callable[[Sequence[Record], str | None], Any]
INTERFACES: Sequence[tuple[Callable[[Record], bool], str, Reader]] = (
    (lambda record: "accept" in record or "options" in record, LABEL, _chosen),
    (lambda record: "label" in record and "options" not in record, LABEL, _judged),
    (lambda record: "spans" in record, SPANS, _marked),
)
"""Which records an interface has written, the column that its answers make, and how they are read."""


def _takes_several(record: Record) -> bool:
    config = record.get("config")
    return isinstance(config, dict) and config.get("choice_style") == "multiple"


def _fitting_kinds(items: Sequence[Item], several: bool) -> tuple[list[Item], dict[str, Kind]]:
    """Labels as single values where nobody gives two to a row, nor is asked for `several`."""
    labels = [answer.values[LABEL] for item in items for answer in item.answers if LABEL in answer.values]
    one = not several and all(len(label) <= 1 for label in labels)
    found = {LABEL: kinds.CHOICE if one else kinds.CHOICES} if labels else {}
    if any(SPANS in answer.values for item in items for answer in item.answers):
        found[SPANS] = kinds.SPAN_LIST
    if found.get(LABEL) is not kinds.CHOICE:
        return list(items), found
    return [Item(item.inputs, [_single(answer) for answer in item.answers], item.skipped) for item in items], found


def _single(answer: Answer) -> Answer:
    if LABEL not in answer.values:
        return answer
    return Answer(answer.annotator, {**answer.values, LABEL: next(iter(answer.values[LABEL]), None)}, answer.decides)
