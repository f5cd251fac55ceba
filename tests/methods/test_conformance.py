"""What every method must keep on every model, driven from the registry: a new member is tested by being registered."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSequenceClassification, pipeline

import tiny_models
from luthier.build import apply_methods
from luthier.errors import RecipeError
from luthier.methods import METHODS, Method
from luthier.modalities.text import Text
from luthier.models.open import Base, open_model, open_tokenizer
from luthier.models.quick import quicken
from luthier.models.save import save_model
from luthier.recipe.schema import Recipe
from luthier.tasks.classify import Classes
from luthier.training.optimizer import adamw

NEEDED_SETTINGS: dict[str, dict[str, Any]] = {"pattern": {"train": [r"\.1\.", "weight$"], "freeze": [r"\.0\."]}}
"""Methods that have a setting without default."""

TARGET = Classes(("bad", "good", "so so"), multilabel=False)
TEXTS = ["the film is good", "bad", "the room is very bad the service not good", "great phone great battery"]
COMBINATIONS: dict[str, list[Any]] = {
    "lora + top": ["lora", {"name": "top", "blocks": 1}],
    "head + bias": ["head", "bias"],
    "bias + lora": ["bias", {"name": "lora", "targets": "attention", "rank": 4}],
    "full + lora": ["full", "lora"],
}
MODELS = ("tiny-bert", *tiny_models.FAMILIES, *tiny_models.REAL)
REFUSED = {("bias", "llama"), ("bias", "stories260k"), ("bias", "modernbert")}
"""Methods that have nothing to train there: these models have no biases."""


@dataclass
class Tuned:
    """A model after some training steps, and what it was before."""

    methods: list[Method]
    model: nn.Module
    modality: Text
    folder: Path
    """Of the base model."""
    marked: frozenset[str]
    """Parameters that were switched on."""
    untouched: Tensor
    """Logits before the first step."""
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    losses: list[float]


def settings(method: str) -> list[Any]:
    return COMBINATIONS.get(method) or [{"name": method, **NEEDED_SETTINGS.get(method, {})}]


def recipe_of(methods: list[Any]) -> Recipe:
    return Recipe.model_validate({"data": {"files": "rows.csv"}, "method": methods})


def prepared(folder: Path, methods: list[Any]) -> tuple[nn.Module, dict[str, float], Text]:
    """As the pipeline does it."""
    base = Base("base", str(folder))
    tokenizer = open_tokenizer(base)
    torch.manual_seed(0)
    opened = open_model(base, TARGET.model_config, tokenizer.pad_token_id)
    model, _, rates = apply_methods(opened.model, opened.new, recipe_of(methods))
    return quicken(model).eval(), rates, Text(tokenizer)


def batch_of(modality: Text) -> dict[str, Tensor]:
    return modality.collate(modality.encode(TEXTS).columns)


def marked_in(model: nn.Module) -> frozenset[str]:
    return frozenset(name for name, one in model.named_parameters() if one.requires_grad)


def plain(name: str) -> str:
    """A parameter's name without what PEFT puts around it."""
    return re.sub(r"^base_model\.model\.|\.(base_layer|modules_to_save\.default)(?=\.)", "", name)


