"""Division by content: adding rows moves none."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from dividing import EIGHT_ONE_ONE, check_complete, exactly, texts, where
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.splits import Basis, Parts, divide
from luthier.errors import DataError


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(max_size=20), min_size=60, max_size=100, unique_by=lambda text: " ".join(text.split())),
    st.lists(st.text(max_size=20), max_size=50),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_adding_rows_moves_none(old: list[str], new: list[str], seed: int, chance: random.Random) -> None:
    parts = Parts.ratio([1, 1, 1])
    grown = [*old, *new]
    chance.shuffle(grown)
    before = divide("content", Basis(["a"] * len(old), old, "text", seed=seed), parts)
    after = divide("content", Basis(["a"] * len(grown), grown, "text", seed=seed), parts)
    check_complete(before, len(old))
    check_complete(after, len(grown))
    homes = where(after, grown)
    assert all(homes[text] == name for text, name in where(before, old).items())


def test_random_division_does_move_old_rows() -> None:
    """Why `content` is a way of its own."""
    old, new = texts(200, 0), texts(20, 1)
    before = divide("random", Basis(["a"] * 200), EIGHT_ONE_ONE)
    after = divide("random", Basis(["a"] * 220), EIGHT_ONE_ONE)
    homes = where(after, [*new, *old])
    assert sum(homes[text] != name for text, name in where(before, old).items()) > 20


def test_content_is_right_on_average_and_the_seed_decides() -> None:
    keys = texts(20_000, 0)
    labels = ["a" if row % 5 else "b" for row in range(20_000)]
    division = divide("content", Basis(labels, keys, "text"), EIGHT_ONE_ONE)
    for name, share in EIGHT_ONE_ONE.shares.items():
        for label, count in Counter(labels).items():
            here = sum(labels[row] == label for row in division.rows[name])
            assert abs(here - count * share) < 4 * (count * share * (1 - share)) ** 0.5
    other = divide("content", Basis(labels, keys, "text", seed=1), EIGHT_ONE_ONE)
    shared = np.intersect1d(division.rows["test"], other.rows["test"])
    assert 100 < len(shared) < 300  # a tenth of a tenth


def test_duplicates_and_their_variants_are_on_one_side() -> None:
    keys = texts(300, 2)
    twice = [*keys, *(f"  {text.upper()} " for text in keys)]
    division = divide("content", Basis(["a"] * 600, twice, "text"), EIGHT_ONE_ONE)
    homes = np.empty(600, dtype=object)
    for name, rows in division.rows.items():
        homes[rows] = name
    assert (homes[:300] == homes[300:]).all()


def test_test_rows_stay_when_a_validation_split_is_added_or_grows() -> None:
    basis = Basis(["a"] * 500, texts(500, 3), "text")
    base = Parts({"train": 0.9, "test": 0.1})
    rows = [divide("content", basis, parts).rows["test"] for parts in (base, EIGHT_ONE_ONE, Parts.ratio([7, 2, 1]))]
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0], rows[2])


def test_content_knows_no_sizes() -> None:
    with pytest.raises(
        DataError,
        match=exactly(
            "data.split: by: content divides by shares, because numbers of rows cannot stay the same when rows are added. "
            "Write data.split.parts, such as 8:1:1, in place of data.split.sizes."
        ),
    ):
        divide("content", Basis(["a"] * 50, texts(50, 0), "text"), Parts.counts({"test": 10}, 50))


def test_sizes_by_content_that_are_far_off_are_said() -> None:
    division = divide("content", Basis(["a"] * 40, texts(40, 0), "text"), Parts.ratio([1, 1]))
    wanted = {name: len(rows) for name, rows in division.rows.items()}
    assert division.warnings == [
        f"The {name} split has {size} rows where about 20 were asked for: each row is placed by itself, so sizes are right on average only."
        for name, size in wanted.items()
        if abs(size - 20) > 2
    ]
