"""What people have answered to the tasks of `tasks`, whatever tool and export they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.data.exchange.tasks import CONTROL, names
from luthier.data.formats import open_table
from luthier.errors import DataError


@dataclass(frozen=True)
class Reply:
    """The labels that people give a row."""

    split: str
    """The split of the source that it stands in."""
    row: int
    """Its number there, counted from 1."""
    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Replies:
    """What an export holds."""

    given: tuple[Reply, ...]
    unanswered: int
    """Rows that everybody skipped or nobody saw, or on which annotators are split evenly."""
    notes: tuple[str, ...]


def read_replies(file: Path) -> Replies:
    """Read Label Studio's JSON, JSON-MIN or CSV export or Prodigy's JSONL; of several annotators the majority counts.

    Raises:
        DataError: the file cannot be read, or is of tasks that luthier has not written.
    """
    table = open_table(file)
    given, unanswered = [], 0
    for number, row in enumerate(table.rows, start=1):
        place = _place(row, f"{file}, row {number}")
        if row.get(CONTROL) is None:
            unanswered += 1
        else:
            given.append(Reply(str(place["split"]), int(place["row"]), str(row["text"]), tuple(names(row[CONTROL]))))
    return Replies(tuple(given), unanswered, table.notes)


def _place(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Where an answer belongs: Label Studio keeps it among the data, Prodigy under `meta`."""
    place = json.loads(row["meta"]) if isinstance(row.get("meta"), str) else row
    if not {"split", "row"} <= set(place) or "text" not in row:
        raise DataError(
            f"{where} does not say which row it is of: expected an export of tasks that luthier wrote for review, with `split`, "
            "`row` and `text`."
        )
    return place
