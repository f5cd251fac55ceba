from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.preprocessing import MultiLabelBinarizer
from sklearn.utils.class_weight import compute_class_weight

from luthier.errors import DataError
from luthier.objectives.supervised import CrossEntropy, LabelCrossEntropy
from luthier.registry import Choice
from luthier.tasks import TASKS, Target
from luthier.tasks.classify import Classes, Classify

MANY = [["cheap", "noisy"], ["noisy"], [], ["clean", "cheap"], ["noisy"], ["clean"]]


@pytest.mark.parametrize(
    ("values", "labels", "kind"),
    [
        (["pos", "neg", "pos", "neg"], ("neg", "pos"), "binary"),
        ([1, 0, 1, 1], (0, 1), "binary"),
        (["b", "c", "a", "a", "b", "c"], ("a", "b", "c"), "multiclass"),
        ([10, 9, 2, 2, 9, 10], (2, 9, 10), "multiclass"),
        (MANY, ("cheap", "clean", "noisy"), "multilabel"),
    ],
)
def test_labels_are_learned_in_order(values: list[Any], labels: tuple[Any, ...], kind: str) -> None:
    target = Classify().learn(values)
    assert (target.labels, target.kind) == (labels, kind)


def test_encoding_classes_and_back() -> None:
    values = ["pos", "neg", "pos", "so so", "so so", "neg"]
    target = Classify().learn(values)
    encoded = target.encode(values)
    assert encoded.dtype == np.int64
    assert encoded.tolist() == np.unique(values, return_inverse=True)[1].tolist()
    assert target.decode(encoded) == values
    assert target.count(encoded) == {"neg": 2, "pos": 2, "so so": 2}


def test_encoding_labels_and_back() -> None:
    target = Classify().learn(MANY)
    encoded = target.encode(MANY)
    assert encoded.dtype == np.float32
    assert encoded.tolist() == MultiLabelBinarizer().fit_transform(MANY).tolist()
    assert [sorted(row) for row in MANY] == target.decode(encoded)
    assert target.count(encoded) == {"cheap": 2, "clean": 2, "noisy": 3}


def test_integers_stay_integers() -> None:
    target = Classify().learn([3, 7, 3, 7])
    assert target.decode(np.array([1, 0])) == [7, 3]
    assert target.model_config["id2label"] == {0: "3", 1: "7"}


def test_another_file_may_write_the_same_labels_otherwise() -> None:
    assert Classify().learn([0, 1, 0, 1]).encode(["1", "0"]).tolist() == [1, 0]
    assert Classify().learn(["0", "1", "n/a", "0", "1", "n/a"]).encode([1, 0]).tolist() == [1, 0]


@pytest.mark.parametrize("values", [["x", "y"] * 5, [0, 1, 2] * 3, MANY])
def test_facts_restore_the_target(values: list[Any]) -> None:
    target = Classify(weights="balanced").learn(values)
    again = Classify().restore(json.loads(json.dumps(target.facts)))
    assert again.facts == target.facts
    assert again.labels == target.labels
    assert again.model_config == target.model_config


def test_model_config() -> None:
    config = Classify().learn(["b", "a", "b", "a"]).model_config
    assert config == {
        "num_labels": 2,
        "id2label": {0: "a", 1: "b"},
        "label2id": {"a": 0, "b": 1},
        "problem_type": "single_label_classification",
    }
    assert Classify().learn(MANY).model_config["problem_type"] == "multi_label_classification"


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    values = ["a"] * 7 + ["b"] * 2 + ["c"] * 11
    weights = Classify(weights="balanced").learn(values).weights
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=values)
    assert weights == pytest.approx(expected)


def test_balanced_weights_of_labels_make_both_answers_weigh_the_same() -> None:
    target = Classify(weights="balanced").learn(MANY)
    encoded = target.encode(MANY)
    positive = (encoded * np.array(target.weights)).sum(axis=0)
    assert positive == pytest.approx((1 - encoded).sum(axis=0))


def test_a_label_that_every_row_has_still_counts() -> None:
    target = Classify(weights="balanced").learn([["a"], ["a", "b"], ["a"], ["a"]])
    assert target.weights == pytest.approx((1 / 4, 3))


def test_weights_by_label() -> None:
    target = Classify(weights={"b": 3.0}).learn(["b", "a", "b", "a"])
    assert target.weights == (1.0, 3.0)


def test_weights_of_numbers_as_yaml_reads_them() -> None:
    task: Any = Choice(TASKS).build({"name": "classify", "weights": {0: 1, 1: 5}})
    assert task.learn([0, 1, 0, 1]).weights == (1.0, 5.0)


@pytest.mark.parametrize("weight", [0, -1])
def test_weights_are_above_zero(weight: float) -> None:
    with pytest.raises(ValidationError, match="greater than 0"):
        Classify(weights={"a": weight})


