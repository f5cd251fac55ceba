from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import network
from torch import nn
from transformers.pytorch_utils import Conv1D

from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.lora import Dora, LoraPlus, LowRank, RsLora
from luthier.models.open import Base, open_model
from luthier.recipe.schema import Recipe
from luthier.training.stages import apply_methods


@pytest.fixture
def lora(base: Callable[[str], Path]) -> Callable[..., Any]:
    def applied(family: str, **settings: Any) -> Any:
        opened = open_model(Base("base", str(base(family))), {"num_labels": 3}, 0)
        recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": {"name": "lora", **settings}})
        return apply_methods(opened.model, opened.new, recipe, Context()).model.eval()

    return applied


def wrapped(model: nn.Module) -> set[str]:
    return {
        name.partition(".lora_A")[0].removeprefix("base_model.model.")
        for name, _ in model.named_parameters()
        if ".lora_A" in name
    }


@pytest.mark.parametrize(
    ("family", "pattern", "count"),
    [
        ("bert", r"layer\.\d", 18),
        ("llama", r"layers\.\d", 21),
        ("gpt2", r"h\.\d", 12),
        ("modernbert", r"layers\.\d", 12),
    ],
)
def test_every_linear_of_the_blocks_is_wrapped(family: str, pattern: str, count: int, lora: Callable[..., Any]) -> None:
    found = wrapped(lora(family))
    assert len(found) == count
    assert all(re.search(pattern, name) for name in found)


def test_attention_only(lora: Callable[..., Any]) -> None:
    names = ("self.query", "self.key", "self.value", "output.dense")
    expected = {f"bert.encoder.layer.{block}.attention.{name}" for block in range(3) for name in names}
    assert wrapped(lora("bert", targets="attention")) == expected


def test_targets_by_regular_expression(lora: Callable[..., Any]) -> None:
    assert wrapped(lora("bert", targets=r"layer\.2\..*(query|value)$")) == {
        "bert.encoder.layer.2.attention.self.query",
        "bert.encoder.layer.2.attention.self.value",
    }


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_the_update_is_that_of_the_paper(family: str, lora: Callable[..., Any]) -> None:
    model = lora(family, rank=4, alpha=6)
    layer = next(module for name, module in model.named_modules() if name.endswith(("query", "c_attn")))
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    assert down.shape[0] == up.shape[1] == 4
    assert not up.any()
    nn.init.normal_(up)
    rows = torch.randn(5, down.shape[1])
    frozen = layer.base_layer
    matrix = frozen.weight.T if isinstance(frozen, Conv1D) else frozen.weight
    expected = rows @ (matrix + 6 / 4 * up @ down).T + frozen.bias
    assert torch.allclose(layer(rows), expected, atol=1e-5)


def test_alpha_is_twice_the_rank_unless_given(lora: Callable[..., Any]) -> None:
    assert lora("bert", rank=8).peft_config["default"].lora_alpha == 16


def test_targets_that_match_nothing(lora: Callable[..., Any]) -> None:
    with pytest.raises(RecipeError) as refused:
        lora("bert", targets="q_proj")
    assert str(refused.value).startswith(
        "method lora: targets 'q_proj' matches no linear layer. Some here: bert.encoder.layer.0.attention.self.query, "
    )


def test_targets_that_are_no_regular_expression(lora: Callable[..., Any]) -> None:
    with pytest.raises(RecipeError) as refused:
        lora("bert", targets="q_proj(")
    assert str(refused.value).startswith(
        "method lora: targets 'q_proj(' is neither linear, attention nor a regular expression: missing ), "
    )


def test_dropout_is_off_unless_given(lora: Callable[..., Any]) -> None:
    assert not any(
        ".lora_dropout." in name and isinstance(one, nn.Dropout) for name, one in lora("bert").named_modules()
    )


def member(method: LowRank) -> tuple[nn.Module, Any]:
    """A network with the method, and one adapted layer whose B is not zero."""
    plain = network("bert")
    model = method.insert(plain.model, plain.anatomy, Context())
    layer = next(module for name, module in model.named_modules() if name.endswith("query"))
    nn.init.normal_(layer.lora_B["default"].weight)
    return model, layer


def test_dora_trains_length_and_direction() -> None:
    _, layer = member(Dora(rank=4, alpha=6))
    length = layer.lora_magnitude_vector["default"].weight
    frozen = layer.base_layer
    assert torch.allclose(length, frozen.weight.norm(dim=1))
    nn.init.uniform_(length, 1, 2)
    moved = frozen.weight + 6 / 4 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    rows = torch.randn(5, 32)
    expected = rows @ (length[:, None] * moved / moved.norm(dim=1, keepdim=True)).T + frozen.bias
    assert torch.allclose(layer(rows), expected, atol=1e-5)


@pytest.mark.parametrize(("settings", "scale"), [({"rank": 4, "alpha": 6}, 3.0), ({"rank": 16}, 2.0)])
def test_rslora_divides_by_the_root_of_the_rank(settings: dict[str, Any], scale: float) -> None:
    _, layer = member(RsLora(**settings))
    rows = torch.randn(5, 32)
    update = scale * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    assert torch.allclose(layer(rows), layer.base_layer(rows) + rows @ update.T, atol=1e-5)


def test_lora_plus_gives_b_and_the_head_sixteen_times_the_rate_of_a() -> None:
    method = LoraPlus(rank=4)
    model, _ = member(method)
    factors = {name: method.factor(name) for name, one in model.named_parameters() if one.requires_grad}
    assert {value for name, value in factors.items() if ".lora_A." in name} == {1 / 16}
    assert {value for name, value in factors.items() if ".lora_A." not in name} == {1.0}
