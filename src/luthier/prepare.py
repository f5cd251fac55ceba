"""From the recipe's files to encoded splits and a learned target: the first third of the straight line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datasets
import numpy as np

from luthier.data import clean, columns, fingerprint, source, split
from luthier.data.encode import Rows, encode, limit_rows
from luthier.errors import DataError
from luthier.modalities import Modality
from luthier.recipe.schema import Data, Recipe
from luthier.tasks import Target

ORDER = ("train", "validation", "test")


@dataclass(frozen=True)
class Table:
    """A split before encoding: its rows, their labels, and their numbers in the source."""

    rows: datasets.Dataset
    labels: Sequence[Any]
    numbers: np.ndarray

    def pick(self, indices: np.ndarray) -> Table:
        """Some of the rows."""
        return Table(self.rows.select(indices), [self.labels[index] for index in indices], self.numbers[indices])


@dataclass
class Prepared:
    """Everything about the data that training and evaluation need."""

    target: Target
    tables: dict[str, Table]
    found: columns.Found
    facts: dict[str, Any]
    rows: dict[str, Rows] = field(default_factory=dict)

    @property
    def held_out(self) -> str:
        """The split that is scored at the end."""
        return str(self.facts["held_out"])


def prepare(recipe: Recipe) -> Prepared:
    """Read, clean, divide and learn the labels; nothing is encoded yet.

    Raises:
        DataError: the files, columns, labels or splits cannot be used.
    """
    read = source.read(recipe.data)
    first = next(iter(read.splits.values()))
    found = columns.infer(first, recipe.data.columns)
    tables, bad = _clean(read.splits, found, recipe.data)
    recipe.task.learn(
        next(iter(tables.values())).labels
    )  # no target yet: says what is wrong before the division stumbles over it
    tables, how, warnings = _divide(tables, recipe.data, recipe.seed)
    target = recipe.task.learn(tables["train"].labels)
    held_out = "test" if "test" in tables else "validation" if "validation" in tables else ""
    warnings += _warnings(tables, found, held_out)
    facts = {
        "files": {
            name: [str(one.get("path") or one["dataset"]) for one in parts] for name, parts in read.files.items()
        },
        "fingerprint": fingerprint.of(read.splits),
        "columns": {"text": found.text, "label": found.label, "separator": found.separator, "why": found.why},
        "target": target.facts,
        "splits": {name: {"rows": len(table.labels)} for name, table in tables.items()},
        "split": how,
        "bad_rows": bad,
        "held_out": held_out,
        "notes": read.notes,
        "warnings": warnings,
    }
    return Prepared(target, tables, found, facts)


def encode_all(prepared: Prepared, modality: Modality, options: Data) -> None:
    """Encode every split, apply `too_long`, and complete the facts with labels and lengths."""
    prepared.facts["max_length"] = modality.limit
    for name, table in prepared.tables.items():
        targets = _targets(prepared.target, name, table)
        key = f"{prepared.facts['fingerprint']}|{fingerprint.of_indices(table.numbers)}|{name}"
        rows = encode(table.rows, prepared.found.text, targets, table.numbers, modality, key)
        too_long = rows.too_long() | {
            "action": options.too_long if name == "train" or options.too_long == "error" else "cut"
        }
        prepared.rows[name] = limit_rows(rows, name, str(too_long["action"]), modality.limit)
        prepared.facts["splits"][name] |= {
            "labels": prepared.target.count(targets),
            "length": _lengths(rows.full_lengths),
            "too_long": too_long,
        }
    _check_left(prepared)


def _clean(
    splits: Mapping[str, datasets.Dataset], found: columns.Found, options: Data
) -> tuple[dict[str, Table], dict[str, Any]]:
    tables, rows, examples = {}, 0, []
    for name, data in splits.items():
        labels = columns.labels(data, found)
        kept, report = clean.find(data, found.text, labels, name, options.bad_rows)
        tables[name] = Table(data.select(kept), [labels[index] for index in kept], kept)
        rows += report["rows"]
        examples += report["examples"]
    return tables, {"rows": rows, "examples": examples[:20]}


def labelled_rows(file: str, found: Mapping[str, Any], options: Data) -> tuple[list[str], list[Any]]:
    """Texts and labels of another file with the columns of a run, for evaluation.

    Raises:
        DataError: the file or one of the columns is not there.
    """
    given = {key: found[key] for key in ("text", "label", "separator")}
    data = Data(files=file, columns=given, encoding=options.encoding)
    splits = source.read(data).splits
    rows = next(iter(splits.values()))
    where = columns.infer(rows, data.columns)
    labels = columns.labels(rows, where)
    kept, _ = clean.find(rows, where.text, labels, file, "drop")
    return list(rows.select(kept)[where.text]), [labels[index] for index in kept]


def _divide(tables: dict[str, Table], options: Data, seed: int) -> tuple[dict[str, Table], str, list[str]]:
    """Divide what the files leave undivided; returns the splits, how they came to be, and warnings."""
    if set(tables) == {source.UNDIVIDED}:
        whole = _drawn(tables[source.UNDIVIDED], options.rows, seed)
        division = split.divide(whole.labels, options.split.parts, seed)
        how = f"random, stratified {':'.join(f'{part:g}' for part in options.split.parts)}, seed {seed}"
        divided = {name: whole.pick(rows) for name, rows in division.rows.items()}
    else:
        divided = {name: _drawn(table, options.rows, seed) for name, table in tables.items()}
        how, division = "as the files give it", None
        if "validation" not in divided:
            division = split.hold_back(divided["train"].labels, options.split.validation, seed)
            divided |= {name: divided["train"].pick(rows) for name, rows in division.rows.items()}
            share = f"{options.split.validation:.0%} of the training rows held back for validation, seed {seed}"
            how += f"; {share}" if "validation" in division.rows else "; no validation, so the last weights are kept"
    return {name: divided[name] for name in ORDER if name in divided}, how, list(division.warnings) if division else []


def _drawn(table: Table, rows: int | None, seed: int) -> Table:
    return table.pick(split.draw(table.labels, rows, seed)) if rows else table


def _targets(target: Target, name: str, table: Table) -> np.ndarray:
    try:
        return target.encode(table.labels)
    except DataError as wrong:
        raise DataError(f"{name} split: {wrong}") from None


def _warnings(tables: Mapping[str, Table], found: columns.Found, held_out: str) -> list[str]:
    """What a person should know before trusting the scores."""
    warnings = []
    for name in ("validation", "test"):
        if name in tables:
            shared = split.overlap(_texts(tables["train"], found.text), _texts(tables[name], found.text))
            if shared:
                warnings.append(
                    f"{shared} of {len(tables[name].labels)} {name} rows have the same text as a training row: scores may flatter."
                )
    if held_out == "validation":
        warnings.append(
            "There is no test split: the scores are of the validation rows, which also choose the best epoch, and may flatter."
        )
    if not held_out:
        warnings.append("There are no held-out rows: nothing can be said about how good the model is.")
    return warnings


def _texts(table: Table, column: str) -> Iterator[str]:
    for batch in table.rows.select_columns([column]).iter(batch_size=1000):
        yield from batch[column]


def _lengths(lengths: np.ndarray) -> dict[str, int]:
    if not len(lengths):
        return {"median": 0, "p95": 0, "max": 0}
    return {"median": int(np.median(lengths)), "p95": int(np.percentile(lengths, 95)), "max": int(lengths.max())}


def _check_left(prepared: Prepared) -> None:
    empty = [name for name, rows in prepared.rows.items() if not len(rows)]
    if empty:
        raise DataError(
            f"No {empty[0]} rows are left after too_long: drop; raise data.max_length or write too_long: cut."
        )
