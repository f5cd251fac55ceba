"""Task align by itself; runs of it are in tests/test_captioned_run.py."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from luthier.errors import DataError, ModelError, RecipeError
from luthier.models.aligned import answer_vectors
from luthier.tasks.align import Align, Alignments


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(DataError, match=r"Task align reads an image and its text, and these rows are text."):
        Align().refuse("text")
    with pytest.raises(DataError, match=r"tells each row's text from those of others, and there is 1 row."):
        Align().learn([1.0])
    with pytest.raises(RecipeError, match=r"train.label_smoothing is 0.1: .* task align has none. Leave it out."):
        Alignments().objective(0.1)
    with pytest.raises(
        ModelError, match="A Linear cannot be used here: expected a network with the parameter logit_scale"
    ):
        answer_vectors(torch.nn.Linear(1, 1))


def test_scores_are_vectors_of_both() -> None:
    logits = torch.arange(12.0).reshape(6, 2)
    scores = Alignments().scores(logits, {"pixel_values": torch.zeros(3, 1)})
    assert torch.equal(scores[:, 0], logits[:3])
    assert torch.equal(scores[:, 1], logits[3:])
    several = Alignments().scores(
        logits, {"pixel_values": torch.zeros(2, 1), "target_rows": torch.tensor([0, 1, 1, 1])}
    )
    assert [len(one) for one in several] == [2, 4]
    assert torch.equal(several[1], torch.stack([logits[1], logits[3], logits[4], logits[5]]))


def test_stored_vectors_make_the_scores_again() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
    columns = Alignments().stored(scores)
    assert np.array_equal(Alignments().restored(columns), scores)
    assert [one.label for one in Alignments().predictions(scores)] == pytest.approx(
        [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for a, b in scores]
    )


def test_facts_make_the_target_again() -> None:
    target = Align().restore(Align().learn([1.0, 1.0]).facts)
    assert target.decode(target.encode([1.0, 1.0])) == [1.0, 1.0]
    assert target.count(target.encode([1.0])) == {}
