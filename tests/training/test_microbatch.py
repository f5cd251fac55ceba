"""Cuts against every possible division, and the limits they promise."""

import time
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.training.microbatch import cut, sorted_groups

LENGTHS = st.lists(st.integers(1, 512), min_size=1, max_size=9)


def price(lengths, groups, cost):
    return sum(len(group) * lengths[group].max() + cost for group in groups)


def every_division(lengths, max_tokens):
    """All ways to divide the rows, longest first, into runs that keep the limit."""
    order = np.argsort(-lengths, kind="stable")
    for count in range(len(order)):
        for inner in combinations(range(1, len(order)), count):
            groups = [order[first:last] for first, last in pairwise([0, *inner, len(order)])]
            if all(len(group) == 1 or len(group) * lengths[group].max() <= max_tokens for group in groups):
                yield groups


@settings(deadline=None, max_examples=60)
@given(LENGTHS, st.floats(0, 1000), st.none() | st.integers(1, 2000))
def test_no_division_is_cheaper(lengths, cost, max_tokens):
    lengths = np.array(lengths)
    best = min(price(lengths, groups, cost) for groups in every_division(lengths, max_tokens or np.inf))
    assert price(lengths, cut(lengths, cost, max_tokens), cost) == pytest.approx(best)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 512), min_size=1, max_size=200), st.integers(1, 4096))
def test_every_row_is_in_one_group_and_the_limit_holds(lengths, max_tokens):
    lengths = np.array(lengths)
    for groups in (cut(lengths, 100.0, max_tokens), sorted_groups(lengths, max_tokens)):
        assert sorted(np.concatenate(groups)) == list(range(len(lengths)))
        assert all(len(group) == 1 or len(group) * lengths[group].max() <= max_tokens for group in groups)
        in_order = lengths[np.concatenate(groups)]
        assert (in_order[:-1] >= in_order[1:]).all()


def test_without_a_price_for_calls_nothing_is_padded():
    lengths = np.array([7, 3, 7, 3, 9])
    assert price(lengths, cut(lengths, 0.0), 0.0) == lengths.sum()


def test_with_dear_calls_there_is_one():
    assert len(cut(np.array([7, 300, 7, 3, 9]), 1e6)) == 1


def test_no_rows_make_no_groups():
    assert cut(np.array([], dtype=np.int64), 100.0) == []
    assert sorted_groups(np.array([], dtype=np.int64), 100) == []


def test_sorted_groups_fill_up_to_the_limit():
    assert [len(group) for group in sorted_groups(np.array([10] * 25), 100)] == [10, 10, 5]


def test_thousands_of_rows_are_cut_at_once():
    lengths = np.random.default_rng(0).integers(1, 512, 4096)
    start = time.perf_counter()
    cut(lengths, 160.0, 8192)
    assert time.perf_counter() - start < 1
