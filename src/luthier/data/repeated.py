"""Rows that repeat others, and what the recipe says should happen to them, before the rows are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from luthier.counted import many
from luthier.data import conflicts, looked
from luthier.data.changes import Change
from luthier.data.duplicates import Groups
from luthier.data.found import Found
from luthier.data.table import Table
from luthier.recipe.data import Data
from luthier.show import Console

SHOWN = 5
LEARNED = ("all", "train")
"""Splits whose rows may be removed or relabelled: those that scores are not taken from as they were given."""


def settle(
    tables: Mapping[str, Table], where: Found, options: Data, console: Console
) -> tuple[dict[str, Table], list[Change], dict[str, Any]]:
    """Look for duplicates in all splits together, and do with those in training what the recipe says.

    Args:
        tables: splits as the files give them; of given ones only training changes.
        where: the inputs are.
        options: its `duplicates`, `similarity` and `conflicts`.
        console: to show progress.

    Returns:
        The tables, each knowing which rows are alike; what was changed; and the facts for data.json, with a `sentence`.
    """
    if options.duplicates == "ignore" and options.conflicts == "keep":
        return dict(tables), [], {"sentence": "Duplicates were not looked for."}
    groups, note = looked.alike([table.rows for table in tables.values()], where, options, console)
    marked = _marked(tables, groups)
    settled: dict[str, Table] = {}
    changes: list[Change] = []
    found: list[conflicts.Conflict] = []
    for name, table in marked.items():
        settled[name] = table
        if name in LEARNED:
            inside = Groups(renumbered(table.alike), renumbered(table.same), groups.crowded)
            found = conflicts.find(inside, table.labels)
            settled[name], done = _resolved(name, table, inside, options)
            changes += done
    facts = groups.facts | {
        "action": options.duplicates,
        "settled": options.conflicts,
        "similarity": None if note else options.similarity,
        "conflicts": len(found),
        "examples": [
            _shown(one, next(marked[name] for name in LEARNED if name in marked), where) for one in found[:SHOWN]
        ],
        "note": note,
    }
    return settled, changes, facts | {"sentence": _sentence(facts, looked.what(where))}


def renumbered(codes: np.ndarray) -> np.ndarray:
    """For each row the first place that has its code."""
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return np.asarray(first[inverse])


def _marked(tables: Mapping[str, Table], groups: Groups) -> dict[str, Table]:
    ends = np.cumsum([len(table.labels) for table in tables.values()])
    pieces = zip(*(np.split(codes, ends[:-1]) for codes in (groups.equal, groups.first)), strict=True)
    return {
        name: replace(table, same=same, alike=alike)
        for (name, table), (same, alike) in zip(tables.items(), pieces, strict=True)
    }


def _resolved(name: str, table: Table, inside: Groups, options: Data) -> tuple[Table, list[Change]]:
    how = "drop" if options.duplicates == "drop" else "report"
    done = conflicts.resolve(inside, table.labels, options.conflicts, how, table.numbers)  # type: ignore[arg-type]
    changes = [
        Change(
            name,
            int(table.numbers[place]) + 1,
            "relabelled" if place in done.changed else "removed",
            "duplicates",
            reason,
        )
        for place, reason in done.reasons
    ]
    return table.relabel(done.changed).pick(done.kept), changes


def _shown(conflict: conflicts.Conflict, table: Table, where: Found) -> dict[str, Any]:
    return {
        "rows": [int(table.numbers[row]) + 1 for row in conflict.rows[:SHOWN]],
        "labels": conflict.labels[:SHOWN],
        "text": looked.shown(table.rows.select([conflict.rows[0]]), where)[0][:80],
    }


def _sentence(facts: Mapping[str, Any], what: str) -> str:
    repeated = f"{many(facts['exact'], 'row repeats', 'rows repeat')} the {what} of another"
    near = f", {facts['near']:,} nearly" if facts["similarity"] else ""
    return f"{repeated}{near}; {many(facts['conflicts'], 'group of them has', 'groups of them have')} different labels."
