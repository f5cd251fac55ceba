"""LogME and the H-score beside their definitions, computed the slow way, and the linear probe beside scikit-learn's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal, ortho_group
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import BayesianRidge, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from luthier.advise import linear_probe
from luthier.advise.h_score import h_score
from luthier.advise.linear_probe import STRENGTHS, probe
from luthier.advise.logme import logme
from luthier.data.probe import folds
from luthier.errors import DataError
from luthier.evaluate.bootstrap import bootstrap, percentiles
from luthier.tasks.classify import Classify
from luthier.tasks.regress import Regress
from luthier.tasks.tag import Tag

SHAPES = {"wide": (40, 80), "narrow": (90, 8), "square": (40, 40)}


def drawn(rows: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors, and classes of three that hang on some of their numbers."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(rows, width)) * draw.uniform(0.2, 3, width) + 0.5
    return vectors, np.digitize(vectors[:, :4].sum(axis=1) + draw.normal(size=rows), [0, 3])


def members(classes: np.ndarray) -> np.ndarray:
    return np.asarray(classes[:, None] == np.unique(classes))


def slow_logme(vectors: np.ndarray, columns: np.ndarray) -> float:
    """The largest log density of each column under N(0, F F' / alpha + I / beta), searched for over alpha and beta."""
    rows = len(vectors)

    def least(column: np.ndarray) -> float:
        def cost(logs: np.ndarray) -> float:
            alpha, beta = np.exp(np.clip(logs, -20, 20))
            spread = vectors @ vectors.T / alpha + np.eye(rows) / beta
            return -float(multivariate_normal.logpdf(column, np.zeros(rows), spread))

        options = {"xatol": 1e-6, "fatol": 1e-9, "maxiter": 2000}
        starts = ([0, 0], [5, 1], [-2, 3])
        return min(minimize(cost, start, method="Nelder-Mead", options=options).fun for start in starts)

    return -float(np.mean([least(column) for column in columns.T])) / rows


@pytest.mark.parametrize("shape", SHAPES)
def test_logme_is_the_largest_evidence(shape: str) -> None:
    vectors, classes = drawn(*SHAPES[shape])
    columns = members(classes).astype(float)[:, :2]
    assert logme(vectors, columns) == pytest.approx(slow_logme(vectors, columns), abs=1e-6)


def test_logme_of_labels_that_have_nothing_to_do_with_the_vectors() -> None:
    draw = np.random.default_rng(3)
    vectors, columns = draw.normal(size=(60, 20)), draw.normal(size=(60, 2))
    assert logme(vectors, columns) == pytest.approx(slow_logme(vectors, columns), abs=1e-5)


def test_logme_is_the_evidence_of_scikit_learn() -> None:
    vectors, classes = drawn(200, 30)
    column = members(classes).astype(float)[:, 0]
    flat = dict.fromkeys(("alpha_1", "alpha_2", "lambda_1", "lambda_2"), 0.0)
    fitted = BayesianRidge(fit_intercept=False, compute_score=True, tol=1e-9, max_iter=2000, **flat).fit(
        vectors, column
    )
    assert logme(vectors, column[:, None]) == pytest.approx(fitted.scores_[-1] / 200, abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_see_neither_the_axes_nor_the_order_of_rows(shape: str) -> None:
    rows, width = SHAPES[shape]
    vectors, classes = drawn(rows, width, seed=1)
    turned = vectors @ ortho_group.rvs(width, random_state=0)
    order = np.random.default_rng(0).permutation(rows)
    columns, questions = members(classes).astype(float), [members(classes)]
    for changed, mixed in ((turned, np.arange(rows)), (vectors[order], order)):
        assert logme(changed, columns[mixed]) == pytest.approx(logme(vectors, columns), abs=1e-8)
        assert h_score(changed, [questions[0][mixed]]) == pytest.approx(h_score(vectors, questions), abs=1e-8)
    assert logme(100 * vectors, columns) == pytest.approx(logme(vectors, columns), abs=1e-6)
    assert h_score(100 * vectors, questions) == pytest.approx(h_score(vectors, questions), abs=1e-6)


def test_logme_of_nothing() -> None:
    with pytest.raises(ValueError, match=r"^the vectors are all zero$"):
        logme(np.zeros((5, 3)), np.ones((5, 1)))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_h_score_is_its_formula(shape: str) -> None:
    vectors, classes = drawn(*SHAPES[shape])
    spread, amount = ledoit_wolf(vectors)
    centred = vectors - vectors.mean(axis=0)
    of_class = np.stack([centred[classes == one].mean(axis=0) for one in classes])
    between = of_class.T @ of_class / len(vectors)
    slow = np.trace(np.linalg.inv(spread) @ ((1 - amount) * between))
    assert h_score(vectors, [members(classes)]) == pytest.approx(slow)
    assert h_score(vectors, [members(classes), members(classes[::-1])]) == pytest.approx(
        np.mean([h_score(vectors, [members(one)]) for one in (classes, classes[::-1])])
    )


def test_with_many_rows_the_h_score_of_two_classes_is_the_explained_variance() -> None:
    """tr(cov(f)^-1 cov(E[f | y])) of two classes is the R2 of the label regressed on the vectors; shrinking fades away."""
    vectors, classes = drawn(20_000, 5)
    two = (classes > 0).astype(int)
    assert h_score(vectors, [members(two)]) == pytest.approx(
        LinearRegression().fit(vectors, two).score(vectors, two), abs=2e-3
    )


def test_a_class_without_rows_does_not_count() -> None:
    vectors, classes = drawn(50, 6)
    wider = np.concatenate([members(classes), np.zeros((50, 1), dtype=bool)], axis=1)
    assert h_score(vectors, [wider]) == pytest.approx(h_score(vectors, [members(classes)]))


def test_better_vectors_score_higher() -> None:
    draw = np.random.default_rng(0)
    classes = draw.integers(3, size=300)
    scores = []
    for signal in (0.0, 0.5, 1.0, 2.0):
        vectors = draw.normal(size=(300, 40))
        vectors[:, :3] += signal * members(classes)
        columns = members(classes)
        scores.append((logme(vectors, columns.astype(float)), h_score(vectors, [columns])))
    assert scores == sorted(scores)
    assert [one[1] for one in scores] == sorted(one[1] for one in scores)


def reference(labels: list[int], vectors: np.ndarray, strength: float, fold: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1 / strength, max_iter=1000))
    found: np.ndarray = cross_val_predict(model, vectors, labels, cv=PredefinedSplit(fold), method="predict_proba")
    return found


def test_the_probe_is_that_of_scikit_learn() -> None:
    vectors, classes = drawn(120, 10)
    labels = classes.tolist()
    found = probe(Classify().learn(labels), vectors, labels, seed=4)
    fold = folds(classes, np.arange(120), 4)
    scores = {strength: reference(labels, vectors, strength, fold) for strength in STRENGTHS}
    figures = {strength: f1_score(labels, one.argmax(axis=1), average="macro") for strength, one in scores.items()}
    assert found.strength == max(figures, key=lambda one: figures[one])
    np.testing.assert_allclose(found.scores, scores[found.strength], atol=1e-5)
    assert (found.figure, found.value) == ("f1_macro", pytest.approx(max(figures.values())))
    answers = found.scores.argmax(axis=1)
    drawn_again = bootstrap(
        lambda rows: {"f1": f1_score(classes[rows], answers[rows], average="macro")}, 120, seed=4, resamples=1000
    )
    assert found.interval == pytest.approx(percentiles(drawn_again["f1"]))


def test_a_probe_of_numbers() -> None:
    vectors, _ = drawn(120, 10)
    numbers = (vectors[:, 0] * 100 + 5000).tolist()
    found = probe(Regress().learn(numbers), vectors, numbers)
    assert found.strength == min(STRENGTHS)
    fold = PredefinedSplit(folds(np.digitize(numbers, np.quantile(numbers, [0.2, 0.4, 0.6, 0.8])), np.arange(120), 0))
    assert found.scores.shape == (120, 1)
    slow = cross_val_predict(make_pipeline(StandardScaler(), Ridge(alpha=1.0)), vectors, numbers, cv=fold)
    assert np.corrcoef(found.scores[:, 0], slow)[0, 1] > 0.999


def test_a_probe_of_several_labels() -> None:
    vectors, classes = drawn(120, 10)
    labels = [
        [name for name, given in (("a", one > 0), ("b", one > 1), ("rare", row < 2)) if given]
        for row, one in enumerate(classes)
    ]
    found = probe(Classify().learn(labels), vectors, labels)
    assert found.scores.shape == (120, 3)
    assert found.value > 0.4


def test_no_copy_is_answered_by_its_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of noise, each row twice: who has seen the copy knows the label."""
    monkeypatch.setattr(linear_probe, "STRENGTHS", (0.001,))
    draw = np.random.default_rng(0)
    vectors, labels = np.repeat(draw.normal(size=(60, 80)), 2, axis=0), np.repeat(np.arange(60) % 2, 2).tolist()
    target = Classify().learn(labels)
    assert probe(target, vectors, labels).value > 0.8
    assert probe(target, vectors, labels, np.repeat(np.arange(60), 2)).value < 0.7


REFUSED = {
    "few rows": ([0, 1] * 9, "A linear probe takes 20 rows of which no two are alike, and there are 18."),
    "few of the others": (
        [0] * 30 + [1] * 4,
        "A linear probe takes 5 rows with another label than the most common, '0', and there are 4.",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_too_little_to_probe(why: str) -> None:
    labels, told = REFUSED[why]
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        probe(Classify().learn(labels), np.ones((len(labels), 3)), labels)


def test_rare_classes_do_not_stop_the_probe() -> None:
    vectors, classes = drawn(60, 5)
    labels = [*classes.tolist()[:-3], 7, 8, 9]
    assert probe(Classify().learn(labels), vectors, labels).scores.shape == (60, 6)


def test_a_task_without_a_linear_model() -> None:
    tags = [["O", "B-x"], ["O", "O"]] * 15
    with pytest.raises(
        DataError, match=r"^There is no linear model of this task's answers, so nothing can be probed\.$"
    ):
        probe(Tag().learn(tags), np.ones((30, 3)), tags)
