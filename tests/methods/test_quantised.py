from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import Network, network
from safetensors.torch import load_file
from torch import nn

from luthier.errors import ExtraError, RecipeError
from luthier.methods import Context
from luthier.methods.lora import Lora
from luthier.recipe.schema import Recipe
from luthier.training.stages import apply_methods

METHOD = Lora(rank=4, bits=4)


@pytest.fixture
def bitsandbytes() -> Any:
    return pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")


def quantised(name: str = "bert") -> tuple[Network, nn.Module]:
    plain = network(name)
    return plain, METHOD.insert(plain.model, plain.anatomy, Context())


def rounded(reference: nn.Module, names: tuple[str, ...], bitsandbytes: Any) -> nn.Module:
    """The network in floats, its layers rounded to what 4 bits can hold: the slow, obvious version."""
    for name in names:
        weight = reference.get_submodule(name).weight
        packed, state = bitsandbytes.functional.quantize_4bit(weight.data, quant_type="nf4", compress_statistics=True)
        weight.data = bitsandbytes.functional.dequantize_4bit(packed, state)
    return reference


def train(plain: Network, model: nn.Module) -> None:
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.01)
    for _ in range(3):
        nn.functional.cross_entropy(plain.logits(model), torch.tensor([1, 2])).backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.parametrize("other", ["full", {"name": "top", "blocks": 1}])
def test_weights_of_a_few_bits_cannot_be_trained_too(other: Any, bitsandbytes: Any) -> None:
    plain = network("bert")
    recipe = {"data": {"files": "x.csv"}, "method": [{"name": "lora", "rank": 2, "bits": 4}, other]}
    with pytest.raises(
        RecipeError, match=r"^method (full|top) trains bert\.encoder\.layer\..*, which is rounded to a few bits"
    ):
        apply_methods(plain.model, (), Recipe.model_validate(recipe), Context())


@pytest.mark.parametrize("name", ["bert", "deberta", "llama", "t5", "vit", "wav2vec2"])
def test_it_computes_with_the_rounded_weights_and_merges_into_what_was_trained(name: str, bitsandbytes: Any) -> None:
    untouched = copy.deepcopy(network(name).model)
    plain, model = quantised(name)
    reference = rounded(untouched, tuple(one for one in plain.anatomy.linears if not one.endswith(".wo")), bitsandbytes)
    with torch.no_grad():
        assert torch.allclose(plain.logits(model), plain.logits(reference), atol=1e-5)
    train(plain, model)
    with torch.no_grad():
        expected = plain.logits(model)
        assert not torch.allclose(expected, plain.logits(reference), atol=1e-4)
        merged = METHOD.merge(model)
        assert torch.allclose(plain.logits(merged), expected, atol=1e-5)
    assert {type(merged.get_submodule(one)) for one in plain.anatomy.linears} == {nn.Linear}


def test_evaluation_and_training_give_the_same_and_training_goes_on(bitsandbytes: Any) -> None:
    """bitsandbytes by itself switches to a bfloat16 product in evaluation on some CPUs."""
    plain, model = quantised()
    with torch.no_grad():
        evaluated = plain.logits(model)
    for one in model.modules():
        if isinstance(one, bitsandbytes.nn.Linear4bit):
            one.train()
    assert torch.equal(model(**plain.batch).logits, evaluated)
    train(plain, model)


def test_the_layers_take_an_eighth_of_the_memory(bitsandbytes: Any) -> None:
    plain = network("bert")
    floats = sum(plain.model.get_submodule(name).weight.nbytes for name in plain.anatomy.linears)
    model: Any = METHOD.insert(plain.model, plain.anatomy, Context())
    layers = [one for one in model.modules() if isinstance(one, bitsandbytes.nn.Linear4bit)]
    assert sum(layer.weight.nbytes for layer in layers) == floats / 8


def test_the_merged_network_is_saved_in_floats_under_the_names_of_the_base(tmp_path: Path, bitsandbytes: Any) -> None:
    names = set(network("bert").model.state_dict())
    _, model = quantised()
    merged: Any = METHOD.merge(model)
    merged.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert {name for name in names if "position_ids" not in name} == set(saved)
    assert {one.dtype for one in saved.values()} == {torch.float32}


def test_a_deep_copy_is_independent(bitsandbytes: Any) -> None:
    plain, model = quantised()
    other = copy.deepcopy(model)
    with torch.no_grad():
        before = plain.logits(other)
    train(plain, model)
    with torch.no_grad():
        assert torch.equal(plain.logits(other), before)


def test_layers_of_another_kind_are_refused(bitsandbytes: Any) -> None:
    plain = network("gpt2")
    with pytest.raises(RecipeError) as refused:
        METHOD.insert(plain.model, plain.anatomy, Context())
    assert str(refused.value) == (
        "method lora: bits packs two weights into a byte and needs nn.Linear layers with an even number of inputs, and "
        "transformer.h.0.attn.c_attn is a Conv1D. Leave bits out, or that layer with targets."
    )


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.delitem(sys.modules, "luthier.methods.quantised", raising=False)
    plain = network("bert")
    with pytest.raises(ExtraError) as refused:
        METHOD.insert(plain.model, plain.anatomy, Context())
    assert str(refused.value) == (
        "The package 'bitsandbytes' is needed here and is not installed. Install it with: pip install 'luthier[quant]'"
    )
