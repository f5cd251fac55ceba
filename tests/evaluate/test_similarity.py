"""Figures of similarities against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from luthier.errors import DivergedError
from luthier.evaluate.judge import Judge
from luthier.evaluate.similarity import SimilarityJudge

SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
numbers = st.floats(-5, 5).map(lambda value: round(value, 1))
rows = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=40)


def columns(pairs: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    truth, said = np.array(pairs, dtype=np.float64).T
    return truth[:, None], said[:, None]


@SLOW
@given(rows.filter(lambda pairs: all(len(set(one)) > 1 for one in zip(*pairs, strict=True))))
def test_scores(pairs: list[tuple[float, float]]) -> None:
    truth, said = columns(pairs)
    found = SimilarityJudge(binary=False).metrics(truth, said)
    assert found == pytest.approx(
        {"spearman": spearmanr(truth[:, 0], said[:, 0])[0], "pearson": pearsonr(truth[:, 0], said[:, 0])[0]}, abs=1e-6
    )


@SLOW
@given(st.lists(st.tuples(st.integers(0, 1), numbers), min_size=3, max_size=40))
def test_pairs_that_belong_together(pairs: list[tuple[int, float]]) -> None:
    truth, said = columns([(float(one), other) for one, other in pairs])
    found = SimilarityJudge(binary=True).metrics(truth, said)
    if len(set(truth[:, 0])) < 2:
        assert found == {}
        return
    assert found["roc_auc"] == pytest.approx(roc_auc_score(truth[:, 0], said[:, 0]))
    assert found["average_precision"] == pytest.approx(average_precision_score(truth[:, 0], said[:, 0]))


def test_answers_that_are_all_the_same_say_nothing() -> None:
    truth, said = columns([(0, 2), (1, 2), (1, 2)])
    judge = SimilarityJudge(binary=True)
    assert judge.metrics(truth, said) == {"roc_auc": 0.5, "average_precision": 2 / 3, "spearman": 0, "pearson": 0}
    assert judge.measurable(truth) == ["roc_auc", "average_precision", "spearman", "pearson"]
    assert judge.measurable(truth[1:]) == []
    with pytest.raises(DivergedError):
        judge.metrics(truth, said * np.nan)


def test_intervals_are_those_of_resampled_rows() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(80, 1))
    said = truth + random.normal(size=(80, 1))
    low, high = SimilarityJudge(binary=False).intervals(truth, said, seed=1)["pearson"]
    drawn = random.integers(80, size=(4000, 80))
    slow = [np.corrcoef(truth[one, 0], said[one, 0])[0, 1] for one in drawn]
    assert (low, high) == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.02)


@pytest.mark.parametrize("rows", [5, 40])
@pytest.mark.parametrize("binary", [True, False])
def test_resamples_are_those_of_rows_taken_one_by_one(rows: int, binary: bool) -> None:
    """Five rows: some resamples have one kind of pair, some answers that are all the same."""
    random = np.random.default_rng(3)
    truth = random.integers(2 if binary else 6, size=(rows, 1)).astype(float)
    said = np.round(truth + random.normal(size=(rows, 1)), 0 if binary else 3)
    judge = SimilarityJudge(binary)
    slow, fast = Judge.resampled(judge, truth, said, seed=5), judge.resampled(truth, said, seed=5)
    assert slow.keys() == fast.keys()
    for name, values in slow.items():
        assert fast[name] == pytest.approx(values, abs=1e-6, nan_ok=True), name
    assert rows > 5 or any(np.isnan(values).any() for values in fast.values())


def test_answers_that_are_all_the_same_have_intervals() -> None:
    truth, said = columns([(0, 0.1), (1, 0.1), (1, 0.1), (0, 0.1), (1, 0.1)])
    found = SimilarityJudge(binary=True).intervals(truth, said)
    assert found["pearson"] == found["spearman"] == (0, 0)
    assert found["roc_auc"] == (0.5, 0.5)


def test_errors_are_in_the_unit_of_the_scores() -> None:
    errors = SimilarityJudge(binary=False).errors(*columns([(1, 3), (4, 3.5)]))
    assert errors.sizes.tolist() == [2, 0.5]
    assert not errors.graded
