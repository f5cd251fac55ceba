"""Columns of dates: read in the one way that fits all, or refused with the row and what it says."""

from __future__ import annotations

import datetime
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.dates import moments
from luthier.errors import DataError


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


def read(values: list[Any], format: str | None = None) -> np.ndarray:
    return moments(values, "when", range(len(values)), format)


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d",
        "%Y/%m/%d",
        "%d.%m.%Y",
        "%m/%d/%Y",
        "%Y年%m月%d日",
        "%d %B %Y",
        "%b %d, %Y",
        "%Y-%m-%dT%H:%M:%S",
        "%Y/%m/%d %H:%M",
        "%d/%m/%Y %H:%M:%S",
        "%a, %d %b %Y %H:%M:%S +0000",
        "%a %b %d %H:%M:%S +0000 %Y",
        "%Y年%m月%d日 %H时%M分%S秒",
        "%m/%d/%Y %I:%M %p",
    ],
)
def test_the_usual_ways_to_write_dates_are_read(written: str) -> None:
    days = [datetime.datetime(2023, month, day) for month, day in [(1, 31), (2, 14), (12, 25), (7, 4), (7, 3)]]
    found = read([day.strftime(written) for day in days])
    assert found.tolist() == days


def test_iso_dates_of_several_precisions_and_zones_go_by_their_instant() -> None:
    found = read(["2024-03-01", "2024-03-01T10:00:00+02:00", "2024-03-01T09:00:00Z", "2024-02-29 23:59"])
    assert np.argsort(found).tolist() == [3, 0, 1, 2]


def test_date_objects_and_numbers() -> None:
    days = [datetime.datetime(2024, 5, 2, 3), datetime.datetime(2020, 1, 1), datetime.datetime(1999, 12, 31)]
    assert read(days).tolist() == days
    assert read([day.date() for day in days]).tolist() == [datetime.datetime(2024, 5, 2), *days[1:]]
    zone = datetime.timezone(datetime.timedelta(hours=8))
    assert read([datetime.datetime(2024, 1, 1, 8, tzinfo=zone)]).tolist() == [datetime.datetime(2024, 1, 1)]
    assert read([2024, 1999]).tolist() == read(["2024", " 1999"]).tolist() == [2024, 1999]
    assert read([0.5, "2.25"]).tolist() == [0.5, 2.25]
    close = [1700000000000000001, 1700000000000000000]
    assert read(close).tolist() == close  # a float would make them equal


@settings(deadline=None, max_examples=30)
@given(st.lists(st.datetimes(datetime.datetime(1000, 1, 1), datetime.datetime(9998, 1, 1)), min_size=1, max_size=20))
def test_what_isoformat_writes_is_read(days: list[datetime.datetime]) -> None:
    assert read([day.isoformat() for day in days]).tolist() == days


def test_a_cell_that_is_no_date_is_named() -> None:
    cells = ["2024-01-01", "2024-01-02", "last Tuesday", "soon"]
    said = (
        "Column 'when', row 3: 'last Tuesday' is no date and 1 more. The other rows are written as ISO8601. Expected dates such as "
        "2024-01-31, all written in one way, or numbers; correct the row, or say in data.split.format how the dates are written, such as "
        "'%d/%m/%Y'."
    )
    with pytest.raises(DataError, match=exactly(said)):
        read(cells)
    with pytest.raises(
        DataError, match=re.escape("Column 'when', row 1: 'a' is no date and 1 more. Expected dates such as")
    ):
        read(["a", "b"])
    with pytest.raises(DataError, match=re.escape("row 41: 'b' is no date. ")):
        moments(["2024-01-01", "b"], "when", [7, 40])
    with pytest.raises(DataError, match=re.escape("row 2: '2024-02-30' is no date")):
        read(["2024-02-28", "2024-02-30"])
    with pytest.raises(DataError, match=re.escape("row 2: 'nan' is no date")):
        read(["2024-02-28", "nan"])


@pytest.mark.parametrize("empty", [None, float("nan"), "", "  "])
def test_an_empty_cell_is_named(empty: Any) -> None:
    with pytest.raises(
        DataError,
        match=exactly(
            "Column 'when' has no date in row 2 and 1 more; every row needs one to be divided or checked by time. Fill it "
            "in, or leave the row out."
        ),
    ):
        read(["2024-01-01", empty, empty])


def test_dates_that_can_be_read_in_two_ways_are_refused_until_the_recipe_says_which() -> None:
    cells = ["01/02/2024", "03/04/2024"]
    with pytest.raises(
        DataError,
        match=exactly(
            "Column 'when': all dates, such as '01/02/2024', can be read as %d/%m/%Y and as %m/%d/%Y. Say in "
            "data.split.format which one it is: format: '%d/%m/%Y'."
        ),
    ):
        read(cells)
    assert read(cells, "%d/%m/%Y").tolist() == [datetime.datetime(2024, 2, 1), datetime.datetime(2024, 4, 3)]
    assert read(cells, "%m/%d/%Y").tolist() == [datetime.datetime(2024, 1, 2), datetime.datetime(2024, 3, 4)]
    many = [f"01/{1 + day % 12:02d}/2024" for day in range(400)]
    assert read([*many, "31/01/2024"])[-1] == np.datetime64("2024-01-31")  # a single late row decides


def test_a_format_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(
        DataError, match=re.escape("row 2: '2024-01-31' is no date. The other rows are written as %d/%m/%Y.")
    ):
        read(["31/01/2024", "2024-01-31"], "%d/%m/%Y")
