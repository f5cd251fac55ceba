from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from networks import network
from torch import nn

from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.ia3 import KEYS_AND_VALUES, Ia3
from luthier.training.optimizer import adamw


def adapted(name: str, **settings: str) -> dict[str, bool]:
    """Adapted layers of the last block, and whether it is their input that is scaled."""
    plain = network(name)
    block = plain.anatomy.blocks[-1]
    model = Ia3(**settings).insert(plain.model, plain.anatomy, Context())
    layers = {
        name.removeprefix("base_model.model."): one for name, one in model.named_modules() if hasattr(one, "ia3_l")
    }
    return {
        name.removeprefix(f"{block}."): one.is_feedforward for name, one in layers.items() if name.startswith(block)
    }


@pytest.mark.parametrize(
    ("name", "outputs", "inputs"),
    [
        ("bert", "attention.self.key attention.self.value", "output.dense"),
        ("distilbert", "attention.k_lin attention.v_lin", "ffn.lin2"),
        ("modernbert", "attn.Wqkv", "mlp.Wo"),
        ("deberta", "attention.self.key_proj attention.self.value_proj", "output.dense"),
        ("llama", "self_attn.k_proj self_attn.v_proj", "mlp.down_proj"),
        ("gpt2", "attn.c_attn", "mlp.c_proj"),
        (
            "t5",
            "layer.0.SelfAttention.k layer.0.SelfAttention.v layer.1.EncDecAttention.k layer.1.EncDecAttention.v",
            "layer.2.DenseReluDense.wo",
        ),
        ("vit", "attention.k_proj attention.v_proj", "mlp.fc2"),
        ("convnext", "", "layers.0.pwconv2"),
        ("whisper", "self_attn.k_proj self_attn.v_proj", "fc2"),
        ("wav2vec2", "attention.k_proj attention.v_proj", "feed_forward.output_dense"),
    ],
)
def test_keys_values_and_the_inside_of_the_feedforward(name: str, outputs: str, inputs: str) -> None:
    assert adapted(name) == {**dict.fromkeys(outputs.split(), False), **dict.fromkeys(inputs.split(), True)}


def test_targets_by_regular_expression() -> None:
    assert adapted("bert", targets="query$") == {"attention.self.query": False}


@pytest.mark.parametrize("name", ["query_key_value", "qkv_proj", "kv_b_proj", "in_proj", "Wqkv", "K", "value_proj"])
def test_names_of_keys_and_values(name: str) -> None:
    assert KEYS_AND_VALUES.search(name)


@pytest.mark.parametrize("name", ["query", "q_proj", "out_proj", "o", "dense", "pos_key_proj", "c_proj", "Wo"])
def test_names_of_other_layers(name: str) -> None:
    assert not KEYS_AND_VALUES.search(name)


@pytest.mark.parametrize(("name", "layer"), [("bert", "key"), ("gpt2", "c_attn")])
def test_outputs_are_multiplied_after_the_bias(name: str, layer: str) -> None:
    plain = network(name)
    model = Ia3().insert(plain.model, plain.anatomy, Context())
    scaled = next(one for path, one in model.named_modules() if path.endswith(layer))
    vector = scaled.ia3_l["default"]
    nn.init.uniform_(vector, 0.5, 1.5)
    rows = torch.randn(4, 32)
    assert torch.allclose(scaled(rows), scaled.base_layer(rows) * vector.flatten())


def test_attention_whose_keys_are_not_known_is_refused() -> None:
    plain = network("bert")
    inside = [name for name in plain.anatomy.linears if re.search(r"query|attention\.output", name)]
    unknown = replace(plain.anatomy, linears=tuple(inside))
    with pytest.raises(RecipeError) as refused:
        Ia3().insert(plain.model, unknown, Context())
    assert str(refused.value).startswith(
        "method ia3: none of the attention's layers is known to make keys and values (bert.encoder.layer.0.attention.self.query, "
    )
    assert str(refused.value).endswith("Write targets as a regular expression for those that do.")


def test_scales_that_start_at_one_do_not_decay() -> None:
    plain = network("bert")
    model = Ia3().insert(plain.model, plain.anatomy, Context())
    trained = {name: 1e-2 for name, one in model.named_parameters() if one.requires_grad}
    groups = adamw(model, trained, 0.1).param_groups
    still = {id(one) for group in groups if group["weight_decay"] == 0 for one in group["params"]}
    decays = {name for name, one in model.named_parameters() if name in trained and id(one) not in still}
    assert any("ia3_l" in name for name in trained)
    assert decays == {"base_model.model.classifier.modules_to_save.default.weight"}
