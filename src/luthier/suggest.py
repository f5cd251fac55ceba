"""The recipe that `luthier init` writes: each choice follows from the data and says why in a comment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from luthier.commented import line, said, scalar
from luthier.counted import many
from luthier.data import source
from luthier.first_look import Facts, look
from luthier.methods import METHODS
from luthier.recipe.data import INPUTS
from luthier.suggested_model import lines_of
from luthier.tasks import Labels

UNBALANCED = 3
"""Largest to smallest class from which on balanced weights are suggested."""

FEW = 500
"""Rows below which the last blocks are trained and not all: fewer weights, less over-fitting, and seconds instead of minutes."""

MANY = 100_000
"""Rows from which on a trial with some of them is suggested."""


SEPARATORS = "|;/,"
SHOWN = 12
PARTS: Mapping[Labels, str] = {"classes": "train : validation : test, every class with its share in each"}
"""What is said of a random division, where labels are shared."""
Lines = Callable[[Facts], Iterator[str]]


def suggest(path: str) -> str:
    """Look at data and write a recipe for them.

    Args:
        path: whatever `data.files` can be: a file, a folder, a dataset name.

    Returns:
        YAML with comments.

    Raises:
        DataError: the data cannot be read, or it is not clear which columns to use.
    """
    facts = look(path)
    parts = (_head, TASK_LINES[facts.wanted], lines_of(facts)[0], _data, _method, _train)
    return "\n".join(one for part in parts for one in part(facts)) + "\n"


def _head(facts: Facts) -> Iterator[str]:
    yield f"# Written by `luthier init {said(facts.path)}`. Keys that are left out have defaults: docs/recipe.md."
    yield from (f"# {said(note)}" for note in facts.notes)


def _classes(facts: Facts) -> Iterator[str]:
    count = len(facts.counts)
    kind = f"{many(count, 'label')}, any number a row" if facts.multilabel else many(count, "class", "classes")
    yield from _counted(facts, kind, facts.rows)
    counts = facts.counts.values()
    ratio = max(counts) / min(counts)
    uneven = f"the largest class has {ratio:.1f} times the rows of the smallest"
    ratio_said = uneven if ratio >= 1.05 else "classes are of one size"
    if facts.multilabel:
        yield line("task: classify", "the label column makes it multi-label")
    elif ratio < UNBALANCED:
        yield line("task: classify", f"{ratio_said}: no weights needed")
    else:
        yield line("task: {name: classify, weights: balanced}", f"{ratio_said},")
        yield line("", "so rare classes weigh more in the loss; `task: classify` counts all rows alike")
    if facts.amounts and len(facts.counts) > 2:
        yield line("# task: regress", "if the labels are amounts, so that 3 is nearer to 4 than to 9")


def _numbers(facts: Facts) -> Iterator[str]:
    yield from _counted(facts, "labels in five ranges", facts.rows)
    yield line("task: regress", f"the label is one of {facts.distinct:,} different numbers: an amount and no class;")
    yield line("", "`task: classify` takes each number for a class of its own")


def _tags(facts: Facts) -> Iterator[str]:
    yield from _counted(facts, facts.target.about.kind)
    yield line("task: tag", "every token has a tag; spans are scored as whole entities")


def _answers(facts: Facts) -> Iterator[str]:
    yield f"# {facts.rows:,} rows."
    yield line("task: generate", "answers are free words, and only they are learned")


def _pieces(facts: Facts) -> Iterator[str]:
    yield from _counted(facts, "questions about texts", facts.rows)
    yield line("task: answer", "answers are pieces of the text that comes with the question")


def _spoken(facts: Facts) -> Iterator[str]:
    yield f"# {facts.rows:,} rows."
    yield line(
        "task: transcribe", "what is said is written down; `{name: transcribe, language: french}` for a model of"
    )
    yield line("", "several languages")


def _together(facts: Facts) -> Iterator[str]:
    yield f"# {facts.rows:,} rows of an image and its text."
    yield line(
        "task: align", "no column holds labels: each image is to be found by its text, and each text by its image"
    )
    yield line("# task: generate", "writes the texts: name that column as label, and for model two networks, such as")
    yield line("", "{image: google/vit-base-patch16-224, writer: HuggingFaceTB/SmolLM2-135M-Instruct}; method: head")


TASK_LINES: Mapping[Labels, Lines] = {
    "classes": _classes,
    "numbers": _numbers,
    "tags": _tags,
    "texts": _answers,
    "answers": _pieces,
    "transcripts": _spoken,
    "none": _together,
}


def _counted(facts: Facts, what: str, of: int | None = None) -> Iterator[str]:
    """How often each label occurs, and its share `of` so many."""
    yield f"# {facts.rows:,} rows, {what}:"
    shown = list(facts.counts.items())[:SHOWN]
    for label, count in shown:
        yield f"#   {said(label)}: {count:,}{f' ({count / of:.1%})' if of else ''}"
    if len(facts.counts) > len(shown):
        yield f"#   and {len(facts.counts) - len(shown)} more, down to {many(min(facts.counts.values()), 'row')}"


def _data(facts: Facts) -> Iterator[str]:
    yield "data:"
    yield f"  files: {scalar(facts.path)}"
    yield from _columns(facts)
    yield from _split(facts)
    yield from lines_of(facts)[1](facts)
    if facts.bad:
        yield line(
            "  bad_rows: drop",
            f"rows that cannot be used ({len(facts.bad):,} here, such as {facts.bad[0]}) are left out; `error` refuses them",
        )
    if facts.rows >= MANY:
        yield line("  # rows: 20000", "for a quick trial: this many rows, drawn at random")


def _columns(facts: Facts) -> Iterator[str]:
    yield f"  # {said(facts.found.why)}"
    yield "  columns:"
    for key, column in zip(INPUTS[facts.found.medium], facts.found.inputs, strict=True):
        yield f"    {key}: {scalar(column)}"
    label = facts.found.label
    if label in facts.found.also:
        return  # the text belongs to its image, and no column holds labels
    yield f"    label: {scalar(label) if isinstance(label, str) else '[' + ', '.join(map(scalar, label)) + ']'}"
    mark = _separator(facts)
    if mark:
        example = next(one for one in facts.counts if mark in str(one))
        yield line(f"    # separator: {json.dumps(mark)}", f"if labels such as {example!r} are several in one cell")


def _separator(facts: Facts) -> str | None:
    """A character that joins labels which also stand alone."""
    if facts.found.kind != "single":
        return None
    known = {str(label) for label in facts.counts}
    for mark in SEPARATORS:
        pieces = [piece.strip() for label in known if mark in label for piece in label.split(mark)]
        if pieces and any(piece in known for piece in pieces):
            return mark
    return None


def _split(facts: Facts) -> Iterator[str]:
    if list(facts.splits) == [source.UNDIVIDED]:
        yield from _division(facts)
        return
    given = ", ".join(f"{name} {rows:,}" for name, rows in facts.splits.items())
    if "validation" in facts.splits:
        yield f"  # The files give {given} rows; nothing is divided."
    else:
        yield line("  split: {validation: 0.1}", f"the files give {given}; a tenth of training chooses the best epoch")


def _division(facts: Facts) -> Iterator[str]:
    if facts.group:
        first, second = facts.group.why
        yield line(f"  split: {{by: group, column: {scalar(facts.group.column)}}}", first)
        yield line("", second)
    else:
        yield line("  split: {parts: [8, 1, 1]}", PARTS.get(facts.wanted, "train : validation : test"))


def _chosen(facts: Facts) -> tuple[str, str]:
    """The method, and why."""
    if facts.perceived and facts.wanted in ONE_ANSWER:
        return (
            "head",
            "the model stays as it is and sees each row once, so that epochs take seconds; `full` may learn more",
        )
    if facts.rows < FEW and facts.wanted in ONE_ANSWER:
        return "top", f"{facts.rows} rows are few: the new head and the last two blocks learn; full tunes everything"
    return METHOD_FOR[facts.wanted]


ONE_ANSWER = ("classes", "numbers")
"""Labels that a head can give of what a frozen model makes of the row."""

METHOD_FOR: Mapping[Labels, tuple[str, str]] = {
    "classes": ("full", "all weights; lora needs less memory, head takes seconds"),
    "numbers": ("full", "all weights; lora needs less memory, head takes seconds"),
    "tags": (
        "full",
        "all weights, as a new head alone seldom sees where entities begin and end; lora needs less memory",
    ),
    "answers": (
        "full",
        "all weights, as a new head alone seldom sees where answers begin and end; lora needs less memory",
    ),
    "none": ("lora", "a few weights beside those of the model; full tunes all of them and takes more memory"),
    "transcripts": ("lora", "a few weights beside those of the model; full tunes all of them and takes more memory"),
    "texts": ("lora", "a few weights beside those of the model; full tunes all of them and takes more memory"),
}


def _method(facts: Facts) -> Iterator[str]:
    yield line(f"method: {_chosen(facts)[0]}", _chosen(facts)[1])


def _train(facts: Facts) -> Iterator[str]:
    yield "train:"
    yield _epochs(facts)
    best = f"stop after 2 evaluations without a better {facts.target.judge.monitor} on validation"
    yield line("  early_stopping: {patience: 2}", best)
    yield line("seed: 0", "the same seed gives the same run")


def _epochs(facts: Facts) -> str:
    """The method's own number is said and not set; only for many rows there is another."""
    name = _chosen(facts)[0]
    method = METHODS[name]
    if facts.rows >= MANY:
        return line("  epochs: 1", f"enough for so many rows; left out, {name} takes {method.epochs}")
    own = f"passes over the training rows that {name} takes by itself; more where they are fewer than {method.steps} steps"
    return line(f"  # epochs: {method.epochs}", own)
