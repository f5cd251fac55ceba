"""Paired tests against the slow obvious version, published values, and what they promise over many simulated comparisons."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from simulated_runs import single
from sklearn.metrics import f1_score

from luthier.evaluate.bootstrap import draw
from luthier.evaluate.classes import ClassJudge
from luthier.evaluate.paired import front, holm, mcnemar, over_seeds, two_sided


@pytest.mark.parametrize(("only_one", "only_other", "both"), [(8, 2, 20), (2, 8, 0), (5, 5, 3), (1, 0, 9), (0, 0, 4)])
def test_mcnemar_is_a_coin_tossed_on_the_rows_where_they_differ(only_one: int, only_other: int, both: int) -> None:
    one = np.array([True] * only_one + [False] * only_other + [True] * both)
    other = np.array([False] * only_one + [True] * only_other + [True] * both)
    differ = only_one + only_other
    tail = sum(comb(differ, heads) for heads in range(min(only_one, only_other) + 1)) / 2**differ
    assert mcnemar(one, other) == pytest.approx(min(1.0, 2 * tail))


def test_holm_is_as_in_statsmodels() -> None:
    """`multipletests(p, method="holm")` of statsmodels 0.15.0; 300 random lists came out the same there."""
    assert holm([0.01, 0.04, 0.03, 0.005, 0.03]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.09])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_differences_are_those_of_the_same_rows() -> None:
    """Two models on the very same resampled rows, by scikit-learn."""
    judge = ClassJudge(["a", "b", "c"], multilabel=False)
    targets, one = single(60, 3)
    other = np.roll(one, 1, axis=0)
    rows = [np.repeat(np.arange(60), times.astype(int)) for block in draw(60, 4) for times in block]

    def slow(scores: np.ndarray) -> list[float]:
        return [
            f1_score(targets[some], scores[some].argmax(axis=1), average="macro", zero_division=0) for some in rows[:80]
        ]

    found = judge.resampled(targets, one, 4)["f1_macro"] - judge.resampled(targets, other, 4)["f1_macro"]
    assert found[:80] == pytest.approx(np.subtract(slow(one), slow(other)))
    shares = np.mean(found <= 0), np.mean(found >= 0)
    assert two_sided(found) == pytest.approx(min(1.0, 2 * min(shares)), abs=0.003)


@pytest.mark.parametrize(
    ("differences", "p_value"),
    [
        (np.ones(999), 2 / 1000),
        (-np.ones(999), 2 / 1000),
        (np.zeros(999), 1.0),
        (np.full(9, np.nan), 1.0),
        (np.array([1.0] * 9 + [np.nan]), 0.2),
    ],
)
def test_p_values_know_how_little_resamples_can_show(differences: np.ndarray, p_value: float) -> None:
    assert two_sided(differences) == pytest.approx(p_value)


def simulated(random: np.random.Generator, gain: float, rows: int = 250) -> tuple[np.ndarray, np.ndarray]:
    """Which rows two models get right: rows are easy or hard for both; `gain` of what the first misses the second has."""
    chance = random.choice([0.15, 0.97], size=rows, p=[0.3, 0.7])
    luck = random.random((2, rows))
    luck[1] = np.where(random.random(rows) < 0.7, luck[0], luck[1])  # mostly right and wrong together
    return luck[0] < chance, (luck[1] < chance) | (random.random(rows) < gain)


def rejected(gain: float, repeats: int = 300) -> dict[str, float]:
    """Shares of simulated comparisons in which a test says that two models differ."""
    random, found = np.random.default_rng(0), {"paired": 0, "unpaired": 0, "mcnemar": 0}
    for _ in range(repeats):
        one, other = simulated(random, gain)
        first, second = (np.concatenate(list(draw(len(one), seed, 400))) / len(one) for seed in (1, 2))
        found["paired"] += two_sided(first @ one - first @ other) < 0.05
        found["unpaired"] += two_sided(first @ one - second @ other) < 0.05
        found["mcnemar"] += mcnemar(one, other) < 0.05
    return {name: count / repeats for name, count in found.items()}


def test_the_tests_hold_their_level() -> None:
    """Of equal models 5 % are told apart, give or take three standard errors of 300 repeats; fewer by the exact test."""
    found = rejected(gain=0.0)
    assert 0.01 <= found["paired"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert found["mcnemar"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_paired_tests_see_what_unpaired_ones_miss() -> None:
    found = rejected(gain=0.2)
    assert found["paired"] > found["unpaired"] + 0.3
    assert found["mcnemar"] > found["unpaired"] + 0.3


def test_one_seed_varies_by_its_rows_alone() -> None:
    values = np.random.default_rng(0).normal(size=(1, 50))
    assert over_seeds(values, 3) == pytest.approx(values[0])


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seeds_vary_as_new_trainings_would(seeds: int) -> None:
    """The variance that is drawn is, over many sets of seeds, that of the mean of as many new trainings."""
    random, rows, drawn = np.random.default_rng(seeds), 0.02, []
    for repeat in range(400):
        figures = random.normal(0.8, 0.03, size=(seeds, 1))
        resampled = figures + random.normal(0, rows, size=(1, 400))  # the rows are the same for all seeds
        drawn.append(over_seeds(resampled, repeat).var())
    assert np.mean(drawn) == pytest.approx(0.03**2 / seeds + rows**2, rel=0.12)


def test_the_front_is_what_nothing_beats() -> None:
    quality, cost = [0.9, 0.8, 0.8, 0.95, None, 0.7], [10.0, 1.0, 2.0, 10.0, 1.0, None]
    assert front(quality, cost) == [False, True, False, True, False, False]
    assert front([0.3, 0.2, 0.2], [1.0, 2.0, 2.0], lower_is_better=True) == [True, True, True]
    assert front([0.2, 0.3], [1.0, 2.0], lower_is_better=True) == [True, False]


def test_the_front_is_that_of_all_pairs() -> None:
    random = np.random.default_rng(0)
    quality, cost = random.integers(6, size=(2, 30)).tolist()
    slow = [
        not any(
            (q > quality[i] and c <= cost[i]) or (q >= quality[i] and c < cost[i])
            for q, c in zip(quality, cost, strict=True)
        )
        for i in range(30)
    ]
    assert front(quality, cost) == slow
