"""Scoring against the slow obvious way."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from luthier.data.batches import EncodedFeed
from luthier.data.encode import Rows
from luthier.evaluate import predict
from luthier.evaluate.predict import Scorer
from luthier.tasks import NO_BATCH
from luthier.tasks.classify import Classes
from small_jobs import job_of, recipe_for


@pytest.fixture(scope="module")
def made(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory, write_reviews: Any) -> Any:
    place = tmp_path_factory.mktemp("predict")
    recipe = recipe_for(
        tiny_bert,
        write_reviews(place),
        place / "run",
        task={"name": "classify", "weights": {"negative": 0.5, "positive": 2.0}},
    )
    return job_of(recipe)


@pytest.fixture
def scorer(made: Any) -> Scorer:
    job, ready = made
    return Scorer(job.model, ready.data.target, job.accelerator)


def test_scores_are_those_of_the_model_row_by_row(made: Any, scorer: Scorer) -> None:
    job, ready = made
    tokenizer = AutoTokenizer.from_pretrained(ready.base.location)
    texts = ready.data.tables["train"].rows[ready.data.found.text][:]
    job.model.eval()
    with torch.no_grad():
        logits = torch.cat(
            [job.model(**tokenizer(text, truncation=True, return_tensors="pt")).logits for text in texts]
        )
    job.model.train()
    loss = torch.nn.CrossEntropyLoss(torch.tensor([0.5, 2.0]))(logits, torch.from_numpy(job.feed.targets))
    scores = scorer(job.feed)
    np.testing.assert_allclose(scores.per_row, logits.softmax(-1), atol=1e-6)
    assert scores.loss == pytest.approx(loss.item(), abs=1e-6)
    assert scores.per_row.dtype == np.float32


def shuffled(feed: EncodedFeed, order: np.ndarray) -> EncodedFeed:
    rows = feed.rows
    parts = (rows.lengths, rows.full_lengths, rows.numbers, rows.targets)
    return EncodedFeed(Rows(rows.table.select(order), *(part[order] for part in parts)), feed.modality)


def test_the_order_of_rows_changes_nothing(made: Any, scorer: Scorer) -> None:
    job, ready = made
    order = np.random.default_rng(0).permutation(len(job.feed))
    rows, other = scorer(job.feed), scorer(shuffled(job.feed, order))
    np.testing.assert_allclose(other.per_row, rows.per_row[order], atol=1e-6)
    assert other.loss == pytest.approx(rows.loss, abs=1e-6)
    figures = ready.data.target.judge.metrics(job.feed.targets, rows.per_row)
    assert ready.data.target.judge.metrics(job.feed.targets[order], other.per_row) == pytest.approx(figures, abs=1e-6)


def test_training_mode_and_random_numbers_stay_as_they_were(made: Any, scorer: Scorer) -> None:
    job, _ = made
    job.model.train()
    job.model.bert.embeddings.eval()
    modes = {name: part.training for name, part in job.model.named_modules()}
    torch.manual_seed(3)
    before = torch.get_rng_state()
    scorer(job.feed)
    assert torch.equal(torch.get_rng_state(), before)
    assert {name: part.training for name, part in job.model.named_modules()} == modes
    assert all(one.grad is None for one in job.model.parameters())
    job.model.train()


def test_an_error_puts_the_mode_back(made: Any, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(EncodedFeed, "batch", fail)
    made[0].model.train()
    with pytest.raises(ValueError, match="no"):
        scorer(made[0].feed)
    assert made[0].model.training


def test_logits_leave_the_device_batch_by_batch(made: Any, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = made
    monkeypatch.setattr(predict, "TOKENS_PER_CALL", 64)
    given: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def before(*_: Any) -> None:
        alive.append(sum(one() is not None for one in given))

    def after(module: Any, inputs: Any, outputs: Any) -> None:
        given.append(weakref.ref(outputs.logits))

    handles = [job.model.register_forward_pre_hook(before), job.model.register_forward_hook(after)]
    calls: list[int] = []
    scorer(job.feed, calls.append)
    for handle in handles:
        handle.remove()
    assert len(alive) == len(calls) > 5
    assert sum(calls) == len(job.feed)
    assert max(alive) == 0


def test_a_group_that_does_not_fit_is_scored_in_halves(
    made: Any, scorer: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, _ = made
    expected = scorer(job.feed)
    real, sizes = EncodedFeed.batch, []

    def small(self: EncodedFeed, indices: np.ndarray, device: torch.device) -> Any:
        if len(indices) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 GiB")
        sizes.append(len(indices))
        return real(self, indices, device)

    monkeypatch.setattr(EncodedFeed, "batch", small)
    scores = scorer(job.feed)
    assert sum(sizes) == len(job.feed)
    np.testing.assert_allclose(scores.per_row, expected.per_row, atol=1e-6)
    assert scores.loss == pytest.approx(expected.loss, abs=1e-6)


class Listed(Classes):
    """Classes whose scores come as a list, as those of tasks with rows of different sizes do."""

    def scores(self, logits: torch.Tensor, batch: Mapping[str, torch.Tensor] = NO_BATCH) -> Any:
        assert {"input_ids", "attention_mask", "target"} <= set(batch)
        return list(super().scores(logits))


def test_scores_of_any_size_stand_in_the_order_of_the_rows(made: Any, scorer: Scorer) -> None:
    job, ready = made
    target = ready.data.target
    found = Scorer(job.model, Listed(target.labels, target.multilabel, target.weights), job.accelerator)(job.feed)
    assert isinstance(found.per_row, list)
    np.testing.assert_allclose(np.stack(found.per_row), scorer(job.feed).per_row, atol=1e-6)
