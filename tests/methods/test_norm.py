from __future__ import annotations

from pathlib import Path

import pytest
import torch
from networks import network
from torch import nn
from transformers import AutoModelForImageClassification, RobertaPreLayerNormConfig
from transformers import RobertaPreLayerNormForSequenceClassification as PreNorm

import tiny_models
from luthier.errors import RecipeError
from luthier.methods.norm import Norm
from luthier.models.anatomy import Anatomy, examine

NAMES = {
    "bert": ["LayerNorm"],
    "modernbert": ["norm"],  # its head has one too, which trains anyway
    "llama": ["layernorm", "model.norm"],
    "qwen3": ["layernorm", "model.norm", "q_norm", "k_norm"],
    "gpt2": ["ln_"],
    "t5": ["layer_norm"],
    "vit": ["layernorm"],
    "convnext": ["layernorm", "downsampling_layer.0"],
    "resnet": ["normalization"],
    "whisper": ["layer_norm"],
    "wav2vec2": ["layer_norm"],
}
"""How the families call their norms."""


@pytest.mark.parametrize(("family", "parts"), NAMES.items(), ids=NAMES)
def test_norms_are_found(family: str, parts: list[str]) -> None:
    net = network(family)
    named = {
        name
        for name, _ in net.model.named_parameters()
        if any(part in name for part in parts) and not name.startswith(net.anatomy.head)
    }
    assert set(Norm().chosen(net.model, net.anatomy)) == named


def test_a_module_around_others_is_no_norm_whatever_its_name_says() -> None:
    widths = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = PreNorm(RobertaPreLayerNormConfig(**widths, vocab_size=20, max_position_embeddings=16))
    chosen = Norm().chosen(model, examine(model))
    assert {name.split(".")[-2] for name in chosen} == {"LayerNorm"}


class Homemade(nn.LayerNorm):
    """A norm by its class and not by its name."""


def test_a_subclass_of_torch_is_found_by_its_class() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Homemade(4), nn.Linear(4, 2))
    assert set(Norm().chosen(model, Anatomy((), (), (), (), (), ()))) == {"1.weight", "1.bias"}


def test_only_batch_norms_move_and_their_statistics_not(tmp_path: Path) -> None:
    tiny_models.make_perceiving("resnet", tmp_path)
    model = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    chosen = set(Norm().chosen(model, examine(model)))
    optimizer = torch.optim.AdamW([one for name, one in model.named_parameters() if name in chosen], lr=1e-2)
    model(pixel_values=torch.randn(4, 3, 32, 32)).logits.square().sum().backward()
    optimizer.step()
    moved = {name for name, one in model.state_dict().items() if not torch.equal(one, before[name])}
    assert moved
    assert moved <= chosen
    assert {type(model.get_submodule(name.rpartition(".")[0])) for name in chosen} == {nn.BatchNorm2d}


def test_no_norms() -> None:
    with pytest.raises(RecipeError) as refused:
        Norm().chosen(nn.Linear(2, 2), Anatomy((), (), (), (), (), ()))
    assert str(refused.value) == (
        "method norm: this model has no normalisation layers with weights of their own. Use bias, lora or top instead."
    )
