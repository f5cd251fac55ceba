"""Figures of numbers against scikit-learn and scipy."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from luthier.errors import DataError, DivergedError
from luthier.evaluate.bootstrap import draw
from luthier.evaluate.numbers import NumberJudge


def numbers(rows, outputs=1, seed=0, digits=None):
    random = np.random.default_rng(seed)
    targets = 3 + 2 * random.normal(size=(rows, outputs))
    scores = targets + random.normal(size=targets.shape)
    return (targets, scores) if digits is None else (targets.round(digits), scores.round(digits))


def judge(outputs=1, mean=3.0, median=2.9):
    return NumberJudge([f"n{place}" for place in range(outputs)], [mean] * outputs, [median] * outputs, [2.0] * outputs)


def expected(targets, scores):
    ranks = [stats.spearmanr(one, other).statistic for one, other in zip(targets.T, scores.T, strict=True)]
    return {
        "r2": reference.r2_score(targets, scores),
        "spearman": np.mean(ranks),
        "mae": reference.mean_absolute_error(targets, scores),
        "rmse": reference.root_mean_squared_error(targets, scores),
        "mse": reference.mean_squared_error(targets, scores),
    }


@pytest.mark.parametrize(
    "data",
    [numbers(200), numbers(50, digits=0), numbers(80, outputs=3), numbers(2)],
    ids=["one number", "ties", "three numbers", "two rows"],
)
def test_figures_equal_scikit_learn_and_scipy(data):
    assert judge(data[0].shape[1]).metrics(*data) == pytest.approx(expected(*data))


def test_float32_scores_are_measured_in_double():
    targets, scores = numbers(100)
    single = scores.astype(np.float32)
    assert judge().metrics(targets, single) == pytest.approx(expected(targets, single.astype(np.float64)), abs=1e-12)


def test_what_is_not_defined_is_left_out():
    assert set(judge().metrics(np.ones((5, 1)), numbers(5)[1])) == {"mae", "rmse", "mse"}
    assert judge().measurable(np.ones((5, 1))) == ["mae", "rmse", "mse"]
    assert judge().measurable(numbers(5)[0]) == list(judge().figures)


def test_the_same_answer_for_all_rows_has_no_order():
    assert judge().metrics(numbers(5)[0], np.ones((5, 1)))["spearman"] == 0


def test_the_baseline_is_the_training_mean_and_for_the_absolute_error_the_median():
    targets, _ = numbers(100)
    found = judge().baseline(targets, {})
    with warnings.catch_warnings(action="ignore"):
        mean = expected(targets, np.full_like(targets, 3.0))
    assert found.figures == pytest.approx(
        {
            "r2": mean["r2"],
            "spearman": 0,
            "rmse": mean["rmse"],
            "mse": mean["mse"],
            "mae": reference.mean_absolute_error(targets, np.full_like(targets, 2.9)),
        }
    )
    assert (found.name, found.answer) == ("training mean", "the training mean (3)")


@pytest.mark.parametrize("data", [numbers(40), numbers(30, outputs=2, digits=0)], ids=["one", "two with ties"])
def test_intervals_equal_the_slow_obvious_bootstrap(data):
    values = []
    for block in draw(len(data[0]), seed=3):
        for counts in block.astype(int):
            rows = np.repeat(np.arange(len(data[0])), counts)
            values.append(expected(*(one[rows] for one in data)))
    found = judge(data[0].shape[1]).intervals(*data, seed=3)
    assert found.keys() == values[0].keys()
    for name, ends in found.items():
        assert ends == pytest.approx(tuple(np.percentile([one[name] for one in values], [2.5, 97.5]))), name


def test_errors_are_absolute_and_several_are_weighed_by_their_spread():
    targets, scores = numbers(30)
    np.testing.assert_allclose(judge().errors(targets, scores).sizes, np.abs(targets - scores)[:, 0])
    targets, scores = numbers(30, outputs=2)
    np.testing.assert_allclose(judge(2).errors(targets, scores).sizes, np.abs(targets - scores).mean(axis=1) / 2)


def test_sections_hold_each_output_with_its_own_figures():
    targets, scores = numbers(1000, outputs=2)
    first, second = judge(2).sections(targets, scores)["numbers"]
    assert [first["name"], second["name"]] == ["n0", "n1"]
    assert second["figures"] == pytest.approx(expected(targets[:, 1:], scores[:, 1:]))
    assert len(first["points"]) == 400
    assert [one["true"] for one in first["quantiles"]] == pytest.approx(
        np.quantile(targets[:, 0], [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    )


def test_lower_is_better_for_errors_and_loss():
    assert {name for name in (*judge().figures, "loss") if judge().lower_is_better(name)} == {
        "mae",
        "rmse",
        "mse",
        "loss",
    }
    assert judge().monitor in judge().figures


def test_nothing_and_broken_scores_are_refused():
    with pytest.raises(DataError, match=r"there are no rows to measure"):
        judge().metrics(np.zeros((0, 1)), np.zeros((0, 1)))
    with pytest.raises(DivergedError, match=r"not a number for 2 of 5 rows: training has diverged"):
        judge().metrics(np.zeros((5, 1)), np.array([[1], [np.nan], [2], [np.inf], [0]]))