def logits_of(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model.eval()(**batch).logits


def copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def tune(folder: Path, methods: list[Any], steps: int) -> Tuned:
    """Train on one batch in evaluation mode: without dropout the loss has to fall."""
    model, rates, modality = prepared(folder, methods)
    batch, marked = batch_of(modality), marked_in(model)
    untouched, before = logits_of(model, batch), copied(model)
    optimizer = adamw(model, rates, weight_decay=0.01)
    for group in optimizer.param_groups:
        group["lr"] = 3e-3 if len(model.state_dict()) < 150 else 5e-4
    objective, losses, after = TARGET.objective(), [], {}
    for step in range(steps):
        loss, count = objective(model, {**batch, "target": torch.tensor([1, 0, 2, 1])})
        (loss / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append((loss / count).item())
        after = after or (copied(model) if step == 1 else {})
    return Tuned(recipe_of(methods).method, model, modality, folder, marked, untouched, before, after, losses)


def cases() -> list[Any]:
    """Every method on every model; combinations on the random ones. Big ones take part where assets are at hand."""
    single = [(method, model) for model in MODELS for method in METHODS if (method, model) not in REFUSED]
    several = [(method, model) for model in ("bert", "roberta", "gpt2") for method in COMBINATIONS]
    return [pytest.param((model, method), id=f"{model}: {method}") for method, model in [*single, *several]]


@pytest.fixture(scope="module", params=cases())
def tuned(request: pytest.FixtureRequest, base: Callable[[str], Path]) -> Tuned:
    model, method = request.param
    return tune(base(model), settings(method), steps=3 if model == "multilingual-e5-small-zhen" else 6)


@pytest.fixture(scope="module")
def saved(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save_model(copy.deepcopy(tuned.model), tuned.modality, folder)
    return folder


def test_before_training_the_logits_are_those_of_plain_transformers(tuned: Tuned) -> None:
    torch.manual_seed(0)
    reloaded = AutoModelForSequenceClassification.from_pretrained(tuned.folder, num_labels=3, dtype=torch.float32)
    reloaded.config.pad_token_id = tuned.modality.tokenizer.pad_token_id
    assert torch.allclose(tuned.untouched, logits_of(reloaded, batch_of(tuned.modality)), atol=1e-5)


def test_only_marked_weights_move(tuned: Tuned) -> None:
    moved = {name for name, value in tuned.before.items() if not torch.equal(value, tuned.after[name])}
    assert moved <= tuned.marked
    # A bias of keys moves no logit (softmax does not see it), and not every row of a table is looked up: most, not all.
    assert len(moved) >= 0.9 * len(tuned.marked)


def test_the_head_is_always_trained(tuned: Tuned) -> None:
    new = AutoModelForSequenceClassification.from_pretrained(tuned.folder)
    head = {name for name, _ in new.named_parameters() if not name.startswith(f"{new.base_model_prefix}.")}
    assert head
    assert head <= {plain(name) for name in tuned.marked}


def test_loss_falls(tuned: Tuned) -> None:
    assert tuned.losses[-1] < tuned.losses[0]


def test_plain_transformers_loads_what_was_saved(tuned: Tuned, saved: Path) -> None:
    reloaded = AutoModelForSequenceClassification.from_pretrained(saved)
    batch = batch_of(tuned.modality)
    # folding an adapter into the weights rounds once more
    tolerance = 1e-5 if isinstance(tuned.model, PeftModel) else 1e-6
    assert torch.allclose(logits_of(reloaded, batch), logits_of(tuned.model, batch), atol=tolerance)
    assert reloaded.config.id2label == {0: "bad", 1: "good", 2: "so so"}
    assert "luthier" not in (saved / "config.json").read_text()


def test_an_adapter_is_saved_where_it_holds_all_and_plain_peft_loads_it(tuned: Tuned, saved: Path) -> None:
    alone = len(tuned.methods) == 1 and tuned.methods[0].wraps
    assert (saved / "adapter" / "adapter_config.json").is_file() == alone
    if alone:
        config = AutoConfig.from_pretrained(saved)
        below = AutoModelForSequenceClassification.from_pretrained(tuned.folder, config=config, dtype=torch.float32)
        whole = PeftModel.from_pretrained(below, saved / "adapter")
        batch = batch_of(tuned.modality)
        assert torch.allclose(logits_of(whole, batch), logits_of(tuned.model, batch), atol=1e-6)


def test_pipeline_of_transformers_gives_the_same_scores(tuned: Tuned, saved: Path) -> None:
    classify = pipeline("text-classification", model=str(saved), top_k=None)
    expected = TARGET.scores(logits_of(tuned.model, batch_of(tuned.modality)))
    for answer, row in zip(classify(TEXTS), expected, strict=True):
        scores = {one["label"]: one["score"] for one in answer}
        assert [scores[label] for label in TARGET.labels] == pytest.approx(row.tolist(), abs=1e-5)


def test_merging_keeps_the_logits(tuned: Tuned) -> None:
    merged = copy.deepcopy(tuned.model)
    batch = batch_of(tuned.modality)
    expected = logits_of(merged, batch)
    for method in sorted(tuned.methods, key=lambda method: method.wraps):
        merged = method.merge(merged)
    assert torch.allclose(logits_of(merged, batch), expected, atol=1e-5)


@pytest.mark.parametrize("methods", COMBINATIONS.values(), ids=COMBINATIONS)
@pytest.mark.parametrize("model", ["bert", "roberta", "gpt2"])
def test_a_combination_trains_the_union(model: str, methods: list[Any], base: Callable[[str], Path]) -> None:
    def names(some: list[Any]) -> set[str]:
        return {plain(name) for name in marked_in(prepared(base(model), some)[0])}

    assert names(methods) == set.union(*(names([one]) for one in methods))


@pytest.mark.parametrize(("method", "model"), sorted(REFUSED - {("bias", "stories260k")}))
def test_nothing_to_train_is_refused(method: str, model: str, base: Callable[[str], Path]) -> None:
    with pytest.raises(RecipeError, match=f"^method {method}: this model has no "):
        prepared(base(model), settings(method))


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].needs])
def test_a_need_that_is_not_met_is_refused(method: str) -> None:
    recipe = recipe_of(settings(method))
    missing = " and ".join(sorted(METHODS[method].needs))
    with pytest.raises(RecipeError) as refused:
        apply_methods(nn.Sequential(nn.Flatten(), nn.ReLU()), (), recipe)
    assert str(refused.value) == (
        f"method {method} needs {missing}, and this model has none. Use full, head or pattern."
    )
