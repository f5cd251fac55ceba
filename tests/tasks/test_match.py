"""What is learned of scores, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from luthier.errors import DataError, RecipeError
from luthier.tasks import TASKS
from luthier.tasks.match import Crossed, Match, Searched, Twinned

KINDS = {"cross": Crossed, "twin": Twinned}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("values", [[0.0, 1.0, 1.0, 0.0], [1.0, 2.5, 5.0]])
def test_what_is_learned_can_be_made_again(kind: Any, values: list[float]) -> None:
    target = Match(kind=kind).learn(values)
    assert isinstance(target, KINDS[kind])
    assert target.binary == (len(values) == 4)
    again = Match().restore(target.facts)
    assert type(again) is type(target)
    assert again.facts == target.facts
    assert again.model_config == target.model_config
    assert target.decode(target.encode(values)) == values


def test_a_cross_encoder_scores_in_the_unit_of_the_labels() -> None:
    scored = Match().learn([1.0, 3.0])
    assert scored.scores(torch.tensor([[-1.0], [0.0], [2.0]])).tolist() == [[1.0], [2.0], [4.0]]
    together = Match().learn([0.0, 1.0])
    assert together.scores(torch.tensor([[0.0]])).tolist() == [[0.5]]


def test_a_twin_scores_by_cosines() -> None:
    vectors = torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 3.0], [1.0, 1.0], [-1.0, -1.0]])
    together = Match(kind="twin").learn([0.0, 1.0])
    assert together.scores(vectors)[:, 0].tolist() == pytest.approx([1, 0, -1])
    scored = Match(kind="twin").learn([1.0, 2.0, 5.0])
    assert scored.scores(vectors)[:, 0].tolist() == pytest.approx([5, 1, -3])


def test_rows_are_counted() -> None:
    target = Match().learn([0.0, 1.0, 1.0])
    assert target.count(np.array([[0.0], [1.0], [1.0]])) == {"0": 1, "1": 2}
    assert sum(Match().learn([1.0, 2.5, 5.0, 3.0]).count(np.array([[1.0], [4.0]])).values()) == 2


def test_predictions_are_numbers_without_confidence() -> None:
    (one,) = Match().learn([0.0, 1.0]).predictions(np.array([[0.25]], dtype=np.float32))
    assert (one.label, one.confidence) == (0.25, None)


def test_other_scores_than_yes_and_no_are_refused() -> None:
    with pytest.raises(DataError) as refused:
        Match().learn([0.0, 1.0]).encode([1.0, 0.5])
    assert str(refused.value) == (
        "Row 2 has the score 0.5, and the training rows say only 0 or 1. Correct it, or add training rows with other scores."
    )


def test_one_score_a_row() -> None:
    with pytest.raises(DataError) as refused:
        Match().learn([{"a": 1.0, "b": 2.0}, {"a": 2.0, "b": 1.0}])
    assert str(refused.value) == "Task match predicts one number a row; data.columns.label names several columns."
    with pytest.raises(DataError, match="Regression needs numbers that differ"):
        Match().learn([2.0, 2.0])


def test_labels_are_not_smoothed() -> None:
    with pytest.raises(RecipeError) as refused:
        Match().learn([0.0, 1.0]).objective(0.1)
    assert str(refused.value) == (
        "train.label_smoothing is 0.1: it spreads a row's label over all classes, and task match has none. Leave it out."
    )


def test_it_is_for_pairs() -> None:
    TASKS["match"]().refuse("pair")
    TASKS["classify"]().refuse("text")
    with pytest.raises(DataError, match="Task match compares two texts, and these rows are image"):
        TASKS["match"]().refuse("image")


def test_pairs_that_all_belong_together_are_searched_for() -> None:
    target = Match(kind="twin").learn([1.0, 1.0, 1.0])
    assert isinstance(target, Searched)
    assert Match().restore(target.facts).facts == target.facts
    vectors = target.scores(torch.tensor([[1.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])).numpy()
    assert vectors.shape == (2, 2, 2)
    assert [one.label for one in target.predictions(vectors)] == pytest.approx([1, 0])
    assert np.array_equal(target.restored(target.stored(vectors)), vectors)
    assert target.count(target.encode([1, 1])) == {"0": 0, "1": 2}
    with pytest.raises(DataError) as refused:
        target.encode([1, 0])
    assert str(refused.value) == (
        "Row 2 has the label 0, and all training pairs have 1: what is measured then is how well the second text of each pair is found. "
        "Leave such rows out, or give training some too."
    )


def test_a_cross_encoder_needs_pairs_that_do_not_belong_together() -> None:
    with pytest.raises(DataError) as refused:
        Match().learn([1.0, 1.0])
    assert str(refused.value) == (
        "All training pairs have the label 1, and a cross-encoder learns from pairs that do not belong together too. Add some "
        "with the label 0, or write task: {name: match, kind: twin}, which takes the texts of other rows for them."
    )
