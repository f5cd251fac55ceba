from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from luthier.methods import Context
from luthier.modalities.text import Text
from luthier.models.open import find, open_model, open_tokenizer
from luthier.models.save import load_trained_state, save_whole, size_of, trained_state
from luthier.recipe.schema import Recipe
from luthier.tasks.classify import Classes
from luthier.training.stages import apply_methods

TARGET = Classes(("bad", "good", "so so"), multilabel=False)


@pytest.fixture
def network(tiny: Callable[[str], Path]) -> Callable[..., Any]:
    def made(*methods: Any) -> Any:
        opened = open_model(find(str(tiny("bert"))), TARGET.model_config, 0)
        recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": list(methods)})
        return apply_methods(opened.model, opened.new, recipe, Context()).model.eval()

    return made


def save(model: nn.Module, base: Path, folder: Path) -> None:
    """As a run saves a merged model."""
    save_whole(model, folder, {name for name, one in model.named_parameters() if one.requires_grad})
    Text(open_tokenizer(find(str(base)))).save(str(folder))


class Counting(nn.Module):
    """A frozen and a trained weight that share nothing, one stored twice, and buffers of both kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.trained = nn.Linear(2, 2)
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.again = self.trained
        self.register_buffer("seen", torch.zeros(3))
        self.register_buffer("scratch", torch.zeros(3), persistent=False)


def test_trained_state_holds_trainable_weights_and_persistent_buffers() -> None:
    assert set(trained_state(Counting())) == {"trained.weight", "trained.bias", "seen"}


def test_trained_state_shares_memory_and_is_put_back() -> None:
    model = Counting()
    kept = {name: one.clone() for name, one in trained_state(model).items()}
    with torch.no_grad():
        model.trained.weight.add_(1)
        model.seen.add_(1)
    assert not torch.equal(trained_state(model)["trained.weight"], kept["trained.weight"])
    load_trained_state(model, kept)
    assert torch.equal(model.trained.weight, kept["trained.weight"])
    assert not model.seen.any()


def test_a_state_of_another_model_is_refused() -> None:
    state = {name: one.clone() for name, one in trained_state(Counting()).items()}
    with pytest.raises(ValueError, match=r"^the saved weights and the model differ in 1 names, such as seen$"):
        load_trained_state(Counting(), {name: one for name, one in state.items() if name != "seen"})
    with pytest.raises(ValueError, match=r"^the saved seen has shape \(1,\), the model's \(3,\)$"):
        load_trained_state(Counting(), state | {"seen": torch.zeros(1)})


def test_the_state_of_an_adapter_is_small(network: Callable[..., Any]) -> None:
    model = network({"name": "lora", "rank": 2})
    state = trained_state(model)
    assert all("lora_" in name or "modules_to_save" in name for name in state)
    assert size_of(state) == 4 * sum(one.numel() for one in model.parameters() if one.requires_grad)


def test_the_folder_holds_what_plain_transformers_needs(
    network: Callable[..., Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    model = network("full")
    save(model, tiny("bert"), tmp_path)
    assert {one.name for one in tmp_path.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert config["id2label"] == {"0": "bad", "1": "good", "2": "so so"}
    assert config["problem_type"] == "single_label_classification"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    batch = tokenizer(["good film", "bad"], padding=True, return_tensors="pt", return_token_type_ids=False)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.equal(plain(**batch).logits, model(**batch).logits)


def test_an_adapter_lies_beside_the_full_model(
    network: Callable[..., Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    save(network("lora"), tiny("bert"), tmp_path)
    assert {one.name for one in (tmp_path / "adapter").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    weights = AutoModelForSequenceClassification.from_pretrained(tmp_path).state_dict()
    assert not [name for name in weights if "lora" in name]


def test_saving_does_not_ask_the_hub(
    network: Callable[..., Any], tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PEFT would look there for a base of this name, to see whether the vocabulary has grown
    model = network("lora")
    model.peft_config["default"].base_model_name_or_path = "somebody/bert"
    asked: list[object] = []
    monkeypatch.setattr("peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *about: asked.append(about))
    save(model, tiny("bert"), tmp_path)
    assert not asked


def test_more_than_an_adapter_holds_is_folded_in(
    network: Callable[..., Any], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    model = network("lora", "bias")
    with torch.no_grad():
        for one in model.parameters():
            if one.requires_grad:
                one.normal_(std=0.1)
    batch = {"input_ids": torch.tensor([[2, 5, 6, 3]])}
    expected = copy.deepcopy(model)(**batch).logits
    save(model, tiny("bert"), tmp_path)
    assert not (tmp_path / "adapter").exists()
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert torch.allclose(plain(**batch).logits, expected, atol=1e-5)
