"""Division by time: what is held out is never older than what is trained on."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from dividing import EIGHT_ONE_ONE, check_complete, exactly
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from luthier.data.splits import Basis, Parts, divide
from luthier.errors import DataError


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), min_size=3, max_size=120), st.sampled_from([[8, 1, 1], [1, 1, 1], [9, 1]]))
def test_time_never_runs_backwards(years: list[int], ratio: list[float]) -> None:
    assume(len(set(years)) >= len(ratio))
    division = divide("time", Basis(["a"] * len(years), years, "year"), Parts.ratio(ratio))
    check_complete(division, len(years))
    parts = [[years[row] for row in rows] for rows in division.rows.values()]
    for earlier, later in pairwise(parts):
        assert max(earlier) < min(later)  # so rows of one moment are on one side


def test_time_takes_the_border_nearest_to_the_asked_sizes() -> None:
    years = [2019] * 70 + [2020] * 16 + [2021] * 10 + [2022] * 4
    order = np.random.default_rng(0).permutation(100)
    division = divide("time", Basis(["a"] * 100, [years[row] for row in order], "year"), EIGHT_ONE_ONE)
    assert {name: len(rows) for name, rows in division.rows.items()} == {"train": 86, "validation": 10, "test": 4}
    assert division.warnings == [
        "The test split has 4 rows where about 10 were asked for: rows of the same date stay together."
    ]


def test_time_orders_dates_and_not_their_letters() -> None:
    dates = [f"{day}/{month}/2024" for month in range(1, 13) for day in (30, 4) if (month, day) != (2, 30)]
    division = divide("time", Basis(["a"] * len(dates), dates, "date"), Parts.ratio([1, 1]))
    assert {dates[row].split("/")[1] for row in division.rows["train"]} <= {"1", "2", "3", "4", "5", "6"}


def test_time_needs_dates_and_enough_of_them() -> None:
    with pytest.raises(DataError, match=re.escape("Column 'date', row 12: 'tomorrow' is no date")):
        divide("time", Basis(["a"] * 3, ["2024-01-01", "tomorrow", "2024-01-02"], "date", [3, 11, 12]), EIGHT_ONE_ONE)
    with pytest.raises(
        DataError,
        match=exactly(
            "Column 'date' has 2 different dates, and 3 parts (train, validation, test) need as many. Divide into fewer "
            "parts, or by: random."
        ),
    ):
        divide("time", Basis(["a"] * 4, [1, 1, 2, 2], "date"), EIGHT_ONE_ONE)


def test_a_label_that_only_later_rows_have_is_an_error() -> None:
    labels = ["old"] * 90 + ["new"] * 10
    with pytest.raises(
        DataError,
        match=exactly(
            "data.split by: time leaves training without the label 'new', which rows of the validation split have: it "
            "could not be learned. Use other parts, another seed or another way to divide, or leave these rows out."
        ),
    ):
        divide("time", Basis(labels, range(100), "date"), Parts.ratio([9, 1]))


def test_a_held_out_part_without_a_class_is_said() -> None:
    labels = ["gone", "stays"] * 10 + ["stays"] * 80
    division = divide("time", Basis(labels, range(100), "date"), EIGHT_ONE_ONE)
    assert division.warnings == [
        f"No row of the {name} split has the label 'gone': rows of the same date stay together."
        for name in ("validation", "test")
    ]
