"""What a model reads of a row: the cell of one column, or the cells of several columns together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BETWEEN = "\n"
"""Stands between several texts of a row where they are shown or compared as one."""


MEDIA_OF_CELLS = {"pair": ("text", "text"), "image+text": ("image", "text")}
"""What the cells of a row are, by what the model reads, where it has several that are read as texts, images or sounds are."""


def media_of(medium: str) -> tuple[str, ...]:
    """What each cell of a row is, in the order in which they are read.

    Args:
        medium: what the model reads of a row.
    """
    return MEDIA_OF_CELLS.get(medium, (medium,))


def values(rows: Any, columns: Sequence[str]) -> list[Any]:
    """What a modality encodes, one value a row: a cell or, of several columns, a tuple of cells in their order.

    Args:
        rows: a dataset, or a mapping of column to cells.
        columns: one or more.
    """
    cells = [list(rows[column]) for column in columns]
    return cells[0] if len(columns) == 1 else list(zip(*cells, strict=True))


def split(rows: Iterable[Any], columns: Sequence[str]) -> dict[str, list[Any]]:
    """The inverse of `values`."""
    rows = list(rows)
    if len(columns) == 1:
        return {columns[0]: rows}
    return {column: [row[place] for row in rows] for place, column in enumerate(columns)}


def joined(value: Any) -> str:
    """A value as one text."""
    return BETWEEN.join(str(cell or "") for cell in value) if isinstance(value, tuple) else str(value or "")


def read_by(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns that a run reads, from what data.json says of its columns."""
    return (str(facts["text"]), *facts.get("also", ()))
