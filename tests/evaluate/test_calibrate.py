import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, softmax
from simulated_runs import several, single
from sklearn import metrics as reference

from luthier.errors import DataError
from luthier.evaluate import metrics
from luthier.evaluate.calibrate import Goal, temperature, tempered, threshold


def too_sure(rows=800, classes=3, times=2.5, seed=0):
    """Targets drawn from the very probabilities, and logits made too large."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 1.5, (rows, classes))
    targets = np.array([random.choice(classes, p=one) for one in softmax(logits, axis=1)])
    return targets, logits * times


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_the_temperature_is_that_of_scipy_over_sklearns_log_loss(classes):
    targets, logits = too_sure(classes=classes)

    def loss(log):
        return reference.log_loss(targets, softmax(logits / np.exp(log[0]), axis=1), labels=np.arange(classes))

    expected = float(np.exp(minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-6}).x[0]))
    found = temperature(targets, softmax(logits, axis=1).astype(np.float32))
    assert found == pytest.approx(expected, rel=1e-3)
    assert found == pytest.approx(2.5, rel=0.2)


def test_several_labels_share_a_temperature():
    targets, scores = several(500, 4)
    scores = tempered(scores, 0.4, several=True)

    def loss(log):
        logits = np.log(scores.astype(float)) - np.log1p(-scores.astype(float))
        return reference.log_loss(targets.ravel(), expit(logits / np.exp(log[0])).ravel())

    expected = float(np.exp(minimize(loss, [0.0], method="Nelder-Mead", options={"xatol": 1e-6}).x[0]))
    assert temperature(targets, scores) == pytest.approx(expected, rel=1e-3)


def test_probabilities_are_those_of_divided_logits():
    _, logits = too_sure(50)
    np.testing.assert_allclose(tempered(softmax(logits, axis=1), 1.7, False), softmax(logits / 1.7, axis=1), rtol=1e-5)
    np.testing.assert_allclose(tempered(expit(logits), 1.7, True), expit(logits / 1.7), rtol=1e-5)
    assert np.isfinite(tempered(np.array([[1.0, 0.0]]), 0.1, False)).all()
    assert np.isfinite(tempered(np.array([[1.0, 0.0]]), 0.1, True)).all()


def slow_threshold(truth, scores, goal):
    """Every cut point, one by one."""
    best = None
    for cut in sorted(set(scores.tolist()), reverse=True):
        picked = scores >= cut
        right = (picked & truth).sum()
        if goal.precision is not None:
            if right / picked.sum() >= goal.precision:
                best = picked
            continue
        cost = goal.false_positive * (picked & ~truth).sum() + goal.false_negative * (~picked & truth).sum()
        if best is None or cost < best[0]:
            best = (cost, picked)
    return best if goal.precision is not None else best[1]


@pytest.mark.parametrize("goal", [Goal(0.8), Goal(0.95), Goal(None, 1, 5), Goal(None, 2, 3)])
@pytest.mark.parametrize("rounded", [2, 8])
def test_thresholds_are_those_of_the_slow_search(goal, rounded):
    for seed in range(5):
        targets, scores = single(300, 2, seed, skill=2.5)
        truth, scores = targets == 1, scores[:, 1].round(rounded)
        cut = threshold(truth, scores, goal, "spam")
        np.testing.assert_array_equal(scores >= cut, slow_threshold(truth, scores, goal))


def test_what_says_nothing_is_refused():
    truth = np.array([True] * 10 + [False] * 30)
    even = np.full(40, 0.5)
    with pytest.raises(DataError, match=r"No threshold for 'spam' reaches a precision of 0\.9 .* the best is 0\.250"):
        threshold(truth, even, Goal(0.9), "spam")
    with pytest.raises(DataError, match=r"cheapest never to answer 'spam' on the validation rows"):
        threshold(truth, even, Goal(None, 5, 1), "spam")
    with pytest.raises(DataError, match=r"No validation row has the label 'spam'"):
        threshold(~truth & truth, even, Goal(0.9), "spam")
    targets = np.array([0, 1] * 20)
    with pytest.raises(DataError, match=r"All 40 validation rows are answered right, so they cannot tell"):
        temperature(targets, np.eye(2)[targets] * 0.8 + 0.1)
    with pytest.raises(DataError, match=r"no better than chance, so no temperature"):
        temperature(targets, np.eye(2)[1 - targets] * 0.8 + 0.1)


def test_where_answering_costs_as_much_as_never_answering_there_is_no_threshold():
    truth, scores = np.array([False, True]), np.array([0.9, 0.8])
    with pytest.raises(DataError, match="cheapest never to answer 'spam'"):
        threshold(truth, scores, Goal(false_positive=1, false_negative=1), "spam")
    assert threshold(truth, scores, Goal(false_positive=1, false_negative=1.01), "spam") == pytest.approx(0.4)


def test_a_class_with_a_cut_is_answered_from_there_on_and_never_below():
    random = np.random.default_rng(0)
    scores = random.dirichlet(np.ones(4), 500)
    for cut in (0.1, 0.6):
        answers = metrics.decide(np.zeros(500), scores, np.array([np.nan, np.nan, cut, np.nan]))
        np.testing.assert_array_equal(answers == 2, scores[:, 2] >= cut)
        others = answers != 2
        np.testing.assert_array_equal(
            answers[others],
            np.delete(scores, 2, 1).argmax(1)[others] + (np.delete(scores, 2, 1).argmax(1)[others] >= 2),
        )
    labels = metrics.decide(np.zeros((500, 4)), scores, np.array([0.1, np.nan, 0.3, 0.9]))
    np.testing.assert_array_equal(labels, scores >= [0.1, 0.5, 0.3, 0.9])


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_figures_and_intervals_follow_the_thresholds(kind):
    from luthier.evaluate.bootstrap import bootstrap
    from luthier.tasks.classify import Classes

    targets, scores = several(120, 3) if kind == "multilabel" else single(120, 2 if kind == "binary" else 3)
    names = ("a", "b") if kind == "binary" else ("a", "b", "c")
    target = Classes(names, kind == "multilabel").calibrated(1.5, {"b": 0.35})
    said = target.predictions(scores)
    true = target.decode(targets)
    judged = target.judge.metrics(targets, scores)
    assert judged["accuracy"] == pytest.approx(
        np.mean([one.label == label for one, label in zip(said, true, strict=True)])
    )
    slow = bootstrap(lambda rows: target.judge.metrics(targets[rows], scores[rows]), len(targets), 3, 20)
    from luthier.evaluate import intervals

    fast = intervals.resampled(targets, scores, 3, 20, target.judge.cuts)
    for name in ("accuracy", "f1_micro", "recall_macro"):
        np.testing.assert_allclose(fast[name], slow[name])
    errors = target.judge.errors(targets, scores).sizes
    assert (errors > 0).tolist() == [one.label != label for one, label in zip(said, true, strict=True)]
    sections = target.judge.sections(targets, scores)
    assert sections["calibration"]["error"] == pytest.approx(judged["ece"])
    if kind != "multilabel":
        assert np.trace(sections["answers"]["counts"]) == sum(errors == 0)
    assert target.calibration == "temperature 1.5, b from 0.35"


def test_an_uncalibrated_target_keeps_its_facts():
    from luthier.tasks.classify import Classes, Classify

    plain = Classes(("a", "b"), False)
    assert set(plain.facts) == {"labels", "kind", "weights"}
    again = Classify().restore(plain.calibrated(2.0, {"b": 0.7}).facts)
    assert (again.temperature, again.thresholds) == (2.0, {"b": 0.7})


def test_a_threshold_lies_halfway_between_two_scores_so_that_rounding_moves_no_row():
    truth, scores = np.array([True, True, False, False]), np.array([0.9, 0.8, 0.3, 0.1])
    assert threshold(truth, scores, Goal(), "yes") == pytest.approx(0.55)
    assert threshold(np.array([True, True]), np.array([0.9, 0.8]), Goal(), "yes") == pytest.approx(0.4)
