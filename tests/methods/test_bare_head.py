"""A weight of the head that is in no module: it begins, trains, and is saved as the rest of the head is."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForAudioClassification

import luthier
import perceiving
import tiny_models
from luthier import increment
from luthier.methods import Context
from luthier.models.names import plain
from luthier.models.open import Base, open_model
from luthier.models.quiet import quiet
from luthier.recipe.schema import Recipe
from luthier.training.optimizer import adamw
from luthier.training.stages import Applied, apply_methods
from small_jobs import recipe_for

SUM = "layer_weights"
CONFIG = {"num_labels": 2, "id2label": {0: "low", 1: "high"}, "label2id": {"low": 0, "high": 1}}
CONTEXT = Context(labels=("low", "high"), head="audio")
METHODS: list[Any] = ["head", "full", {"name": "adapter", "reduction": 4}, {"name": "lora", "rank": 2}]
NAMES = ["head", "full", "adapter", "lora"]


def summing(family: str, folder: Path) -> Path:
    """A base without a head, whose head is to weigh what its layers give; transformers cannot where LayerDrop leaves one out."""
    config = tiny_models.HEARING[family]()
    config.update({"use_weighted_layer_sum": True, "max_source_positions": 1500, "layerdrop": 0.0})
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    perceiving.PROCESSORS[family]().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def wav2vec2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return summing("wav2vec2", tmp_path_factory.mktemp("summing") / "wav2vec2")


def applied(folder: Path, method: Any, **train: Any) -> Applied:
    torch.manual_seed(0)
    opened = open_model(Base("base", str(folder)), CONFIG, None, "audio")
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": method, "train": train})
    return apply_methods(opened.model, opened.new, recipe, CONTEXT)


def sum_of(model: nn.Module) -> Tensor:
    (one,) = [one for name, one in model.named_parameters() if plain(name) == SUM]
    return one


def logits_of(model: nn.Module) -> Tensor:
    sounds = torch.randn(2, 400, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model.eval()(input_values=sounds).logits


@dataclass
class Tuned:
    """A network after some steps."""

    applied: Applied
    folder: Path
    logits: Tensor

    def save(self, how: str, folder: Path) -> None:
        base = Base("base", str(self.folder))
        model = copy.deepcopy(self.applied.model)
        increment.save(model, self.applied.inserted, self.applied.trained, how, base, folder)


@pytest.fixture(scope="module", params=METHODS, ids=NAMES)
def tuned(request: pytest.FixtureRequest, wav2vec2: Path) -> Tuned:
    found = applied(wav2vec2, request.param)
    optimizer = adamw(found.model, found.stages[0].rates, weight_decay=0.01)
    sounds = torch.randn(4, 400, generator=torch.Generator().manual_seed(2))
    found.model.train()
    for _ in range(3):
        logits = found.model(input_values=sounds).logits
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1, 0])).backward()
        optimizer.step()
        optimizer.zero_grad()
    return Tuned(found, wav2vec2, logits_of(found.model))


def test_it_trains_with_every_method_from_where_its_class_begins(tuned: Tuned) -> None:
    assert sum_of(tuned.applied.model).requires_grad
    assert not torch.equal(sum_of(tuned.applied.model), torch.full((3,), 1 / 3))
    assert torch.allclose(sum_of(tuned.applied.model), torch.full((3,), 1 / 3), atol=0.05)


def test_an_increment_holds_it(tuned: Tuned, tmp_path: Path) -> None:
    tuned.save(increment.INCREMENT, tmp_path)
    record = increment.read(tmp_path)
    assert record is not None
    torch.manual_seed(1)  # what was drawn must not matter
    opened = increment.open_saved(Base("run", str(tmp_path)), record, CONFIG, CONTEXT)
    assert torch.equal(sum_of(opened.model), sum_of(tuned.applied.model))
    assert torch.allclose(logits_of(opened.model), tuned.logits, atol=1e-6)


def test_a_merged_model_holds_it_and_no_adapter_lies_beside_that_would_lack_it(tuned: Tuned, tmp_path: Path) -> None:
    if increment.kind(tuned.applied.inserted, None) != increment.MERGED:
        pytest.skip("no plain model computes the same")
    tuned.save(increment.MERGED, tmp_path)
    with quiet():
        again = AutoModelForAudioClassification.from_pretrained(tmp_path)
    assert torch.equal(sum_of(again), sum_of(tuned.applied.model))
    assert torch.allclose(logits_of(again), tuned.logits, atol=1e-5)
    assert not (tmp_path / "adapter").exists()


def test_it_trains_further_where_a_run_is_the_model(tuned: Tuned, tmp_path: Path) -> None:
    if increment.kind(tuned.applied.inserted, None) != increment.MERGED:
        pytest.skip("what stays in a network is not trained further")
    tuned.save(increment.MERGED, tmp_path)
    again = applied(tmp_path, "head")
    assert torch.equal(sum_of(again.model), sum_of(tuned.applied.model))
    assert sum_of(again.model).requires_grad


def test_it_has_the_rate_of_the_head(wav2vec2: Path) -> None:
    rates = applied(wav2vec2, "full", lr={"head": 1e-2, "rest": 1e-4}, layer_decay=0.5).stages[0].rates
    assert rates[SUM] == rates["classifier.weight"] == 1e-2


@pytest.mark.parametrize(
    ("family", "method", "how"),
    [("wav2vec2", "head", "merged"), ("whisper", "head", "increment"), ("whisper", METHODS[3], "increment")],
)
def test_a_run_answers_as_it_was_scored(family: str, method: Any, how: str, tmp_path: Path) -> None:
    data = perceiving.sounds(tmp_path / "tones", 15, seconds=(0.3, 0.3))
    model = summing(family, tmp_path / "model")
    runs = {
        cache: luthier.train(
            recipe_for(model, data, tmp_path / cache, {"epochs": 2, "cache": cache}, method=method, save=how)
        )
        for cache in ("off", "memory")
    }
    losses = [[one["loss"] for one in run.folder.records() if one["event"] == "step"] for run in runs.values()]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    stored = pq.read_table(runs["off"].path / "predictions.parquet").to_pydict()
    column = runs["off"].data["columns"]["text"]
    rows = [row for row, split in enumerate(stored["split"]) if split == "test"]
    answers = luthier.open(runs["off"].path).predict([stored[column][row] for row in rows])
    scores = np.array([list(one.probabilities.values()) for one in answers])
    np.testing.assert_allclose(scores, np.array([stored["probabilities"][row] for row in rows]), atol=1e-5)
