"""A column of dates, or of numbers that grow with time, as moments that can be put in order."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from luthier.errors import DataError

DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d/%m/%y", "%m/%d/%y", "%d.%m.%y"),
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y"),
)
TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M:%S", " %H时%M分", " %H时%M分%S秒")
WHOLE = ("ISO8601", "%Y年%m月", "%b %Y", "%B %Y", "%a, %d %b %Y %H:%M:%S %z", "%a %b %d %H:%M:%S %z %Y")
"""ISO 8601 of any precision; months; mail (RFC 5322); Twitter."""

FORMATS = (*WHOLE, *(day + time for day, time in product(DAYS, TIMES)))
"""How dates are written, in the words of strptime."""

LOOKED_AT = 50
"""Different cells that a format is tried on before it is tried on all."""

NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


def moments(
    values: Sequence[Any], column: str, numbers: Sequence[int] | np.ndarray, format: str | None = None
) -> np.ndarray:
    """Read a column of dates so that its rows can be put in order.

    A column of numbers only (years, seconds since 1970, 20240131, versions) is ordered as numbers. Texts are read in the one format
    of `FORMATS` that fits every cell. Dates with a time zone are compared in UTC; those without one count as UTC.

    Args:
        values: one per row: dates, numbers or texts.
        column: their name, for messages.
        numbers: place of each row in its source, from 0, for messages.
        format: how the dates are written, as in strptime. Default: found out.

    Returns:
        (rows,) of int64, float64 or datetime64[us].

    Raises:
        DataError: a cell is empty or no date, or all cells fit two formats that say different days (01/02/2024).
    """
    empty = [row for row, value in enumerate(values) if _is_missing(value)]
    if empty:
        raise DataError(
            f"Column {column!r} has no date in row {numbers[empty[0]] + 1}{_more(len(empty))}; every row needs one to be "
            "divided or checked by time. Fill it in, or leave the row out."
        )
    if format is None and all(map(_is_number, values)):
        return np.asarray([_number(value) for value in values])
    return _dates(values, column, numbers, format)


def _is_missing(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _more(rows: int) -> str:
    return f" and {rows - 1:,} more" if rows > 1 else ""


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return NUMBER.fullmatch(value.strip()) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> int | float:
    """Whole numbers stay whole: nanoseconds since 1970 do not fit into a float."""
    number = float(value)
    return int(value) if number.is_integer() and "." not in str(value) else number


def _dates(values: Sequence[Any], column: str, numbers: Sequence[int] | np.ndarray, format: str | None) -> np.ndarray:
    import pandas as pd

    cells = [value if isinstance(value, datetime.date) else str(value).strip() for value in values]
    if all(isinstance(cell, datetime.date) for cell in cells):
        return _instants(pd.to_datetime(pd.Series(cells), utc=True))
    which, distinct = pd.factorize(pd.Series([str(cell) for cell in cells]))
    read = _read(distinct, format)
    best = max(read, key=lambda one: int(read[one].notna().sum()), default=None)
    failed = np.ones(len(distinct), dtype=bool) if best is None else read[best].isna().to_numpy()
    if failed.any():
        rows = np.flatnonzero(failed[which])
        raise DataError(_not_a_date(values[rows[0]], column, int(numbers[rows[0]]), len(rows), len(values), best))
    fitting = {one: _instants(found) for one, found in read.items() if found.notna().all()}
    _check_unambiguous(fitting, distinct, column)
    return fitting[str(best)][which]


def _read(distinct: Any, format: str | None) -> dict[str, Any]:
    """The cells as each format reads them, NaT where it does not; formats that fit none of the first cells are left out."""
    import pandas as pd

    def attempt(cells: Any, one: str) -> Any:
        return pd.Series(pd.to_datetime(cells, format=one, errors="coerce", utc=True))

    formats = [format] if format else [one for one in FORMATS if attempt(distinct[:LOOKED_AT], one).notna().any()]
    return {one: attempt(distinct, one) for one in formats}


def _instants(dates: Any) -> np.ndarray:
    instants: np.ndarray = dates.dt.tz_localize(None).to_numpy(dtype="datetime64[us]")
    return instants


def _not_a_date(value: Any, column: str, number: int, rows: int, total: int, best: str | None) -> str:
    others = "" if best is None or rows == total else f" The other rows are written as {best}."
    return (
        f"Column {column!r}, row {number + 1}: {str(value)[:60]!r} is no date{_more(rows)}.{others} Expected dates such as 2024-01-31, all "
        "written in one way, or numbers; correct the row, or say in data.split.format how the dates are written, such as '%d/%m/%Y'."
    )


def _check_unambiguous(fitting: dict[str, np.ndarray], distinct: Any, column: str) -> None:
    (first, read), *others = fitting.items()
    for other, dates in others:
        differing = np.flatnonzero(dates != read)
        if len(differing):
            raise DataError(
                f"Column {column!r}: all dates, such as {distinct[differing[0]]!r}, can be read as {first} and as {other}. Say in "
                f"data.split.format which one it is: format: '{first}'."
            )
