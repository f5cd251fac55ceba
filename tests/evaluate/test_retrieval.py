"""Places and their means against a search that is written out."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import label_ranking_average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from luthier.errors import DivergedError
from luthier.evaluate import retrieval
from luthier.evaluate.retrieval import RetrievalJudge, places

ROWS = 60


@pytest.fixture
def vectors() -> np.ndarray:
    random = np.random.default_rng(0)
    first = random.normal(size=(ROWS, 8))
    return np.stack([first, first + 1.5 * random.normal(size=(ROWS, 8))], axis=1).astype(np.float32)


def slow(vectors: np.ndarray) -> list[int]:
    """Sorted one by one."""
    table = cosine_similarity(vectors[:, 0], vectors[:, 1])
    return [int(np.flatnonzero(np.argsort(-row) == own)[0]) + 1 for own, row in enumerate(table)]


@pytest.mark.parametrize("block", [1, 7 * ROWS, 10**9])
def test_places_are_those_of_a_sorted_list(block: int, vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "BLOCK", block)
    assert places(vectors).tolist() == slow(vectors)


def test_figures(vectors: np.ndarray) -> None:
    ranks = np.array(slow(vectors))
    found = RetrievalJudge().metrics(np.ones((ROWS, 1)), vectors)
    table = cosine_similarity(vectors[:, 0], vectors[:, 1])
    assert found["mrr"] == pytest.approx(label_ranking_average_precision_score(np.eye(ROWS, dtype=int), table))
    assert [found[f"recall_{depth}"] for depth in (1, 5, 10)] == [np.mean(ranks <= depth) for depth in (1, 5, 10)]
    assert RetrievalJudge().errors(np.ones((ROWS, 1)), vectors).sizes.tolist() == (ranks - 1).tolist()


def test_intervals_are_those_of_drawn_searches(vectors: np.ndarray) -> None:
    ranks = np.array(slow(vectors))
    drawn = np.random.default_rng(1).integers(ROWS, size=(5000, ROWS))
    found = RetrievalJudge().intervals(np.ones((ROWS, 1)), vectors)
    assert found["mrr"] == pytest.approx(np.percentile((1 / ranks)[drawn].mean(axis=1), [2.5, 97.5]), abs=0.02)
    assert found.keys() == RetrievalJudge().figures.keys()


def test_partners_that_are_the_same_do_not_come_before_one_another(vectors: np.ndarray) -> None:
    twice = np.concatenate([vectors, vectors])
    assert places(twice).tolist() == [2 * rank - 1 for rank in slow(vectors) * 2]


def test_chance(vectors: np.ndarray) -> None:
    random = np.random.default_rng(2)
    figures = RetrievalJudge().baseline(np.ones((ROWS, 1)), {}).figures
    orders = [random.permutation(ROWS) for _ in range(2000)]
    assert figures["mrr"] == pytest.approx(np.mean([1 / (order + 1) for order in orders]), rel=0.01)
    assert figures["recall_5"] == 5 / ROWS


def test_rows_whose_vectors_are_not_numbers_are_counted(vectors: np.ndarray) -> None:
    vectors[[3, 5]] = np.nan
    with pytest.raises(DivergedError, match=f"the model's output is not a number for 2 of {ROWS} rows"):
        RetrievalJudge().metrics(np.ones((ROWS, 1)), vectors)
