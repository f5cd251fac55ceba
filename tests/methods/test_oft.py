from __future__ import annotations

import pytest
import torch
from networks import network
from torch import nn

from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.oft import Oft
from luthier.methods.peft import Layer


def test_the_weight_is_turned_and_nothing_else() -> None:
    plain = network("bert")
    model = Oft(block_size=8).insert(plain.model, plain.anatomy, Context())
    layer = next(one for name, one in model.named_modules() if name.endswith("query"))
    turned = layer.oft_R["default"]
    nn.init.normal_(turned.weight, std=0.5)
    rotation = turned.get_weight()
    assert torch.allclose(rotation @ rotation.T, torch.eye(32), atol=1e-5)
    assert not (rotation * (1 - torch.block_diag(*[torch.ones(8, 8)] * 4))).any()
    rows = torch.randn(3, 32)
    assert torch.allclose(layer(rows), layer.base_layer(rows @ rotation), atol=1e-5)
    lengths = layer.base_layer.weight.norm(dim=1)
    with torch.no_grad():
        layer.merge()
    assert torch.allclose(layer.base_layer.weight.norm(dim=1), lengths, atol=1e-5)


@pytest.mark.parametrize(
    ("widths", "size"), [((768, 3072), 32), ((384,), 32), ((100, 300), 25), ((48, 36), 12), ((40,), 20), ((34,), 17)]
)
def test_the_block_is_the_largest_number_that_divides_all(widths: tuple[int, ...], size: int) -> None:
    layers = [Layer(f"layer.{inputs}", inputs, 8) for inputs in widths]
    assert Oft().config(layers, network("bert").anatomy).oft_block_size == size


@pytest.mark.parametrize(
    ("size", "widths", "sentence"),
    [
        (
            24,
            (48, 32),
            "method oft: block_size 24 does not divide the 32 inputs of the layer layer.32. It must divide those of every adapted layer, "
            "such as 2, 4, 8, 16.",
        ),
        (
            None,
            (37,),
            "method oft: no block size up to 32 divides the 37 inputs of the layer layer.37. It must divide those of every adapted "
            "layer, such as 37.",
        ),
        (
            None,
            (8, 9),
            "method oft: no block size up to 32 divides the 8 inputs of the layer layer.8. It must divide those of every adapted "
            "layer, and here there is no such number: take lora.",
        ),
    ],
)
def test_a_block_that_does_not_divide(size: int | None, widths: tuple[int, ...], sentence: str) -> None:
    layers = [Layer(f"layer.{inputs}", inputs, 8) for inputs in widths]
    with pytest.raises(RecipeError) as refused:
        Oft(block_size=size).config(layers, network("bert").anatomy)
    assert str(refused.value) == sentence


def test_gpt2s_layers_are_refused() -> None:
    plain = network("gpt2")
    with pytest.raises(RecipeError) as refused:
        Oft().insert(plain.model, plain.anatomy, Context())
    assert str(refused.value) == (
        "method oft: PEFT's OFT adapts nn.Linear layers only, and transformer.h.0.attn.c_attn is a Conv1D. Take lora, or leave the "
        "layer out with targets."
    )


def test_a_network_without_attention_is_not_offered() -> None:
    assert Oft.needs - network("convnext").anatomy.offers == {"attentions"}
