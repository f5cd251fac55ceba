"""What was done to rows on their way from the file to the model: every one with its number and the reason. The file stays as it is."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from io import StringIO
from typing import Any, Literal

SHOWN = 20


@dataclass(frozen=True)
class Change:
    """One row that was removed or relabelled."""

    split: str
    """As the files call it; `all` where they are not divided."""
    row: int
    """Its number in the source, from 1, the header not counted."""
    action: Literal["removed", "relabelled"]
    step: str
    """Which part of the recipe did it: `bad_rows`, `duplicates`, `leakage`, `labels`, `too_long`."""
    reason: str


def summary(changes: Sequence[Change]) -> dict[str, Any]:
    """Counts by step and action, and the first rows, for data.json."""
    counts = Counter((change.step, change.action) for change in changes)
    return {
        "counts": [{"step": step, "action": action, "rows": rows} for (step, action), rows in counts.items()],
        "examples": [vars(change) for change in changes[:SHOWN]],
    }


def as_csv(changes: Sequence[Change]) -> str:
    """All of them, a line each under a header."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Change)])
    writer.writerows(map(astuple, changes))
    return out.getvalue()
