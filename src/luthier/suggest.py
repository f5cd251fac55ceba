"""The recipe that `luthier init` writes: each choice follows from the data and says why in a comment."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from luthier.data import clean, columns, source
from luthier.methods import METHODS
from luthier.recipe.data import Columns, Data

SAMPLE = 20_000
"""Texts whose length is looked at."""

UNBALANCED = 3
"""Largest to smallest class from which on balanced weights are suggested."""

FEW = 500
"""Training rows below which only the head is trained: fewer weights, less over-fitting, and seconds instead of minutes."""

MANY = 100_000
"""Rows from which on a trial with some of them is suggested."""

LONGEST = 512
"""Tokens that BERT and most of its kin can read."""

CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]")
OTHER_SCRIPT = re.compile(r"[^\W\d_a-zA-Z\u00c0-\u024f]")
SEPARATORS = "|;/,"
COLUMN = 44
"""Where comments start."""


@dataclass(frozen=True)
class Facts:
    """What a look at the data gave."""

    path: str
    splits: dict[str, int]
    found: columns.Found
    counts: Counter[Any]
    """Usable training rows (of all rows, where nothing is divided yet) by label."""
    rows: int
    bad: int
    texts: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def multilabel(self) -> bool:
        """Whether a row can have several labels."""
        return self.found.kind != "single"

    def share(self, script: re.Pattern[str]) -> float:
        """Share of texts with a character of a script."""
        return sum(bool(script.search(text)) for text in self.texts) / len(self.texts)


def suggest(path: str) -> str:
    """Look at data and write a recipe for them.

    Args:
        path: whatever `data.files` can be: a file, a folder, a dataset name.

    Returns:
        YAML with comments.

    Raises:
        DataError: the data cannot be read, or it is not clear which columns to use.
    """
    facts = _look(path)
    parts = (_head, _task, _model, _data, _method, _train)
    return "\n".join(line for part in parts for line in part(facts)) + "\n"


def _look(path: str) -> Facts:
    read = source.read(Data(files=path))
    first = next(iter(read.splits.values()))
    found = columns.infer(first, Columns())
    labels = columns.labels(first, found)
    kept, bad = clean.find(clean.without_text(first, found.text), labels, next(iter(read.splits)), "drop")
    counts = Counter(one for row in kept for one in (labels[row] if isinstance(labels[row], list) else [labels[row]]))
    sizes = {name: len(rows) for name, rows in read.splits.items()}
    return Facts(path, sizes, found, counts, len(kept), len(bad), _texts(first, found.text, kept), read.notes)


def _texts(dataset: datasets.Dataset, column: str, kept: np.ndarray) -> list[str]:
    picked = kept[np.unique(np.linspace(0, len(kept) - 1, min(SAMPLE, len(kept))).astype(int))]
    return list(dataset.select_columns([column]).select(picked)[:][column])


def _head(facts: Facts) -> Iterator[str]:
    yield f"# Written by `luthier init {_said(facts.path)}`. Keys that are left out have defaults: docs/recipe.md."
    yield from (f"# {_said(note)}" for note in facts.notes)


def _task(facts: Facts) -> Iterator[str]:
    yield from _classes(facts)
    counts = facts.counts.values()
    ratio = max(counts) / min(counts) if counts else 1
    if facts.multilabel:
        yield _line("task: classify", "the label column makes it multi-label")
    elif ratio < UNBALANCED:
        yield _line(
            "task: classify", f"the largest class has {ratio:.1f} times the rows of the smallest: no weights needed"
        )
    else:
        yield _line(
            "task: {name: classify, weights: balanced}",
            f"the largest class has {ratio:.1f} times the rows of the smallest,",
        )
        yield _line("", "so rare classes weigh more in the loss; `task: classify` counts all rows alike")


def _classes(facts: Facts) -> Iterator[str]:
    kind = "labels, any number a row" if facts.multilabel else "classes"
    yield f"# {facts.rows:,} rows, {len(facts.counts)} {kind}:"
    shown = facts.counts.most_common(12)
    for label, count in shown:
        yield f"#   {_said(label)}: {count:,} ({count / facts.rows:.1%})"
    if len(facts.counts) > len(shown):
        yield f"#   and {len(facts.counts) - len(shown)} more, down to {min(facts.counts.values())} rows"


def _model(facts: Facts) -> Iterator[str]:
    if facts.share(CHINESE) > 0.2:
        yield from _foreign("Chinese", "intfloat/multilingual-e5-small", "or bert-base-chinese")
    elif facts.share(OTHER_SCRIPT) > 0.2:
        yield from _foreign("not in Latin script", "intfloat/multilingual-e5-small", "reads 100 languages")
    else:
        yield _line("model: demo/minilm-en", "small, quick, English; a Hugging Face name or a folder works as well")


def _foreign(what: str, better: str, remark: str) -> Iterator[str]:
    yield _line("model: demo/minilm-en", f"is English only, and the texts are {what}: it runs, and learns less")
    yield _line(f"# model: {better}", f"better, fetched from the Hugging Face hub; {remark}")


def _data(facts: Facts) -> Iterator[str]:
    yield "data:"
    yield f"  files: {_scalar(facts.path)}"
    yield from _columns(facts)
    yield from _split(facts)
    yield from _length(facts)
    if facts.bad:
        yield _line(
            "  bad_rows: drop", f"rows without text or label ({facts.bad:,} here) are left out; `error` refuses them"
        )
    if facts.rows >= MANY:
        yield _line("  # rows: 20000", "for a quick trial: this many rows, drawn at random")


def _columns(facts: Facts) -> Iterator[str]:
    yield f"  # {_said(facts.found.why)}"
    yield "  columns:"
    yield f"    text: {_scalar(facts.found.text)}"
    label = facts.found.label
    yield f"    label: {_scalar(label) if isinstance(label, str) else '[' + ', '.join(map(_scalar, label)) + ']'}"
    mark = _separator(facts)
    if mark:
        example = next(one for one in facts.counts if mark in str(one))
        yield _line(f"    # separator: {json.dumps(mark)}", f"if labels such as {example!r} are several in one cell")


def _separator(facts: Facts) -> str | None:
    """A character that joins labels which also stand alone."""
    if facts.multilabel:
        return None
    known = {str(label) for label in facts.counts}
    for mark in SEPARATORS:
        pieces = [piece.strip() for label in known if mark in label for piece in label.split(mark)]
        if pieces and any(piece in known for piece in pieces):
            return mark
    return None


def _split(facts: Facts) -> Iterator[str]:
    if list(facts.splits) == [source.UNDIVIDED]:
        yield _line("  split: {parts: [8, 1, 1]}", "train : validation : test, every class with its share in each")
        return
    given = ", ".join(f"{name} {rows:,}" for name, rows in facts.splits.items())
    if "validation" in facts.splits:
        yield f"  # The files give {given} rows; nothing is divided."
    else:
        yield _line("  split: {validation: 0.1}", f"the files give {given}; a tenth of training chooses the best epoch")


def _length(facts: Facts) -> Iterator[str]:
    lengths = np.array([_tokens(text) for text in facts.texts])
    usual = float(np.percentile(lengths, 99))
    limit = min(LONGEST, max(32, int(-(-usual * 1.25 // 32) * 32)))
    longer = float((lengths > limit).mean())
    reason = f"99 of 100 texts have at most about {usual:.0f} tokens (estimated)"
    yield _line(
        f"  max_length: {limit}",
        reason if longer < 0.02 else f"what most models can read; about {longer:.0%} of texts are longer",
    )
    if longer >= 0.02:
        yield _line("  too_long: cut", "their end is cut off, counted and reported; `drop` or `error` instead")


def _tokens(text: str) -> float:
    """A guess without a tokenizer: a token for a Chinese character, 1.4 for a word, and two for the marks at both ends."""
    return len(CHINESE.findall(text)) + 1.4 * len(CHINESE.sub(" ", text).split()) + 2


def _chosen(facts: Facts) -> str:
    return "head" if facts.rows < FEW else "full"


def _method(facts: Facts) -> Iterator[str]:
    few = f"{facts.rows} rows are few: train the new head only; full tunes everything"
    usual = "all weights; lora needs less memory, head takes seconds"
    yield _line(f"method: {_chosen(facts)}", few if facts.rows < FEW else usual)


def _train(facts: Facts) -> Iterator[str]:
    yield "train:"
    yield _epochs(facts)
    yield _line("  early_stopping: {patience: 2}", "stop after 2 evaluations without a better f1_macro on validation")
    yield _line("seed: 0", "the same seed gives the same run")


def _epochs(facts: Facts) -> str:
    """The method's own number is said and not set; only for many rows there is another."""
    method = _chosen(facts)
    own = METHODS[method].epochs
    if facts.rows >= MANY:
        return _line("  epochs: 1", f"enough for so many rows; left out, {method} takes {own}")
    cheap = "; they are cheap, as the frozen part is computed once" if facts.rows < FEW else ""
    return _line(f"  # epochs: {own}", f"passes over the training rows that {method} takes by itself{cheap}")


def _said(text: Any) -> str:
    """On one line, as a comment must be."""
    return " ".join(str(text).split())[:200]


def _line(text: str, comment: str) -> str:
    return f"{text.ljust(COLUMN)} # {_said(comment)}"


def _scalar(text: str) -> str:
    """A string as YAML, quoted where it would be read as something else."""
    plain = re.fullmatch(r"[^\W\d][\w./-]*( [\w./-]+)*|/[\w./-]+", text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)


RESERVED: Sequence[str] = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")
