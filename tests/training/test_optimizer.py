"""Decay groups and schedules against torch's and transformers'."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from luthier.errors import RecipeError
from luthier.recipe.schema import Train
from luthier.training.optimizer import adamw, schedule


def test_the_same_weights_decay_as_with_trainer(tmp_path: Any) -> None:
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    model = BertForSequenceClassification(config)
    trainer = Trainer(model, TrainingArguments(str(tmp_path), weight_decay=0.1, report_to=[], use_cpu=True))
    theirs = set(trainer.get_decay_parameter_names(model))
    optimizer = adamw(model, dict.fromkeys(dict(model.named_parameters()), 1e-3), 0.1)
    decay = {id(one): group["weight_decay"] for group in optimizer.param_groups for one in group["params"]}
    assert {name for name, one in model.named_parameters() if decay[id(one)] == 0.1} == theirs
    assert set(decay.values()) == {0.0, 0.1}


def test_frozen_weights_stay_out_and_rates_make_groups() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    rates = {name: 1e-2 if name.startswith("1") else 1e-3 for name, _ in model.named_parameters()}
    groups = adamw(model, rates, 0.0).param_groups
    assert [(group["peak"], len(group["params"])) for group in groups] == [(1e-2, 2), (1e-3, 2)]


def test_nothing_to_train_is_an_error() -> None:
    model = nn.Linear(2, 2).requires_grad_(False)
    with pytest.raises(
        RecipeError, match="Nothing is trainable: the method switches no weight on and the model has no head"
    ):
        adamw(model, {}, 0.0)


@pytest.mark.parametrize(
    ("name", "theirs"), [("linear", get_linear_schedule_with_warmup), ("cosine", get_cosine_schedule_with_warmup)]
)
@pytest.mark.parametrize("warmup", [0, 7, 0.1])
def test_schedules_after_warm_up_are_those_of_transformers(name: str, theirs: Any, warmup: float) -> None:
    steps, warming = 40, {0: 0, 7: 7, 0.1: 4}[warmup]
    ours = schedule(Train(schedule=name, warmup=warmup), steps)
    reference = theirs(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0), warming, steps)
    expected = [reference.lr_lambdas[0](step) for step in range(steps)]
    assert [ours.factor(step) for step in range(warming, steps)] == pytest.approx(expected[warming:])
    rising = [ours.factor(step) for step in range(warming)]
    assert rising == pytest.approx([(step + 1) / (warming + 1) for step in range(warming)])


def test_constant_stays_at_the_peak() -> None:
    assert [schedule(Train(schedule="constant", warmup=2), 6).factor(step) for step in range(6)] == pytest.approx(
        [1 / 3, 2 / 3, 1, 1, 1, 1]
    )


@pytest.mark.parametrize("seed", range(5))
def test_plateau_is_that_of_torch(seed: int) -> None:
    draw = random.Random(seed)
    values = [draw.choice([0.5, 0.6, 0.7, 0.8]) + index * 0.01 for index in range(30)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = ReduceLROnPlateau(
        optimizer, mode="max", factor=0.1, patience=1, threshold=0, threshold_mode="abs", eps=0
    )
    ours, best = schedule(Train(schedule="plateau", warmup=0), 30), float("-inf")
    for value in values:
        reference.step(value)
        ours.observe(worse=value <= best)
        best = max(best, value)
        assert ours.factor(0) == pytest.approx(optimizer.param_groups[0]["lr"])


def test_plateau_goes_on_from_its_state() -> None:
    first, second = (schedule(Train(schedule="plateau", warmup=0), 30) for _ in range(2))
    for worse in (True, True, True):
        first.observe(worse=worse)
    second.load(first.state())
    first.observe(worse=True)
    second.observe(worse=True)
    assert first.state() == second.state()
    assert first.factor(0) == pytest.approx(0.01)
