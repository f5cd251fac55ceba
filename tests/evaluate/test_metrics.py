import json

import numpy as np
import pytest
from simulated_runs import several, single
from sklearn import metrics as reference

from luthier.errors import DataError, DivergedError
from luthier.evaluate.metrics import (
    FIGURES,
    confusion,
    majority,
    measure,
    per_class,
    reliability,
)
from luthier.tasks.classify import Classes


def test_two_classes_equal_scikit_learn():
    targets, probabilities = single(300, 2)
    answers, second = probabilities.argmax(axis=1), probabilities[:, 1].astype(float)
    expected = {
        "accuracy": reference.accuracy_score(targets, answers),
        "f1_macro": reference.f1_score(targets, answers, average="macro"),
        "f1_micro": reference.f1_score(targets, answers, average="micro"),
        "f1_weighted": reference.f1_score(targets, answers, average="weighted"),
        "precision_macro": reference.precision_score(targets, answers, average="macro"),
        "recall_macro": reference.recall_score(targets, answers, average="macro"),
        "precision": reference.precision_score(targets, answers),
        "recall": reference.recall_score(targets, answers),
        "f1": reference.f1_score(targets, answers),
        "roc_auc": reference.roc_auc_score(targets, second),
        "log_loss": reference.log_loss(targets, second),
        "brier": reference.brier_score_loss(targets, second),
    }
    found = measure(targets, probabilities)
    assert found == pytest.approx(expected | {"ece": found["ece"]}, abs=1e-6)


def test_ten_classes_equal_scikit_learn():
    targets, probabilities = single(500, 10)
    answers, wide = probabilities.argmax(axis=1), probabilities.astype(float)
    wide /= wide.sum(axis=1, keepdims=True)
    found = measure(targets, probabilities)
    assert found["f1_macro"] == pytest.approx(reference.f1_score(targets, answers, average="macro"))
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(targets, wide, multi_class="ovr"))
    assert found["log_loss"] == pytest.approx(reference.log_loss(targets, wide))
    assert found["brier"] == pytest.approx(np.mean(((np.eye(10)[targets] - wide) ** 2).sum(axis=1)))
    assert "precision" not in found


def test_several_labels_equal_scikit_learn():
    targets, probabilities = several(300, 4)
    answers = (probabilities >= 0.5).astype(int)
    found = measure(targets, probabilities)
    assert found["accuracy"] == pytest.approx(np.mean((answers == targets).all(axis=1)))
    assert found["f1_micro"] == pytest.approx(reference.f1_score(targets, answers, average="micro"))
    assert found["f1_macro"] == pytest.approx(reference.f1_score(targets, answers, average="macro"))
    assert found["roc_auc"] == pytest.approx(reference.roc_auc_score(targets, probabilities))
    each = [reference.log_loss(targets[:, i], probabilities[:, i].astype(float)) for i in range(4)]
    assert found["log_loss"] == pytest.approx(np.mean(each))


def test_a_label_is_answered_from_one_half_as_predictions_say():
    scores = np.array([[0.5, 0.49, 0.9]])
    assert Classes(("a", "b", "c"), multilabel=True).predictions(scores)[0].label == ["a", "c"]
    assert measure(np.array([[1, 0, 1]]), scores)["accuracy"] == 1


def slow_calibration_error(confidence, right, bins=15):
    """Guo et al. 2017, bin by bin."""
    total = 0.0
    for i in range(bins):
        inside = (confidence > i / bins) & (confidence <= (i + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def test_calibration_error_equals_the_definition():
    targets, probabilities = single(1000, 5)
    expected = slow_calibration_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == targets)
    assert measure(targets, probabilities)["ece"] == pytest.approx(expected, abs=1e-6)


def test_calibration_error_of_several_labels_is_over_all_decisions():
    targets, probabilities = several(400, 3)
    confidence = np.maximum(probabilities, 1 - probabilities).ravel()
    expected = slow_calibration_error(confidence, ((probabilities >= 0.5) == targets).ravel())
    assert measure(targets, probabilities)["ece"] == pytest.approx(expected, abs=1e-6)


def test_true_probabilities_are_calibrated_and_inflated_ones_are_not():
    random = np.random.default_rng(0)
    second = random.random(20_000)
    targets = (random.random(20_000) < second).astype(int)
    honest = np.stack([1 - second, second], axis=1)
    sharper = np.stack([(1 - second) ** 4, second**4], axis=1)
    assert measure(targets, honest)["ece"] < 0.01
    assert measure(targets, sharper)["ece"] > 0.1


def test_reliability_counts_every_row_once():
    bins = reliability(*single(777, 3))
    assert sum(one["rows"] for one in bins) == 777
    assert all(one["low"] <= one["confidence"] <= one["high"] + 1e-7 for one in bins)


@pytest.mark.parametrize("targets", [np.zeros(5, dtype=int), np.zeros((5, 3), dtype=int)])
def test_what_is_undefined_is_left_out_and_nothing_is_nan(targets):
    found = measure(targets, np.full((5, 3), 1 / 3, dtype=np.float32))
    assert "roc_auc" not in found
    json.dumps(found, allow_nan=False)


def test_roc_auc_is_over_the_classes_present():
    targets, probabilities = single(200, 4)
    kept = targets != 3
    expected = np.mean([reference.roc_auc_score(targets[kept] == i, probabilities[kept, i]) for i in range(3)])
    assert measure(targets[kept], probabilities[kept])["roc_auc"] == pytest.approx(expected)


def test_certain_and_wrong_is_finite():
    found = measure(np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]], dtype=np.float32))
    assert 10 < found["log_loss"] < 50


