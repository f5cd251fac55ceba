"""The leakage certificate of a run's splits, and what the recipe says should happen when they leak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.counted import many
from luthier.data import looked
from luthier.data.changes import Change
from luthier.data.columns import column_of
from luthier.data.dates import moments
from luthier.data.found import Found
from luthier.data.leakage import Certificate, Side, certify, fix, ids, refuse
from luthier.data.source import ORDER
from luthier.data.table import Table
from luthier.recipe.data import Data


@dataclass(frozen=True)
class Guarded:
    """Splits after the check."""

    tables: dict[str, Table]
    facts: dict[str, Any]
    """The certificate for data.json."""
    warnings: list[str]
    changes: list[Change] = field(default_factory=list)


def guard(tables: Mapping[str, Table], where: Found, options: Data, near: bool = True) -> Guarded:
    """Check every pair of splits for what they should not share, and do what `data.leakage` says.

    What gives a label away is looked for in texts only.

    Args:
        tables: the splits.
        where: their columns.
        options: `data` of the recipe.
        near: whether near duplicates were looked for.

    Raises:
        DataError: they leak and the recipe says `error`; or `fix` would leave nothing to learn from.
    """
    ordered = {name: tables[name] for name in ORDER if name in tables}
    sides = {
        name: Side(looked.shown(table.rows, where), table.labels, table.numbers, looked.what(where))
        for name, table in ordered.items()
    }
    certificate = _certificate(ordered, sides, where, options, near)
    facts = {"action": options.leakage} | certificate.as_dict()
    warnings = [check.sentence for check in certificate.leaks]
    if options.leakage == "error":
        refuse(certificate)
    if options.leakage != "fix" or certificate.clean:
        return Guarded(ordered, facts, warnings)
    mended = fix(certificate, sides)
    changes = [Change(one["split"], one["row"], "removed", "leakage", one["reason"]) for one in mended.removed]
    said = f"{many(len(changes), 'row was', 'rows were')} taken out of training and validation because of leaks (data.leakage: fix)."
    kept = {name: table.pick(mended.kept[name]) for name, table in ordered.items()}
    untold = [check.sentence for check in certificate.leaks if not check.remove]
    return Guarded(kept, facts, [*untold, *([said] if changes else [])], changes)


def _certificate(
    tables: Mapping[str, Table], sides: Mapping[str, Side], where: Found, options: Data, near: bool
) -> Certificate:
    codes = {"exact": [one.same for one in tables.values()]}
    if near:
        codes["near"] = [one.alike for one in tables.values()]
    shared: dict[str, Any] = {kind: np.concatenate(own) for kind, own in codes.items() if all(map(len, own))}
    if where.part:
        kind, part = where.part
        shared[kind] = [value for one in tables.values() for value in one.rows[part]]
    skipped: list[str] = []
    common = [name for name in next(iter(tables.values())).rows.column_names if _everywhere(tables, name)]
    column = ids.guess(common)
    if column and column not in (*where.inputs, options.columns.label):
        values = {name: _column(table, column) for name, table in tables.items()}
        why = ids.unusable(values)
        if why:
            skipped.append(f"Ids were not compared: column {column!r} looks like one, but {why}.")
        else:
            shared["id"] = [value for one in values.values() for value in one]
    by, named = options.split.by, str(options.split.column)
    if by in {"group", "time"} and named not in common:
        skipped.append(f"Column {named!r} is not in every split, so rows were not compared by {by}.")
        return certify(sides, shared, None, skipped, _tells(where))
    if by == "group":
        shared["group"] = _all(tables, named)
    when = None
    if by == "time":
        numbers = np.concatenate([table.numbers for table in tables.values()])
        when = moments(_all(tables, named), named, numbers, options.split.format)
    return certify(sides, shared, when, skipped, _tells(where))


def _tells(where: Found) -> bool:
    """Whether a text may give its label away: not where it only says where a row lies, nor for numbers and tags."""
    return bool(where.also or not where.content) and where.kind not in {"numbers", "answers"}


def _everywhere(tables: Mapping[str, Table], column: str) -> bool:
    return all(column in table.rows.column_names for table in tables.values())


def _all(tables: Mapping[str, Table], column: str) -> list[Any]:
    return [value for table in tables.values() for value in _column(table, column)]


def _column(table: Table, column: str) -> Sequence[Any]:
    return column_of(table.rows, column, "data.split.column")