@pytest.mark.parametrize(
    ("values", "kind", "weights"), [(["x", "y"], CrossEntropy, [0.5, 2.0]), (MANY, LabelCrossEntropy, [1.0, 2.0, 3.0])]
)
def test_the_objective_fits_the_kind(values: list[Any], kind: type, weights: list[float]) -> None:
    learned = Classify().learn(values * 2)
    target = Classes(learned.labels, learned.multilabel, tuple(weights))
    objective: Any = target.objective(0.1)
    assert type(objective) is kind
    assert objective.label_smoothing == 0.1
    assert objective.weights.tolist() == weights
    assert Classes(learned.labels, learned.multilabel).objective().weights is None  # type: ignore[attr-defined]


def test_scores() -> None:
    logits = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0]])
    single, several = Classify().learn(["a", "b", "c"] * 2), Classify().learn(MANY)
    assert torch.allclose(single.scores(logits), logits.exp() / logits.exp().sum(dim=1, keepdim=True))
    assert torch.allclose(several.scores(logits), 1 / (1 + (-logits).exp()))


def test_predictions_of_classes() -> None:
    target = Classify().learn([4, 5, 6] * 2)
    first, second = target.predictions(np.array([[0.2, 0.7, 0.1], [0.5, 0.25, 0.25]]))
    assert (first.label, first.confidence) == (5, 0.7)
    assert first.probabilities == {"4": 0.2, "5": 0.7, "6": 0.1}
    assert (second.label, second.confidence) == (4, 0.5)


def test_predictions_of_labels() -> None:
    target = Classify().learn(MANY)
    some, none = target.predictions(np.array([[0.9, 0.2, 0.5], [0.1, 0.3, 0.4]]))
    assert some.label == ["cheap", "noisy"]
    assert some.confidence == pytest.approx(0.5)  # of the least sure decision
    assert some.probabilities == {"cheap": 0.9, "clean": 0.2, "noisy": 0.5}
    assert none.label == []
    assert none.confidence == pytest.approx(0.6)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "one class": (
        ["spam"] * 6,
        "Classification needs at least two classes, and the training rows have only 'spam'. Is this the right label column?",
    ),
    "nothing": (
        [],
        "Classification needs at least two classes, and the training rows have no label. Is this the right label column?",
    ),
    "no label in any row": ([[], []], "None of the training rows has a label. Is this the right label column?"),
    "more classes than rows can teach": (
        ["a", "b", "c", "d"],
        "The label column has 4 different values in 4 training rows, so this is no classification: is it the right column? "
        "`data.columns.label` names another.",
    ),
}


@pytest.mark.parametrize(("values", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learned(values: list[Any], text: str) -> None:
    with pytest.raises(DataError) as refused:
        Classify().learn(values)
    assert str(refused.value) == text


def test_a_label_that_training_lacks() -> None:
    target = Classify().learn(["good", "bad", "good", "bad"])
    with pytest.raises(DataError) as refused:
        target.encode(["good", "goood"])
    assert str(refused.value) == (
        "Row 2 has the label 'goood', which the training rows do not have (known: bad, good). Correct it, or add training rows "
        "with this label."
    )
    with pytest.raises(DataError, match=r"^Row 1 has the label 'loud', which the training rows do not have"):
        Classify().learn(MANY).encode([["noisy", "loud"]])


def test_a_weight_for_a_label_that_training_lacks() -> None:
    with pytest.raises(DataError) as refused:
        Classify(weights={"goood": 2.0}).learn(["good", "bad", "good", "bad"])
    assert str(refused.value) == (
        "task.weights names the label 'goood', which the training rows do not have; did you mean 'good'?"
    )


@pytest.mark.parametrize(
    ("values", "kind", "answer"),
    [
        (["b", "a", "b", "a"], "two classes", "one of 2 labels: a, b"),
        ([1, 2, 3] * 3, "3 classes", "one of 3 labels: 1, 2, 3"),
        (MANY, "3 labels, any number a row", "any number of 3 labels: cheap, clean, noisy"),
    ],
)
def test_people_are_told_what_it_answers(values: list[Any], kind: str, answer: str) -> None:
    about = Classify().learn(values).about
    assert (about.kind, about.answer) == (kind, answer)


def test_of_many_labels_the_first_are_told() -> None:
    about = Classify().learn([f"c{place:02}" for place in range(40)] * 3).about
    assert about.answer.startswith("one of 40 labels: c00, c01")
    assert about.answer.endswith("c29, … (all in `config.json`)")


@pytest.mark.parametrize("values", [["a", "b", "a"], MANY])
def test_scores_are_stored_and_come_back(values: list[Any]) -> None:
    target = Classify().learn(values)
    scores = np.random.default_rng(0).random((7, len(target.labels))).astype(np.float32)
    np.testing.assert_array_equal(target.restored(target.stored(scores)), scores)


def test_scores_of_any_size_are_stored_and_come_back() -> None:
    target = Classify().learn(["a", "b", "a"])
    ragged = [np.random.default_rng(size).random((size, 2)).astype(np.float32) for size in (1, 3, 2)]
    again = Target.restored(target, Target.stored(target, ragged))
    for one, other in zip(again, ragged, strict=True):
        np.testing.assert_array_equal(one, other)
