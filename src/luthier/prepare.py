"""From the recipe's files to encoded splits and a learned target: the first third of the straight line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from luthier.data import cells, clean, columns, fingerprint, languages, looked, source
from luthier.data.changes import SHOWN, Change, summary
from luthier.data.divided import divide
from luthier.data.encode import Rows, encode, limit_rows
from luthier.data.guarded import guard
from luthier.data.repeated import settle
from luthier.data.table import Table
from luthier.errors import DataError
from luthier.modalities import Modality
from luthier.recipe.data import Data
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.tasks import Target

TOO_LONG = "too_long"
"""The step that leaves out rows that are longer than the model reads."""
LOOKED_AT = 1000
"""Rows of a split in which unknown tokens are counted."""


@dataclass
class Prepared:
    """Everything about the data that training and evaluation need."""

    target: Target
    tables: dict[str, Table]
    found: columns.Found
    facts: dict[str, Any]
    changes: list[Change] = field(default_factory=list)
    """Rows that were removed or relabelled on the way."""
    rows: dict[str, Rows] = field(default_factory=dict)
    limit: float | None = None
    """`data.max_length`, or of audio the seconds of the longest recording."""

    def values(self, split: str, numbers: np.ndarray) -> datasets.Dataset:
        """The raw columns that the model reads, of some rows by their numbers in the source."""
        table = self.tables[split]
        order = np.argsort(table.numbers)
        places = order[np.searchsorted(table.numbers, numbers, sorter=order)]
        return table.rows.select(places).select_columns(list(self.found.inputs))

    @property
    def held_out(self) -> str:
        """The split that is scored at the end."""
        return str(self.facts["held_out"])


def prepare(recipe: Recipe, console: Console | None = None) -> Prepared:
    """Read, clean, divide and learn the labels; nothing is encoded yet.

    Args:
        recipe: its `data`, `task` and `seed`.
        console: to show progress; None for silence.

    Raises:
        DataError: the files, columns, labels or splits cannot be used.
    """
    console = console or Console(quiet=True)
    with console.status("Reading the data"):
        read = source.read(recipe.data)
    found = columns.infer(next(iter(read.splits.values())), recipe.data.columns, recipe.task.labels)
    recipe.task.refuse(found.medium)
    seen = looked.look(read.splits, found)
    found = seen.found
    cleaned, bad, changes = _clean(seen, recipe.data)
    recipe.task.learn(
        next(iter(cleaned.values())).labels
    )  # no target yet: says what is wrong before the division stumbles over it
    settled, more, repeated = settle(cleaned, found, recipe.data, console)
    with console.status("Dividing the rows"):
        divided = divide(settled, found.compared, recipe.data, recipe.seed)
        guarded = guard(divided.tables, found, recipe.data, near=repeated.get("similarity") is not None)
    changes += [*more, *guarded.changes]
    target = recipe.task.learn(guarded.tables["train"].labels).on(found.medium)
    facts = _told(read, seen, guarded.tables) | {
        "target": target.facts,
        "split": divided.how,
        "bad_rows": bad,
        "duplicates": repeated,
        "leakage": guarded.facts,
        "changes": summary(changes),
        "notes": [*read.notes, *filter(None, [repeated.get("note")])],
    }
    remarks = [one for name, table in guarded.tables.items() for one in _remarks(target, name, table)]
    facts["warnings"] = [*divided.warnings, *guarded.warnings, *remarks, *_warnings(facts["held_out"])]
    limit = recipe.data.max_length or seen.longest
    return Prepared(target, guarded.tables, found, facts, changes, limit=limit)


def _told(read: source.Source, seen: looked.Looked, tables: Mapping[str, Table]) -> dict[str, Any]:
    """What data.json says of where the rows come from."""
    found = seen.found
    return {
        "files": {
            name: [str(one.get("path") or one["dataset"]) for one in parts] for name, parts in read.files.items()
        },
        "annotation": {
            name: [one["annotation"] for one in parts if one.get("annotation")] for name, parts in read.files.items()
        },
        "fingerprint": fingerprint.of(seen.compared),
        "columns": {
            **{
                key: getattr(found, key)
                for key in ("text", "also", "label", "separator", "medium", "kind", "part", "why")
            },
        },
        "splits": {name: {"rows": len(table.labels)} for name, table in tables.items()},
        "odd": seen.odd,
        "held_out": next((name for name in ("test", "validation") if name in tables), ""),
    }


def encode_all(prepared: Prepared, modality: Modality, options: Data) -> None:
    """Encode every split, apply `too_long`, and complete the facts with labels and lengths."""
    spoken = languages.find(prepared.tables["train"].rows, prepared.found)
    prepared.facts |= {"max_length": modality.limit, "unit": modality.unit, "languages": spoken}
    prepared.facts["notes"] += filter(None, [spoken.get("note")])
    prepared.changes = [one for one in prepared.changes if one.step != TOO_LONG]  # of an earlier modality
    for name, table in prepared.tables.items():
        targets = _targets(prepared.target, name, table)
        key = f"{prepared.facts['fingerprint']}|{fingerprint.of_indices(table.numbers)}|{name}"
        rows = encode(table.rows, prepared.found.encoded, targets, table.numbers, modality, key)
        too_long = rows.too_long(modality) | {
            "action": options.too_long if name == "train" or options.too_long == "error" else "cut"
        }
        prepared.rows[name] = limit_rows(rows, name, str(too_long["action"]), modality)
        dropped = np.setdiff1d(rows.numbers, prepared.rows[name].numbers)
        why = f"longer than {modality.limit:g} {modality.unit}"
        prepared.changes += [Change(name, int(number) + 1, "removed", TOO_LONG, why) for number in dropped]
        prepared.facts["splits"][name] |= {
            "labels": prepared.target.count(targets),
            "length": _lengths(modality.sizes(rows.full_lengths)),
            "too_long": too_long,
            "unknown": round(modality.unknown(rows.take(_spread(len(rows)))), 4),
        }
    prepared.facts["changes"] = summary(prepared.changes)
    _check_left(prepared)


def _clean(seen: looked.Looked, options: Data) -> tuple[dict[str, Table], dict[str, Any], list[Change]]:
    tables: dict[str, Table] = {}
    changes: list[Change] = []
    for name, data in seen.splits.items():
        labels = columns.labels(data, seen.found)
        kept, bad = clean.find(seen.unusable[name], labels, name, options.bad_rows)
        tables[name] = Table(data.select(kept), [labels[index] for index in kept], kept)
        changes += [Change(name, row, "removed", "bad_rows", reason) for row, reason in bad]
    examples = [{"split": one.split, "row": one.row, "reason": one.reason} for one in changes[:SHOWN]]
    return tables, {"rows": len(changes), "examples": examples}, changes


def labelled_rows(file: str, found: Mapping[str, Any], options: Data) -> tuple[list[Any], list[Any]]:
    """Inputs and labels of another file with the columns of a run, for evaluation.

    Raises:
        DataError: the file or one of the columns is not there.
    """
    rows = next(iter(source.read(Data(files=file, encoding=options.encoding)).splits.values()))
    where = columns.again(rows, found)
    labels = columns.labels(rows, where)
    kept, _ = clean.find(looked.look({"all": rows}, where).unusable["all"], labels, file, "drop")
    return cells.values(rows.select(kept), where.encoded), [labels[index] for index in kept]


def _targets(target: Target, name: str, table: Table) -> np.ndarray:
    with _of_split(name):
        return target.encode(table.labels)


def _remarks(target: Target, name: str, table: Table) -> list[str]:
    with _of_split(name):
        return [f"{name} split: {one}" for one in target.remarks(table.labels, (table.numbers + 1).tolist())]


@contextmanager
def _of_split(name: str) -> Iterator[None]:
    """Errors say which split they are of."""
    try:
        yield
    except DataError as wrong:
        raise DataError(f"{name} split: {wrong}") from None


def _warnings(held_out: str) -> list[str]:
    """What a person should know before trusting the scores."""
    if held_out == "validation":
        return [
            "There is no test split: the scores are of the validation rows, which also choose the best epoch, and may flatter."
        ]
    return [] if held_out else ["There are no held-out rows: nothing can be said about how good the model is."]


def _spread(rows: int) -> np.ndarray:
    """Up to `LOOKED_AT` row numbers, evenly spread."""
    return np.unique(np.linspace(0, rows - 1, min(rows, LOOKED_AT)).astype(np.int64))


def _lengths(sizes: np.ndarray) -> dict[str, float]:
    if not len(sizes):
        return {"median": 0, "p95": 0, "max": 0}
    found = {"median": np.median(sizes), "p95": np.percentile(sizes, 95), "max": sizes.max()}
    return {name: int(size) if sizes.dtype.kind == "i" else round(float(size), 2) for name, size in found.items()}


def _check_left(prepared: Prepared) -> None:
    empty = [name for name, rows in prepared.rows.items() if not len(rows)]
    if empty:
        raise DataError(
            f"No {empty[0]} rows are left after too_long: drop; raise data.max_length or write too_long: cut."
        )
