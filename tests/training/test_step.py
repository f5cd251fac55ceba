"""One step of ours against plain transformers, torch and padded batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from luthier.training.job import Callback, Job, State, Step
from luthier.training.loop import fit
from luthier.training.step import micro_batches
from small_jobs import job_of, recipe_for, weights_of, without_dropout

STEPS = 9
"""Of an epoch of 96 training rows and one more, so that a small last batch is among them."""


class Recorder(Callback):
    """Keeps every step."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def after_step(self, job: Job, state: State, step: Step) -> None:
        self.steps.append(step)


def run(job: Job) -> list[Step]:
    recorder = Recorder()
    fit(job, State(max_tokens=job.settings.max_tokens), [recorder])
    return recorder.steps


def plain_run(
    job: Job, ready: Any, start: dict[str, torch.Tensor], make_schedule: Any
) -> tuple[list[float], list[float], Any]:
    """The same rows in the same order by an ordinary loop: padded batches, torch's losses, AdamW and transformers' schedule."""
    tokenizer = AutoTokenizer.from_pretrained(ready.base.location)
    target = ready.data.target
    model = AutoModelForSequenceClassification.from_pretrained(
        ready.base.location, **target.model_config, dtype=torch.float32
    )
    model.load_state_dict(start)
    model.train()
    decayed = [one for name, one in model.named_parameters() if not name.endswith("bias") and "LayerNorm" not in name]
    plain = [one for name, one in model.named_parameters() if name.endswith("bias") or "LayerNorm" in name]
    settings = job.settings
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=settings.lr,
    )
    schedule = make_schedule(optimizer, job.steps(State()))
    texts = ready.data.tables["train"].rows[ready.data.found.text][:]
    losses, norms = [], []
    for step in range(job.steps(State())):
        rows = job.batches.at(step)
        batch = tokenizer(
            [texts[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=ready.modality.limit,
            return_tensors="pt",
        )
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        loss = plain_loss(logits, torch.from_numpy(job.feed.targets[rows]), target, settings.label_smoothing)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip or float("inf"))))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, norms, model


def plain_loss(logits: torch.Tensor, targets: torch.Tensor, target: Any, smoothing: float) -> torch.Tensor:
    weights = torch.tensor(target.weights) if target.weights else None
    if target.multilabel:
        smooth = targets * (1 - smoothing) + 0.5 * smoothing
        return torch.nn.BCEWithLogitsLoss(pos_weight=weights)(logits, smooth)
    return torch.nn.CrossEntropyLoss(weight=weights, label_smoothing=smoothing)(logits, targets)


def linear(optimizer: Any, steps: int) -> Any:
    return get_linear_schedule_with_warmup(optimizer, 0, steps)


def cosine(optimizer: Any, steps: int) -> Any:
    return get_cosine_schedule_with_warmup(optimizer, 0, steps)


@pytest.fixture
def multilabel_rows(tmp_path: Path, sentences: Any) -> Path:
    """Rows with none, one or two of the labels `short` and `good`."""
    file = tmp_path / "marked.csv"
    lines = []
    for text, label in sentences(120, 3):
        marks = ["good"] * (label == "positive") + ["short"] * (len(text.split()) < 5)
        lines.append(f"{text},{'|'.join(marks) or 'none'}")
    file.write_text("\n".join(["review,marks", *lines]) + "\n", encoding="utf-8")
    return file


