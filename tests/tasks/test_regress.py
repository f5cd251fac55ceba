"""Numbers as targets: what is learned, the round trip, units, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from luthier.errors import DataError, RecipeError
from luthier.registry import Choice
from luthier.tasks import TASKS
from luthier.tasks.regress import Numbers, Regress

VALUES = [3.1, -0.25, 7.5, 0.1, 12.0, 4.4, 4.4, 1000.5]
SEVERAL = [{"valence": value, "arousal": value**2 - 3} for value in VALUES[:7]]


def test_the_spread_of_the_training_rows_is_learned() -> None:
    (output,) = Regress().learn(VALUES).outputs
    assert (output.mean, output.deviation) == pytest.approx((np.mean(VALUES), np.std(VALUES)))
    assert output.median == np.median(VALUES)
    assert output.name == "value"


@pytest.mark.parametrize("values", [VALUES, SEVERAL], ids=["one", "several"])
def test_labels_come_back_as_they_were_written(values: list[Any]) -> None:
    target = Regress().learn(values)
    encoded = target.encode(values)
    assert encoded.shape == (len(values), 1 if values is VALUES else 2)
    assert target.decode(encoded) == values


@pytest.mark.parametrize("values", [VALUES, SEVERAL], ids=["one", "several"])
def test_a_target_is_restored_from_json(values: list[Any]) -> None:
    task = Choice(TASKS).build({"name": "regress", "loss": "huber"})
    assert isinstance(task, Regress)
    target = task.learn(values)
    again = task.restore(json.loads(json.dumps(target.facts)))
    assert isinstance(again, Numbers)
    assert (again.outputs, again.loss) == (target.outputs, "huber")


def test_several_numbers_are_named_by_their_columns() -> None:
    config = Regress().learn(SEVERAL).model_config
    assert config == {
        "num_labels": 2,
        "id2label": {0: "valence", 1: "arousal"},
        "label2id": {"valence": 0, "arousal": 1},
        "problem_type": "regression",
    }


def test_scores_are_in_the_units_of_the_labels() -> None:
    target = Regress().learn(SEVERAL)
    table = target.encode(SEVERAL)
    standard = torch.tensor((table - table.mean(axis=0)) / table.std(axis=0))
    np.testing.assert_allclose(target.scores(standard), table, rtol=1e-5)
    assert target.scores(standard.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("loss", "reference"),
    [("mse", torch.nn.MSELoss()), ("mae", torch.nn.L1Loss()), ("huber", torch.nn.HuberLoss())],
)
def test_the_loss_is_that_of_standardised_labels(loss: Any, reference: Any) -> None:
    target = Regress(loss=loss).learn(SEVERAL)
    table = torch.from_numpy(target.encode(SEVERAL))
    logits = torch.randn(len(SEVERAL), 2, generator=torch.Generator().manual_seed(0))
    total, count = target.objective()(Answering(logits), {"target": table})
    standard = ((table - table.mean(dim=0)) / table.std(dim=0, correction=0)).float()
    torch.testing.assert_close(total / count, reference(logits, standard))


class Answering(torch.nn.Module):
    """Answers with what it was given."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = logits

    def forward(self) -> Any:
        return self


def test_predictions_have_no_confidence_and_no_digits_that_mean_nothing() -> None:
    target = Regress().learn(VALUES)
    (first, second) = target.predictions(np.array([[0.1], [7.25]], dtype=np.float32))
    assert (first.label, first.confidence, first.probabilities) == (0.1, None, {})
    assert second.label == 7.25
    (row,) = Regress().learn(SEVERAL).predictions(np.array([[0.1, -2.5]], dtype=np.float32))
    assert row.label == {"valence": 0.1, "arousal": -2.5}


@pytest.mark.parametrize("values", [VALUES, SEVERAL], ids=["one", "several"])
def test_scores_are_restored_from_the_answers(values: list[Any]) -> None:
    target = Regress().learn(values)
    scores = np.random.default_rng(0).normal(size=(9, len(target.outputs))).astype(np.float32)
    columns = target.stored(scores) | {"predicted": [one.label for one in target.predictions(scores)]}
    np.testing.assert_array_equal(target.restored(columns), scores)


def test_rows_are_counted_in_ranges_of_the_training_rows() -> None:
    values = np.arange(100.0)
    target = Regress().learn(values.tolist())
    counts = target.count(target.encode(values.tolist()))
    assert counts == {"below 19.8": 20, "19.8 to 39.6": 20, "39.6 to 59.4": 20, "59.4 to 79.2": 20, "79.2 and more": 20}
    assert sum(target.count(target.encode([-5.0, 200.0])).values()) == 2


def test_ranges_of_ratings_are_never_empty() -> None:
    target = Regress().learn([1.0] * 70 + [5.0] * 30)
    assert target.count(target.encode([1.0] * 70 + [5.0] * 30)) == {"below 5": 70, "5 and more": 30}
    mostly_nothing = [0.0] * 95 + [9.0] * 5
    assert Regress().learn(mostly_nothing).count(np.zeros((3, 1))) == {"all": 3}


def test_what_has_no_spread_cannot_be_learned() -> None:
    with pytest.raises(DataError) as refused:
        Regress().learn([3.0, 3.0, 3.0])
    assert str(refused.value) == (
        "Regression needs numbers that differ, and the training rows have only 3. Is this the right label column?"
    )
    with pytest.raises(DataError, match=r"the training rows have only 0\.1\. Is this"):
        Regress().learn([0.1] * 100)  # whose deviation is computed as 2.8e-17
    with pytest.raises(DataError, match=r"the training rows have none\. Is this"):
        Regress().learn([])
    with pytest.raises(DataError, match=r"have only 2 in column 'b'\. Is this"):
        Regress().learn([{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 2.0}])


def test_label_smoothing_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        Regress().learn(VALUES).objective(0.1)
    assert str(refused.value) == (
        "train.label_smoothing is 0.1: it spreads a row's label over all classes, and task regress has none. Leave it out; "
        "task.loss=huber is what makes wild labels count less."
    )
