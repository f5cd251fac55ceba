"""Two sets of rows: the same source is hardly ever called a shift, another one is, and the words say how much."""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact

from luthier.data import shift


def rows(count: int, seed: int, mean: float = 0.0, width: int = 4) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, width))
    drawn[:, 0] += mean
    return drawn.astype(np.float32)


@pytest.mark.parametrize("sizes", [(40, 40), (200, 30)])
def test_the_same_source_seldom_looks_like_another(sizes: tuple[int, int]) -> None:
    found = [shift.two_sample(rows(sizes[0], seed), rows(sizes[1], 1000 + seed)).p_value for seed in range(80)]
    assert np.mean(np.array(found) < 0.05) <= 0.05
    assert np.mean(np.array(found) < 0.2) <= 0.2


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0])
def test_auc_of_two_normal_distributions(distance: float) -> None:
    """Two normal distributions that far apart overlap by a known amount (Green & Swets 1966)."""
    found = shift.two_sample(rows(4000, 1), rows(3000, 2, distance))
    assert found.auc == pytest.approx(NormalDist().cdf(distance / 2**0.5), abs=0.02)
    assert found.p_value < 0.001
    assert found.rows == (4000, 3000)


def test_many_rows_are_drawn_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shift, "MOST", 100)
    found = shift.two_sample(rows(500, 1), rows(60, 2, 3.0))
    assert found.rows == (100, 60)
    assert found == shift.two_sample(rows(500, 1), rows(60, 2, 3.0))


def test_frequencies_by_chi_square() -> None:
    training, other = ["a"] * 60 + ["b"] * 40, ["a"] * 30 + ["b"] * 70
    found = shift.homogeneity(training, other)
    assert found.p_value == pytest.approx(chi2_contingency([[60, 40], [30, 70]], correction=False).pvalue)
    assert found.shares == {"a": (0.6, 0.3), "b": (0.4, 0.7)}


def test_numbers_and_texts_are_the_same_label() -> None:
    assert shift.homogeneity([0, 1] * 20, ["0", "1"] * 20).p_value == 1.0


def test_rare_labels_by_drawn_tables() -> None:
    training, other = ["a"] * 20 + ["b"], ["a"] * 4 + ["b"] * 3
    found = shift.homogeneity(training, other)
    assert found.p_value == pytest.approx(fisher_exact([[20, 1], [4, 3]]).pvalue, abs=0.01)
    assert found == shift.homogeneity(training, other)


def test_several_labels_a_row() -> None:
    training, other = [["a", "b"]] * 50 + [["a"]] * 50, [["a"]] * 90 + [[]] * 10
    found = shift.homogeneity(training, other)
    each = [chi2_contingency(table, correction=False).pvalue for table in ([[100, 0], [90, 10]], [[50, 50], [0, 100]])]
    assert found.p_value == pytest.approx(2 * min(each))
    assert found.largest == "b"


@pytest.mark.parametrize("labels", [["a"] * 5, [[]] * 5])
def test_nothing_to_compare(labels: list[object]) -> None:
    assert shift.homogeneity(labels, labels).p_value == 1.0


@pytest.mark.parametrize(("mean", "degree"), [(0.3, "slight"), (0.8, "clear"), (2.0, "strong")])
def test_a_shift_in_words(mean: float, degree: str) -> None:
    labels = (["ham"] * 870 + ["spam"] * 130, ["ham"] * 590 + ["spam"] * 410)
    found = shift.compare("test", rows(1000, 1), rows(1000, 2, mean), labels)
    assert found.found
    assert found.vectors is not None
    assert found.sentence == (
        f"There is a {degree} shift: a classifier tells test rows from training rows (AUC {found.vectors.auc:.2f}, where 0.5 is "
        "guessing; p < 0.001). Labels are not as frequent: 'ham' is 87.0% of training and 59.0% of test (p < 0.001)."
    )
    read = json.loads(json.dumps(found.facts))
    assert read["labels"]["shares"] == {"ham": [0.87, 0.59], "spam": [0.13, 0.41]}
    assert (read["found"], read["sentence"]) == (True, found.sentence)


def test_no_shift_in_words() -> None:
    labels = (["ham"] * 50, ["ham"] * 30)
    found = shift.compare("later", rows(50, 1), rows(30, 2), labels)
    assert not found.found
    assert found.vectors is not None
    assert found.sentence == (
        "No shift was found: a classifier cannot tell later rows from training rows "
        f"(AUC {found.vectors.auc:.2f}, where 0.5 is guessing; p = {found.vectors.p_value:.3f}). Labels are about as frequent (p = 1.000)."
    )


def test_too_few_rows_and_no_labels() -> None:
    found = shift.compare("later", rows(500, 1), rows(19, 2), (["a"] * 500, []))
    assert (found.vectors, found.labels, found.found) == (None, None, False)
    assert found.sentence == "Whether the later rows are like the training rows cannot be said: that takes 20 of each."
