"""Figures of similarities against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from luthier.errors import DivergedError
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


def test_errors_are_in_the_unit_of_the_scores() -> None:
    errors = SimilarityJudge(binary=False).errors(*columns([(1, 3), (4, 3.5)]))
    assert errors.sizes.tolist() == [2, 0.5]
    assert not errors.graded