CASES = {
    "plain": ({}, {}, linear),
    "micro-batches of at most 64 tokens": ({"max_tokens": 64}, {}, linear),
    "accumulation 4 x 8": ({"batch_size": 8, "accumulation": 4}, {}, linear),
    "cosine, no clipping": ({"schedule": "cosine", "clip": None}, {}, cosine),
    "class weights": (
        {"max_tokens": 96},
        {"task": {"name": "classify", "weights": {"negative": 0.3, "positive": 2.0}}},
        linear,
    ),
    "smoothing": ({"label_smoothing": 0.2}, {}, linear),
    "weights and smoothing": (
        {"label_smoothing": 0.2, "max_tokens": 96},
        {"task": {"name": "classify", "weights": {"negative": 0.3, "positive": 2.0}}},
        linear,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_steps_equal_those_of_padded_batches(name: str, still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    train, keys, schedule = CASES[name]
    settings = {"batch_size": 32, "warmup": 0, **train}
    compare(recipe_for(still_bert, reviews, tmp_path / "run", settings, **keys), schedule)


def test_multi_label_steps_equal_those_of_padded_batches(
    still_bert: Path, multilabel_rows: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(
        still_bert,
        multilabel_rows,
        tmp_path / "run",
        {"batch_size": 32, "warmup": 0, "label_smoothing": 0.1},
        task={"name": "classify", "weights": "balanced"},
    )
    recipe["data"]["columns"] = {"text": "review", "label": "marks", "separator": "|"}
    compare(recipe, linear)


def compare(recipe: dict[str, Any], schedule: Any) -> None:
    job, ready = job_of(recipe)
    start = weights_of(ready.model)
    steps = run(job)
    losses, norms, model = plain_run(job, ready, start, schedule)
    assert len(steps) == job.steps(State()) == STEPS
    assert any(
        len(micro_batches(job, job.batches.at(step), job.settings.max_tokens)) > 1 for step in range(job.steps(State()))
    )
    np.testing.assert_allclose([step.loss for step in steps], losses, atol=2e-6)
    np.testing.assert_allclose([step.norm for step in steps], norms, rtol=1e-4)
    ours = weights_of(ready.model)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(ours[key], value, atol=2e-5, rtol=1e-4)


def test_gradient_checkpointing_gives_the_same_run(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    stored, _ = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run"))
    recomputed, _ = job_of(recipe_for(tiny_bert, reviews, tmp_path / "run", {"gradient_checkpointing": True}))
    assert recomputed.model.is_activation_checkpointing
    assert [step.loss for step in run(stored)] == pytest.approx([step.loss for step in run(recomputed)], abs=1e-6)


def test_bf16_runs_near_fp32_and_keeps_the_weights_in_fp32(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    exact, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run"))
    expected = [step.loss for step in run(exact)]
    rounded, ready = job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"precision": "bf16"}))
    losses = [step.loss for step in run(rounded)]
    assert losses == pytest.approx(expected, abs=0.02)
    assert losses != expected
    assert {one.dtype for one in ready.model.parameters()} == {torch.float32}


def test_clipping_limits_the_gradient_that_reaches_the_optimiser(
    still_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"clip": 0.01}))
    seen: list[float] = []

    def look(*_: Any) -> None:
        seen.append(float(torch.nn.utils.get_total_norm([one.grad for one in job.work.parameters])))

    job.work.optimizer.optimizer.register_step_pre_hook(look)
    steps = run(job)
    assert min(step.norm for step in steps) > 0.01
    assert seen == pytest.approx([0.01] * len(seen), rel=1e-3)


def test_padding_is_counted(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"max_tokens": 48}))
    for number, step in enumerate(run(job)):
        rows = job.batches.at(number)
        pieces = micro_batches(job, rows, 48)
        assert step.tokens == job.feed.lengths[rows].sum()
        assert step.padded == sum(len(piece) * job.feed.lengths[piece].max() for piece in pieces)
        assert sorted(np.concatenate(pieces)) == sorted(rows)


def test_real_reviews_give_the_loss_of_the_padded_batch(assets: Path, tmp_path: Path) -> None:
    model = without_dropout(assets / "models" / "multilingual-e5-small-zhen", tmp_path / "model")
    settings = {"epochs": 1, "batch_size": 16, "lr": 5e-5, "schedule": "linear", "warmup": 0}
    recipe = recipe_for(model, assets / "data" / "hotel_reviews_zh.csv", tmp_path / "run", settings)
    recipe["data"] |= {"rows": 24, "max_length": 256}
    job, ready = job_of(recipe)
    lengths = ready.data.rows["train"].lengths[job.batches.at(0)]
    assert len(micro_batches(job, job.batches.at(0), None)) > 3, f"lengths {lengths} are not cut"
    start = weights_of(job.model)
    steps = run(job)
    losses, norms, _ = plain_run(
        job, ready, start, lambda optimizer, steps: get_linear_schedule_with_warmup(optimizer, 0, steps)
    )
    assert [step.loss for step in steps] == pytest.approx(losses, abs=1e-4)
    assert [step.norm for step in steps] == pytest.approx(norms, rel=1e-3)
