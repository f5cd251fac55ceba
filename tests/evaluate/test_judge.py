"""The contract of judging: what every task gets for nothing is as good as what classes have of their own."""

import numpy as np
import pytest
from simulated_runs import measured, several, single

from luthier.evaluate.classes import ClassJudge
from luthier.evaluate.judge import Judge, take
from luthier.evaluate.metrics import majority, measure
from luthier.evaluate.numbers import NumberJudge
from luthier.evaluate.retrieval import RetrievalJudge
from luthier.evaluate.spans import SpanJudge
from luthier.tasks.tagging_schemes import Tagset


@pytest.mark.slow  # 2,000 times all figures, one after the other
@pytest.mark.parametrize(("data", "multilabel"), [(single(40, 3), False), (several(30, 2), True)])
def test_the_general_bootstrap_equals_the_fast_one(data, multilabel):
    judge = ClassJudge(list("abc")[: data[1].shape[1]], multilabel)
    general, fast = Judge.resampled(judge, *data, seed=5), judge.resampled(*data, seed=5)
    assert set(general) - set(fast) == {"ece"}
    for name, ends in fast.items():
        assert general[name] == pytest.approx(ends, abs=1e-9, nan_ok=True), name


def test_rows_are_taken_from_arrays_and_from_lists_of_arrays():
    rows = np.array([2, 0, 2])
    assert take(np.arange(6).reshape(3, 2), rows).tolist() == [[4, 5], [0, 1], [4, 5]]
    ragged = [np.arange(size) for size in (1, 2, 3)]
    assert [one.tolist() for one in take(ragged, rows)] == [[0, 1, 2], [0], [0, 1, 2]]


@pytest.mark.parametrize(("classes", "multilabel"), [(2, False), (4, False), (2, True)])
def test_figures_are_those_that_are_measured(classes, multilabel):
    data = several(60, classes) if multilabel else single(60, classes)
    judge = ClassJudge([f"c{place}" for place in range(classes)], multilabel)
    assert list(judge.figures) == list(judge.metrics(*data)) == judge.measurable(data[0])
    assert not any("{" in one.title + one.meaning for one in judge.figures.values())
    assert judge.monitor in judge.figures


def test_a_figure_that_the_rows_cannot_have_is_not_measurable():
    assert "roc_auc" not in ClassJudge(["a", "b"], False).measurable(np.zeros(5, dtype=int))


def test_the_baseline_is_the_majority_of_the_training_rows():
    targets, _ = single(50, 3)
    train = {"rows": 60, "labels": {"a": 10, "c": 20, "b": 30}}
    found = ClassJudge(["a", "b", "c"], False).baseline(targets, train)
    assert (found.name, found.answer) == ("majority class", "“b”")
    assert found.figures == majority([10, 30, 20], targets)


def test_several_labels_are_answered_by_the_majority_of_each():
    targets, _ = several(50, 3)
    found = ClassJudge(["a", "b", "c"], True).baseline(targets, {"rows": 100, "labels": {"a": 50, "b": 10, "c": 99}})
    assert found.answer == "“a” + “c”"
    nothing = ClassJudge(["a", "b", "c"], True).baseline(targets, {"rows": 100, "labels": {}})
    assert nothing.answer == "no label"


def test_errors_are_the_confidence_of_wrong_answers():
    targets, probabilities = single(200, 3)
    errors = ClassJudge(list("abc"), False).errors(targets, probabilities)
    wrong = probabilities.argmax(axis=1) != targets
    np.testing.assert_array_equal(errors.sizes > 0, wrong)
    np.testing.assert_array_equal(errors.sizes[wrong], probabilities.max(axis=1)[wrong])
    assert errors.graded
    assert measure(targets, probabilities)["accuracy"] == pytest.approx(1 - wrong.mean())


def test_loss_and_errors_are_better_when_lower():
    judge = ClassJudge(["a", "b"], False)
    assert {name for name in (*judge.figures, "loss") if judge.lower_is_better(name)} == {
        "loss",
        "log_loss",
        "brier",
        "ece",
    }


def test_right_rows_are_those_that_a_figure_counts():
    for targets, scores, judge in [
        (*single(80, 3), ClassJudge(list("abc"), False)),
        (*several(80, 2), ClassJudge(list("ab"), True)),
        (np.ones((30, 1)), np.random.default_rng(0).normal(size=(30, 2, 4)), RetrievalJudge()),
    ]:
        figures, right = judge.metrics(targets, scores), judge.right(targets, scores)
        assert right
        for name, rows in right.items():
            assert rows.dtype == bool
            assert rows.mean() == pytest.approx(figures[name])


@pytest.mark.parametrize(
    ("judge", "targets", "train"),
    [
        (ClassJudge(list("abc"), False), single(50, 3)[0], {"rows": 60, "labels": {"a": 10, "b": 30, "c": 20}}),
        (ClassJudge(list("ab"), True), several(50, 2)[0], {"rows": 60, "labels": {"a": 40, "b": 20}}),
        (NumberJudge(["x"], [1.0], [1.0], [2.0]), measured(50)[0], {"rows": 60, "labels": {}}),
        (SpanJudge(Tagset(("X",), alone=False)), [np.array([0, 1, 0]), np.array([0])], {"rows": 2, "labels": {"X": 9}}),
        (SpanJudge(Tagset(("X", "Y"), alone=True)), [np.array([0, 1, 1])], {"rows": 2, "labels": {"X": 3, "Y": 9}}),
    ],
)
def test_one_answer_as_scores_has_the_figures_of_the_baseline(judge, targets, train):
    figures = judge.metrics(targets, judge.constant(targets, train))
    assert figures == pytest.approx(judge.baseline(targets, train).figures)
