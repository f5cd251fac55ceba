"""Division of the rows as `data.split` says, where the files do not divide them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from luthier.data import source, split, splits
from luthier.data.columns import column_of
from luthier.data.strata import shared
from luthier.data.table import Table
from luthier.errors import DataError
from luthier.recipe.data import Data, Split


@dataclass(frozen=True)
class Divided:
    """Splits, how they came to be, and what a person should know about them."""

    tables: dict[str, Table]
    how: str
    warnings: list[str] = field(default_factory=list)


def divide(tables: Mapping[str, Table], text: str, options: Data, seed: int) -> Divided:
    """Divide what the files leave undivided, and hold back validation rows where they give none.

    Args:
        tables: cleaned.
        text: the column by which rows are told apart.
        options: `data` of the recipe.
        seed: of the recipe, for a division that has none of its own.

    Raises:
        DataError: the rows cannot be divided so.
    """
    seed = seed if options.split.seed is None else options.split.seed
    if options.split.folds and set(tables) != {source.UNDIVIDED}:
        raise DataError(
            "data.split.folds divides one file, and the files give the splits already: leave folds out, or give one file."
        )
    if set(tables) == {source.UNDIVIDED}:
        return _undivided(tables[source.UNDIVIDED], text, options, seed)
    drawn = {name: _drawn(table, options.rows, seed, name == "train") for name, table in tables.items()}
    if "validation" in drawn:
        return Divided(drawn, "as the files give it")
    return _held_back(drawn, text, options.split, seed)


def _undivided(table: Table, text: str, options: Data, seed: int) -> Divided:
    """Draw, every label among the rows, and then divide; where a column divides, divide and then draw, so that training keeps its own."""
    if splits.WAYS[options.split.by].sized:
        return _whole(_drawn(table, options.rows, seed, trains=True), text, options.split, seed)
    whole = _whole(table, text, options.split, seed)
    if options.rows is None or options.rows >= len(table.labels):
        return whole
    ends = np.cumsum([0, *(len(part.labels) for part in whole.tables.values())])
    counts = np.diff(np.round(ends * options.rows / ends[-1]).astype(int)).tolist()
    pieces = zip(whole.tables.items(), counts, strict=True)
    return replace(
        whole, tables={name: _drawn(part, max(1, count), seed, name == "train") for (name, part), count in pieces}
    )


def _whole(table: Table, text: str, options: Split, seed: int) -> Divided:
    basis = _basis(table, text, options, seed)
    if options.folds:
        division = splits.fold(options.by, basis, options.fold, options.folds, options.validation)
        sizes = f"fold {options.fold} of {options.folds} is the test split"
    else:
        parts, sizes = _parts(options, len(table.labels))
        sizes = sizes if splits.WAYS[options.by].sized else "as it says"
        division = splits.divide(options.by, basis, parts)
    pieces = {name: table.pick(rows) for name, rows in division.rows.items()}
    return Divided(pieces, f"{_way(options)} {sizes}{_seeded(options, seed)}", list(division.warnings))


def _parts(options: Split, rows: int) -> tuple[splits.Parts, str]:
    """What each split gets, and in words."""
    if options.sizes is None:
        return splits.Parts.ratio(options.parts), ":".join(f"{part:g}" for part in options.parts)
    counts = {str(name): count for name, count in options.sizes.items()}
    return splits.Parts.counts(counts, rows), ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _held_back(tables: Mapping[str, Table], text: str, options: Split, seed: int) -> Divided:
    """Files with train and test, and no validation."""
    if not options.validation:
        return Divided(dict(tables), "as the files give it; no validation, so the last weights are kept")
    if options.by == "given":
        raise DataError(
            "data.split by: given reads train, validation and test from a column of one file, and the files give them already. Name a "
            "validation file in data.files, or leave data.split out."
        )
    basis = _basis(tables["train"], text, options, seed)
    division = splits.divide(options.by, basis, splits.Parts.held_back(options.validation))
    pieces = {name: tables["train"].pick(rows) for name, rows in division.rows.items()}
    way = "" if options.by == "random" else f" {_way(options).rstrip(',')}"
    how = f"as the files give it; {options.validation:.0%} of the training rows held back for validation{way}, seed {seed}"
    return Divided(dict(tables) | pieces, how, list(division.warnings))


def _basis(table: Table, text: str, options: Split, seed: int) -> splits.Basis:
    column = options.column or (text if options.by == "content" else "")
    keys: Any = column_of(table.rows, column, "data.split.column") if column else ()
    return splits.Basis(shared(table.labels), keys, column, table.numbers, options.format, seed)


def _drawn(table: Table, rows: int | None, seed: int, trains: bool) -> Table:
    """Some rows of a split, or of all; what `trains` keeps every label, as rows of other splits may have any of them."""
    return table.pick(split.draw(shared(table.labels), rows, seed, every_label=trains)) if rows else table


def _way(options: Split) -> str:
    named = f" of column {options.column!r}" if options.column else ""
    return "random, stratified" if options.by == "random" else f"by {options.by}{named},"


def _seeded(options: Split, seed: int) -> str:
    return "" if options.by in {"time", "given"} else f", seed {seed}"
