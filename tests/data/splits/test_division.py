"""Shares and sizes, columns that name the split, and what holds for all ways to divide."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from dividing import EIGHT_ONE_ONE, check_complete, exactly, texts
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.split import Division
from luthier.data.splits import WAYS, Basis, Parts, divide
from luthier.errors import DataError


def test_a_ratio_and_fractions_say_the_same() -> None:
    assert Parts.ratio([8, 1, 1]) == Parts.ratio([80, 10, 10]) == Parts({"train": 0.8, "validation": 0.1, "test": 0.1})
    assert Parts.ratio([0.8, 0.1, 0.1]).shares == pytest.approx(EIGHT_ONE_ONE.shares)
    assert Parts.ratio([0.34, 0.33, 0.33]).shares["train"] == pytest.approx(0.34)
    assert sum(Parts.ratio([0.33, 0.33, 0.33]).shares.values()) == pytest.approx(1)
    assert Parts.ratio([500, 500]).shares == {"train": 0.5, "validation": 0.5}


@pytest.mark.parametrize(("parts", "total"), [([0.8, 0.2, 0.2], "1.2"), ([0.7, 0.1, 0.1], "0.9"), ([0.5, 0.2], "0.7")])
def test_fractions_that_do_not_add_up_are_refused(parts: list[float], total: str) -> None:
    written = ", ".join(f"{part:g}" for part in parts)
    said = (
        f"data.split.parts: the fractions {written} sum to {total}, not to 1. Write fractions that sum to 1, or a ratio of whole numbers "
        "such as 8:1:1."
    )
    with pytest.raises(DataError, match=exactly(said)):
        Parts.ratio(parts)


def test_sizes_larger_than_the_rows_are_refused() -> None:
    with pytest.raises(
        DataError,
        match=exactly(
            "data.split.sizes asks for 500 validation and 1,000 test rows, and there are 1,500: none would be left for "
            "training. Ask for fewer."
        ),
    ):
        Parts.counts({"validation": 500, "test": 1000}, 1500)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sizes", [{"validation": 50, "test": 100}, {"test": 33}, {"validation": 7}])
def test_sizes_are_met_exactly_by_random_and_by_time(sizes: dict[str, int], seed: int) -> None:
    chance = random.Random(seed)
    labels = [f"class {int(chance.paretovariate(0.7))}" for _ in range(800)]
    parts = Parts.counts(sizes, 800)
    for by in ("random", "time"):
        given_labels = labels if by == "random" else ["same"] * 800
        division = divide(by, Basis(given_labels, range(800), "when", seed=seed), parts)
        check_complete(division, 800)
        assert {name: len(division.rows[name]) for name in sizes} == sizes
    common = divide("random", Basis(labels, seed=seed), parts)
    top, count = Counter(labels).most_common(1)[0]
    for name, size in sizes.items():
        here = sum(labels[row] == top for row in common.rows[name])
        assert abs(here - count * size / 800) < 0.15 * size + 1


def test_a_column_can_name_the_splits() -> None:
    names = ["train", "Dev", "test ", "training", "eval", "TEST"]
    division = divide("given", Basis(list("aaaaaa"), names, "part"), EIGHT_ONE_ONE)
    assert {name: rows.tolist() for name, rows in division.rows.items()} == {
        "train": [0, 3],
        "validation": [1, 4],
        "test": [2, 5],
    }
    assert division.warnings == []


def test_a_column_that_names_something_else_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=exactly(
            "Column 'part', row 5: 'holdout' names no split; expected train, validation or test in every row."
        ),
    ):
        divide("given", Basis(list("aaa"), ["train", "test", "holdout"], "part", [0, 2, 4]), EIGHT_ONE_ONE)
    with pytest.raises(DataError, match=exactly("Column 'part' names no row as train; it has test, validation.")):
        divide("given", Basis(list("aaa"), ["dev", "test", "dev"], "part"), EIGHT_ONE_ONE)


def test_too_few_rows() -> None:
    with pytest.raises(
        DataError, match=exactly("2 rows cannot be divided into 3 parts (train, validation, test); give more rows.")
    ):
        divide("random", Basis(["a", "b"]), EIGHT_ONE_ONE)
    with pytest.raises(
        DataError,
        match=exactly("data.split by: random leaves no row for validation out of 5; give more rows or larger parts."),
    ):
        divide("random", Basis(["a"] * 5), Parts({"train": 0.98, "validation": 0.015, "test": 0.005}))


@pytest.mark.parametrize("by", list(WAYS))
def test_the_same_twice(by: str) -> None:
    keys: dict[str, list[Any]] = {
        "time": list(range(100)),
        "group": [row % 20 for row in range(100)],
        "given": [("train", "test")[row // 2 % 2] for row in range(100)],
    }
    basis = Basis(["a", "b"] * 50, keys.get(by, texts(100, 0)), "key", seed=4)
    one, two = divide(by, basis, EIGHT_ONE_ONE), divide(by, basis, EIGHT_ONE_ONE)
    assert one.warnings == two.warnings
    assert all(np.array_equal(one.rows[name], two.rows[name]) for name in one.rows)


def attempt(by: str, basis: Basis, parts: Parts) -> Division | None:
    """The division, or None where it is refused with one of the sentences it may be refused with."""
    try:
        return divide(by, basis, parts)
    except DataError as refused:
        if re.search("leaves training without the label|leaves no row for|need as many", str(refused)):
            return None
        raise


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcd"), max_size=3, unique=True), min_size=3, max_size=60),
    st.sampled_from(["random", "content", "time", "group"]),
    st.sampled_from([[8, 1, 1], [1, 1, 1], [1, 2]]),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_row_is_somewhere_and_nowhere_twice_or_it_is_said_why_not(
    labels: list[list[str]], by: str, ratio: list[float], several: bool, seed: int
) -> None:
    found: list[Any] = labels if several else ["".join(label) for label in labels]
    keys = [row // 2 for row in range(len(found))]
    division = attempt(by, Basis(found, keys, "key", seed=seed), Parts.ratio(ratio))
    if division is None:
        return
    check_complete(division, len(found))
    trained = {name for row in division.rows["train"] for name in labels[row]}
    assert not several or trained == {name for label in labels for name in label}


@pytest.mark.parametrize("several", [False, True])
def test_random_division_always_trains_every_label(several: bool) -> None:
    """The only way that moves single rows to see to it."""
    for seed in range(20):
        chance = random.Random(seed)
        labels = [chance.choices("abcdefgh", weights=[20, 9, 5, 2, 1, 1, 1, 1], k=2) for _ in range(60)]
        found: list[Any] = [sorted(set(label)) for label in labels] if several else ["".join(label) for label in labels]
        division = divide("random", Basis(found, seed=seed), Parts.counts({"validation": 6, "test": 6}, 60))
        check_complete(division, 60)
        assert [len(rows) for rows in division.rows.values()] == [48, 6, 6]


def test_a_share_of_training_is_held_back() -> None:
    division = divide("random", Basis(["a"] * 700 + ["b"] * 300), Parts.held_back(0.1))
    assert {name: len(rows) for name, rows in division.rows.items()} == {"train": 900, "validation": 100}
    latest = divide("time", Basis(["a"] * 1000, range(1000), "when"), Parts.held_back(0.1))
    assert latest.rows["validation"].tolist() == list(range(900, 1000))
