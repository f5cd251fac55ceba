"""Spans that several annotators marked in a text: what they come to, and how far the annotators agree, character by character.

Agreement on spans is reduced to agreement on the labels of the smallest pieces, here characters, unmarked ones included (O),
as Mathet, Widlöcher and Métivier (2015), The Unified and Holistic Method Gamma, describe and criticise it: long spans weigh more
than short ones, and two touching spans of one label are not told from one. It works for languages without spaces alike.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from luthier.errors import DataError

Span = dict[str, Any]
"""Part of a text: `start` and `end` in characters (end excluded) and `label`."""


def majority(answers: Sequence[Sequence[Span]]) -> list[Span] | None:
    """Of each label, the stretches of characters that more than half of the annotators marked with it, by their place in the text.

    A stretch is cut where more than half of those who marked both sides of a place have a border there, so that two touching
    spans stay two. Spans of one label that overlap become one, unless all annotators say exactly the same.

    Returns:
        None when every annotator marked something and nothing has a majority.
    """
    if all(answer == answers[0] for answer in answers):
        return list(answers[0])
    labels = sorted({span["label"] for answer in answers for span in answer})
    kept = [span for label in labels for span in _stretches([_of(label, answer) for answer in answers], label)]
    if not kept and all(answers):
        return None
    return sorted(kept, key=lambda span: (span["start"], span["end"], span["label"]))


def units(
    rows: Sequence[tuple[Mapping[str, Any], Sequence[Sequence[Span]]]],
) -> Iterator[tuple[list[frozenset[str]], int]]:
    """Stretches of characters within which nobody begins or ends a span: each annotator's set of labels, and the length.

    Args:
        rows: what people saw, with the text among it, and the spans of each annotator.

    Raises:
        DataError: no column holds a text that the spans fit into.
    """
    shared = [(inputs, answers) for inputs, answers in rows if len(answers) > 1]
    column = text_column(shared)
    if not shared:
        return
    if column is None:
        raise DataError("No column holds a text that all marked spans fit into.")
    for inputs, answers in shared:
        borders = _borders(answers, len(inputs[column]))
        marked = zip(*(_sets(answer, borders) for answer in answers), strict=True)
        for (start, end), labels in zip(itertools.pairwise(borders), marked, strict=True):
            yield list(labels), end - start


def _of(label: str, answer: Sequence[Span]) -> list[Span]:
    return [span for span in answer if span["label"] == label]


def _stretches(answers: Sequence[Sequence[Span]], label: str) -> Iterator[Span]:
    """What more than half marked, of annotators' spans of one label."""
    borders = _borders(answers)
    swept = [_sweep(answer, borders) for answer in answers]
    most = [2 * sum(inside[index] for _, inside in swept) > len(answers) for index in range(len(borders))]
    first = None
    for index, (start, end) in enumerate(itertools.pairwise(borders)):
        if most[index]:
            first = start if first is None else first
            if not most[index + 1] or _is_cut(index + 1, swept):
                yield {"start": first, "end": end, "label": label}
                first = None


def _is_cut(index: int, swept: Sequence[tuple[list[bool], list[bool]]]) -> bool:
    """Whether most of those who marked both sides of a border marked two spans and not one across it."""
    both = [across[index] for across, inside in swept if inside[index - 1] and inside[index]]
    return 2 * sum(both) < len(both)


def _sweep(answer: Sequence[Span], borders: Sequence[int]) -> tuple[list[bool], list[bool]]:
    """For each border, whether a span goes across it, and whether one covers the stretch that begins there."""
    begin, end = (Counter(span[key] for span in answer) for key in ("start", "end"))
    across, inside, opened = [], [], 0
    for border in borders:
        opened -= end[border]
        across.append(opened > 0)
        opened += begin[border]
        inside.append(opened > 0)
    return across, inside


def _sets(answer: Sequence[Span], borders: Sequence[int]) -> list[frozenset[str]]:
    """The labels that an annotator gave to each stretch between two borders."""
    changes: dict[int, Counter[str]] = defaultdict(Counter)
    for span in answer:
        changes[span["start"]][span["label"]] += 1
        changes[span["end"]][span["label"]] -= 1
    opened: Counter[str] = Counter()
    found = [frozenset[str]()]
    for border in borders[:-1]:
        if border in changes:
            opened.update(changes[border])
            found.append(frozenset(label for label, spans in opened.items() if spans > 0))
        else:
            found.append(found[-1])
    return found[1:]


def _borders(answers: Sequence[Sequence[Span]], length: int | None = None) -> list[int]:
    """Where spans begin or end, in order; with the ends of the text where its `length` is given."""
    ends = () if length is None else (0, length)
    return sorted({*ends, *(span[key] for answer in answers for span in answer for key in ("start", "end"))})


def text_column(rows: Sequence[tuple[Mapping[str, Any], Sequence[Sequence[Span]]]]) -> str | None:
    """The column with the marked texts: of those that all spans fit into, the one with the longest texts; None where there is none."""
    fitting = {
        column: sum(len(inputs[column]) for inputs, _ in rows)
        for column in (rows[0][0] if rows else ())
        if all(_fits(inputs.get(column), answers) for inputs, answers in rows)
    }
    return max(fitting, key=fitting.__getitem__, default=None)


def _fits(text: Any, answers: Sequence[Sequence[Span]]) -> bool:
    return isinstance(text, str) and all(
        0 <= span["start"] <= span["end"] <= len(text) for answer in answers for span in answer
    )
