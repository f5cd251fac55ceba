"""Other labels in the columns that hold them, whatever their form; the rest of the rows stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import datasets
import pyarrow as pa

from luthier.data.found import Found, Kind
from luthier.data.labels import INTEGER, arrow_type, is_text, labels

Changed = Mapping[int, Sequence[str]]
"""New labels by row, counted from 0."""


def relabel(rows: datasets.Dataset, found: Found, changed: Changed) -> datasets.Dataset:
    """Rows with other labels, in the same columns and order.

    Text columns keep every other cell as it stands. Class numbers become names, as a new label may have no number.

    Args:
        rows: a split as it was read.
        found: where its labels are.
        changed: for each row that changes all of its labels; for single labels one.
    """
    if not changed and not _numbers_classes(rows, found):
        return rows
    made = FORMS[found.kind](rows, found, changed)
    for name, cells in made.items():
        rows_without = rows.remove_columns(name)
        rows = rows_without.add_column(name, cells).select_columns(rows.column_names)
    return rows


def _numbers_classes(rows: datasets.Dataset, found: Found) -> bool:
    """Whether labels are stored as numbers of named classes: all splits then say the names, those without a change too."""
    feature = rows.features[found.label] if isinstance(found.label, str) else None
    inner = feature.feature if isinstance(feature, datasets.List | datasets.LargeList) else feature
    return isinstance(inner, datasets.ClassLabel)


def _single(rows: datasets.Dataset, found: Found, changed: Changed) -> dict[str, list[Any]]:
    column = str(found.label)
    new = {row: next(iter(label), None) for row, label in changed.items()}
    if is_text(arrow_type(rows, column)):
        return {column: _replaced(list(rows[column]), new)}
    cells = _replaced(labels(rows, found), new)
    if found.integers and all(cell is None or INTEGER.fullmatch(str(cell)) for cell in cells):
        return {column: [None if cell is None else int(cell) for cell in cells]}
    return {column: [None if cell is None else str(cell) for cell in cells]}


def _list(rows: datasets.Dataset, found: Found, changed: Changed) -> dict[str, list[Any]]:
    return {str(found.label): _replaced(labels(rows, found), {row: list(label) for row, label in changed.items()})}


def _separated(rows: datasets.Dataset, found: Found, changed: Changed) -> dict[str, list[Any]]:
    new = {row: str(found.separator).join(label) for row, label in changed.items()}
    return {str(found.label): _replaced(list(rows[str(found.label)]), new)}


def _indicator(rows: datasets.Dataset, found: Found, changed: Changed) -> dict[str, list[Any]]:
    made = {}
    for column in found.label:
        form = _mark_form(arrow_type(rows, column))
        new = {row: form(column in label) for row, label in changed.items()}
        made[column] = _replaced(list(rows[column]), new)
    return made


def _mark_form(stored: pa.DataType) -> Callable[[bool], Any]:
    """A mark as its column stores it."""
    if is_text(stored):
        return lambda fits: str(int(fits))
    return bool if pa.types.is_boolean(stored) else int


def _replaced(cells: list[Any], new: Mapping[int, Any]) -> list[Any]:
    for row, cell in new.items():
        cells[row] = cell
    return cells


FORMS: Mapping[Kind, Callable[[datasets.Dataset, Found, Changed], dict[str, list[Any]]]] = {
    "single": _single,
    "list": _list,
    "separated": _separated,
    "indicator": _indicator,
}
