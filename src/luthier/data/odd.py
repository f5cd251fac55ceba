"""Cells that can be used and look wrong: control characters, letters lost on the way, huge texts. Counted, never changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from luthier.counted import many
from luthier.data.labels import arrow_type, is_text
from luthier.data.tables import scan

HUGE = 100_000
"""Characters; a novel's chapter has fewer, a log file or a picture in base64 has more."""
SHOWN = 5

CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""C0 controls but tab, line feed and carriage return."""
GARBLED = "Ã[\u0080-\u00bf]|â€[\u0080-\u00bf\u2122\u0153\u201c\u201d\u02dc]|ï»¿"
"""UTF-8 that was read as Latin-1 or Windows-1252 and saved so (`cafÃ©`, `donâ€™t`)."""


@dataclass(frozen=True)
class Odd:
    """One kind of oddity in one column."""

    column: str
    kind: str
    """A key of `KINDS`."""
    rows: int
    examples: tuple[int, ...]
    """Numbers of the first rows, from 1."""

    @property
    def sentence(self) -> str:
        """For people: what, how often and where, and what to do."""
        some = ", ".join(map(str, self.examples))
        return f"{many(self.rows, 'row holds', 'rows hold')} {KINDS[self.kind].words} in {self.column!r}, such as row {some}."

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON."""
        return {"column": self.column, "kind": self.kind, "rows": self.rows, "examples": list(self.examples)}


@dataclass(frozen=True)
class Kind:
    """How an oddity is told, cell by cell, and named."""

    found: Callable[[pa.ChunkedArray], pa.ChunkedArray]
    words: str


KINDS: Mapping[str, Kind] = {
    "control": Kind(lambda cells: pc.match_substring_regex(cells, CONTROL), "control characters"),
    "lost": Kind(
        lambda cells: pc.match_substring(cells, "\ufffd"),
        "letters that were lost in an earlier conversion (\ufffd)",
    ),
    "garbled": Kind(
        lambda cells: pc.match_substring_regex(cells, GARBLED),
        "UTF-8 that was once read in another encoding (the package ftfy mends it)",
    ),
    "huge": Kind(lambda cells: pc.greater(pc.utf8_length(cells), HUGE), f"more than {HUGE:,} characters"),
}


def find(dataset: datasets.Dataset, column: str) -> list[Odd]:
    """Count odd cells of a text column; of one that holds no text there are none."""
    if not is_text(arrow_type(dataset, column)):
        return []
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    start = 0
    for table in scan(dataset, column):
        for kind, one in KINDS.items():
            marks = pc.fill_null(one.found(table[column]), False).to_numpy()
            rows[kind].append(np.flatnonzero(marks) + start)
        start += len(table)
    found = {kind: np.concatenate([np.zeros(0, dtype=int), *places]) for kind, places in rows.items()}
    return [
        Odd(column, kind, len(places), tuple(int(row) + 1 for row in places[:SHOWN]))
        for kind, places in found.items()
        if len(places)
    ]
