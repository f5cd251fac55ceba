"""Rows that cannot be used, because they have no text or no label: found, counted, and shown by example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import datasets
import numpy as np
import pyarrow.compute as pc

from luthier.data.tables import scan
from luthier.errors import DataError

NAMED = 5


def find(
    dataset: datasets.Dataset, text: str, labels: Sequence[Any], split: str, bad_rows: str
) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Tell usable rows from those without text (null, empty, only white space) or label (None).

    Args:
        dataset: a split as it was read.
        text: its text column.
        labels: one value per row, from `columns.labels`.
        split: what the report calls it.
        bad_rows: `drop`, or `error` to refuse them.

    Returns:
        The indices of usable rows, ascending, and of each of the others its number, counted from 1 without the header, and the
        reason.

    Raises:
        DataError: there are such rows and `bad_rows` is `error`, or no usable row is left.
    """
    no_text = _blank(dataset, text)
    no_label = np.fromiter((label is None for label in labels), dtype=bool, count=len(labels))
    bad = np.flatnonzero(no_text | no_label)
    reasons = [(int(row) + 1, _reason(no_text[row], no_label[row])) for row in bad]
    if len(bad) and bad_rows == "error":
        raise DataError(f"{_summary(split, reasons, len(labels))} Mend them, or write data.bad_rows: drop.")
    if len(bad) == len(labels):
        raise DataError(f"{_summary(split, reasons, len(labels))} Nothing is left; are these the right columns?")
    return np.flatnonzero(~(no_text | no_label)), reasons


def _blank(dataset: datasets.Dataset, text: str) -> np.ndarray:
    masks = [
        pc.fill_null(pc.equal(pc.utf8_length(pc.utf8_trim_whitespace(table[text])), 0), True).to_numpy()
        for table in scan(dataset, text)
    ]
    return np.concatenate([np.zeros(0, dtype=bool), *masks])


def _reason(no_text: bool, no_label: bool) -> str:
    missing = [name for name, absent in (("text", no_text), ("label", no_label)) if absent]
    return f"no {' and no '.join(missing)}"


def _summary(split: str, bad: Sequence[tuple[int, str]], rows: int) -> str:
    where = "the data" if split == "all" else f"the {split} split"
    first = ", ".join(f"row {row} ({reason})" for row, reason in bad[:NAMED])
    more = ", ..." if len(bad) > NAMED else ""
    return f"{len(bad):,} of {rows:,} rows of {where} have no text or no label: {first}{more}."