def test_the_order_of_rows_does_not_matter():
    targets, probabilities = single(300, 4)
    order = np.random.default_rng(1).permutation(300)
    assert measure(targets[order], probabilities[order]) == pytest.approx(measure(targets, probabilities))


def test_majority_always_answers_the_most_frequent_training_class():
    targets = np.array([0, 1, 1, 2])
    found = majority([10, 30, 20], targets)
    answers = np.ones(4, dtype=int)
    assert found["accuracy"] == 0.5
    assert found["f1_macro"] == pytest.approx(reference.f1_score(targets, answers, average="macro", zero_division=0))
    assert found["roc_auc"] == 0.5
    assert found["log_loss"] == pytest.approx(-np.log([1 / 6, 1 / 2, 1 / 2, 1 / 3]).mean())


def test_majority_of_several_labels_is_each_labels_own():
    targets = np.array([[1, 0], [1, 1], [0, 0]])
    found = majority([70, 20], targets, train_rows=100)
    answers = np.array([[1, 0]] * 3)
    assert found["accuracy"] == pytest.approx(1 / 3)
    assert found["f1_micro"] == pytest.approx(reference.f1_score(targets, answers, average="micro"))


def test_majority_of_several_labels_needs_the_number_of_rows():
    with pytest.raises(DataError, match="needs train_rows, the number of training rows"):
        majority([70, 20], np.array([[1, 0]]))


@pytest.mark.parametrize("data", [single(200, 3), several(200, 3)], ids=["single", "several"])
def test_per_class_equals_scikit_learn(data):
    targets, probabilities = data
    answers = (probabilities >= 0.5).astype(int) if targets.ndim == 2 else probabilities.argmax(axis=1)
    expected = reference.classification_report(targets, answers, output_dict=True, zero_division=0)
    for i, row in enumerate(per_class(targets, probabilities, ["a", "b", "c"])):
        assert row == pytest.approx(
            {"label": "abc"[i], "rows": expected[str(i)]["support"], "f1": expected[str(i)]["f1-score"]}
            | {name: expected[str(i)][name] for name in ("precision", "recall")}
        )


def test_confusion_keeps_classes_without_rows():
    probabilities = np.eye(3)[[0, 0, 1]]
    assert confusion(np.array([0, 1, 1]), probabilities).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_confusion_of_several_labels_is_a_table_a_label():
    targets, probabilities = several(50, 3)
    tables = confusion(targets, probabilities)
    assert tables.shape == (3, 2, 2)
    assert tables[1, 1, 1] == ((probabilities[:, 1] >= 0.5) & (targets[:, 1] == 1)).sum()


def test_no_rows_is_an_error():
    with pytest.raises(DataError, match="there are no rows to measure; expected at least one row with a label"):
        measure(np.zeros(0, dtype=int), np.zeros((0, 2)))


def test_output_that_is_no_number_is_an_error():
    probabilities = np.full((4, 2), 0.5)
    probabilities[2] = np.nan
    with pytest.raises(DivergedError, match=r"not a number for 1 of 4 rows: training has diverged\. Lower train\.lr"):
        measure(np.zeros(4, dtype=int), probabilities)


def test_every_figure_is_described_and_losses_are_marked():
    assert set(measure(*single(50, 2))) == set(FIGURES)
    assert {name for name in FIGURES if FIGURES[name].lower_is_better} == {"log_loss", "brier", "ece"}
