"""Krippendorff's alpha against the worked examples of Krippendorff (2011), Computing Krippendorff's Alpha-Reliability."""

import itertools
import sys
from collections.abc import Hashable, Sequence

import pytest

from luthier.data.exchange import agreement
from luthier.data.exchange.agreement import Agreement, masi, measure
from luthier.errors import ExtraError

FOUR_OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
"""Section C: nominal data, any number of observers, missing values."""

TWO_OBSERVERS = [[0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]]
"""Section A: binary data, two observers."""


def units(observers: Sequence[Sequence[int | None]]) -> list[list[Hashable]]:
    return [[value for value in unit if value is not None] for unit in zip(*observers, strict=True)]


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_example(level: str, alpha: float) -> None:
    found = measure(units(FOUR_OBSERVERS), level)
    assert found is not None
    assert found.alpha == pytest.approx(alpha, abs=5e-4)
    assert found.units == 11  # the last unit has one answer


def test_alpha_of_the_published_example_with_two_observers() -> None:
    found = measure(units(TWO_OBSERVERS), "nominal")
    assert found is not None
    assert found.alpha == pytest.approx(0.095, abs=5e-4)


def test_names_of_answers_do_not_matter_to_nominal_agreement() -> None:
    named = [[f"class {value}" for value in unit] for unit in units(FOUR_OBSERVERS)]
    assert measure(named, "nominal") == measure(units(FOUR_OBSERVERS), "nominal")


def test_agreement_on_sets_is_that_of_the_definition() -> None:
    sets = [[frozenset("ab"), frozenset("a")], [frozenset("b"), frozenset("b")], [frozenset("c"), frozenset("ab")]]
    observed = sum(masi(*unit) for unit in sets) / 3
    every = [answer for unit in sets for answer in unit]
    expected = sum(masi(one, other) for one, other in itertools.permutations(every, 2)) / (6 * 5)
    found = measure(sets, "masi")
    assert found is not None
    assert found.alpha == pytest.approx(1 - observed / expected)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("ab", "ab", 0),
        ("ab", "cd", 1),
        ("a", "ab", 1 - 2 / 3 * 1 / 2),
        ("ab", "bc", 1 - 1 / 3 * 1 / 3),
        ("", "a", 1),
        ("", "", 0),
    ],
)
def test_masi_distance(one: str, other: str, distance: float) -> None:
    assert masi(frozenset(one), frozenset(other)) == pytest.approx(distance)


def test_agreement_of_one_annotator_or_of_one_answer_only_is_not_measured() -> None:
    assert measure([["a"], ["b"], []], "nominal") is None
    assert measure([["a", "a"], ["a", "a", "a"]], "nominal") == Agreement(None, "nominal", 2)


def test_many_values_are_measured_on_evenly_drawn_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "CELLS", 1)
    found = measure([[index % 7, (index + index % 3) % 7] for index in range(2000)], "nominal")
    assert found is not None
    assert found.units == 1000


def test_a_missing_package_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "krippendorff", None)
    with pytest.raises(ExtraError, match=r"The package 'krippendorff' is needed .* pip install 'luthier\[exchange\]'"):
        measure([["a", "b"]], "nominal")
