from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from peft import PeftModel, get_peft_model_state_dict
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

import tiny_models
from adapter_networks import IDS, KINDS, NETWORKS, adapted, logits_of, plain, stirred, taps_of, tokens
from luthier.errors import ModelError, RecipeError
from luthier.methods import Context
from luthier.methods.adapter import Adapter
from luthier.models.anatomy import Anatomy, examine
from luthier.models.bottleneck import BottleneckLayer, InputTap
from luthier.models.quick import quicken

EVERY = [(family, kind) for family in NETWORKS for kind in KINDS]
MOST = [(family, kind) for family, kind in EVERY if kind != "pfeiffer"]
"""Without the kind that is half of another one."""


def modules_of(model: Any, kind: type) -> set[str]:
    return {name for name, one in model.get_base_model().named_modules() if isinstance(one, kind)}


@pytest.mark.parametrize(("family", "kind"), EVERY)
def test_adapters_sit_where_the_paper_puts_them(family: str, kind: str) -> None:
    model = adapted(family, kind=kind)
    assert modules_of(model, BottleneckLayer) == NETWORKS[family].places(kind)
    assert modules_of(model, InputTap) == NETWORKS[family].inputs(kind)


@pytest.mark.parametrize(("family", "kind"), EVERY)
def test_outputs_are_unchanged_at_the_start(family: str, kind: str) -> None:
    batch = NETWORKS[family].batch()
    assert torch.equal(logits_of(adapted(family, kind=kind), batch), logits_of(plain(family), batch))


@pytest.mark.parametrize(("family", "kind"), EVERY)
def test_gradients_reach_adapters_and_head_and_nothing_else(family: str, kind: str) -> None:
    model = stirred(adapted(family, kind=kind, scale="learned"))
    head = examine(plain(family)).head
    model(**NETWORKS[family].batch()).logits.square().sum().backward()
    for name, one in model.named_parameters():
        wanted = "bottleneck_" in name or any(f".{part}.modules_to_save." in name for part in head)
        assert one.requires_grad == wanted, name
        assert (one.grad is not None and bool(one.grad.any())) == wanted, name
    assert not any(tap.kept for tap in taps_of(model))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_causal_networks_see_no_future(family: str, kind: str) -> None:
    model = stirred(adapted(family, kind=kind))
    first = torch.tensor([[3, 4, 5, 6, 7, 8]])
    second = torch.tensor([[3, 4, 5, 9, 10, 11]])
    with torch.no_grad():
        one, other = (model(input_ids=ids, output_hidden_states=True).hidden_states[-1] for ids in (first, second))
    assert torch.allclose(one[:, :3], other[:, :3], atol=1e-6)
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=1e-3)


@pytest.mark.parametrize(("family", "kind"), MOST)
def test_deep_copies_are_independent(family: str, kind: str) -> None:
    batch = NETWORKS[family].batch()
    model = adapted(family, kind=kind)
    before = logits_of(model, batch)
    twin = stirred(copy.deepcopy(model))
    assert not torch.allclose(logits_of(twin, batch), before, atol=1e-4)
    assert torch.equal(logits_of(model, batch), before)
    assert not {id(tap) for tap in taps_of(twin)} & {id(tap) for tap in taps_of(model)}


@pytest.mark.parametrize(("family", "kind"), MOST)
def test_loss_falls(family: str, kind: str) -> None:
    model = quicken(adapted(family, kind=kind, dropout=0.1)).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=1e-2)
    batch = NETWORKS[family].batch() | {"labels": torch.tensor([0, 1])}
    losses = []
    for _ in range(30):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(("family", "kind"), MOST)
def test_plain_peft_loads_what_was_saved(family: str, kind: str, tmp_path: Path) -> None:
    batch = NETWORKS[family].batch()
    model = stirred(adapted(family, kind=kind, scale="learned", activation="silu"))
    with torch.no_grad():
        for one in model.parameters():
            if one.requires_grad:  # the head and the scales have learned something too
                one.add_(0.1)
    model.save_pretrained(tmp_path, save_embedding_layers=False)
    again = PeftModel.from_pretrained(plain(family), tmp_path)
    assert torch.allclose(logits_of(again, batch), logits_of(model, batch), atol=1e-6)
    assert not torch.allclose(logits_of(plain(family), batch), logits_of(model, batch), atol=1e-3)
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == set(
        get_peft_model_state_dict(model, save_embedding_layers=False)
    )
    assert not any(
        "bottleneck_" not in name and "base_layer" in name for name in load_file(tmp_path / "adapter_model.safetensors")
    )


def test_a_network_whose_head_is_not_new_gets_adapters_alone() -> None:
    torch.manual_seed(0)
    model = tf.BertForMaskedLM(tiny_models.FAMILIES["bert"](IDS))
    before = logits_of(model, tokens())
    wrapped: Any = Adapter(reduction=4).insert(model, replace(examine(model), head=()), Context())
    assert torch.equal(logits_of(wrapped, tokens()), before)
    assert all("bottleneck_" in name for name, one in wrapped.named_parameters() if one.requires_grad)


@pytest.mark.parametrize(("kind", "number"), [("houlsby", 12), ("pfeiffer", 6), ("parallel", 6)])
def test_share_of_minilm(kind: str, number: int) -> None:
    """A BERT of 6 blocks, 384 wide, 22.7 million parameters."""
    config = tf.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
    with torch.device("meta"):
        model = tf.BertForSequenceClassification(config)
    whole = sum(one.numel() for one in model.parameters())
    wrapped: Any = Adapter(kind=kind).insert(model, examine(model), Context())
    added = number * (384 * 24 + 24 + 24 * 384 + 384)
    head = 2 * 384 + 2
    saved = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    assert sum(one.numel() for one in saved.values()) == added + head
    assert sum(one.numel() for one in wrapped.parameters() if one.requires_grad) == added + head
    assert added / whole == pytest.approx({"houlsby": 0.01, "pfeiffer": 0.005, "parallel": 0.005}[kind], rel=0.02)


def test_it_lasts_and_refuses_to_be_merged() -> None:
    model = adapted("bert")
    method = Adapter()
    assert method.lasting
    assert method.merge(model) is model
    assert method.folded is method
    with pytest.raises(ModelError) as refused:
        model.merge_and_unload()
    assert str(refused.value) == (
        "Bottleneck adapters are not linear, so no weights of the network below compute the same: they cannot be merged. "
        "Keep the adapter folder and load it with PeftModel.from_pretrained."
    )


@pytest.mark.parametrize(("reduction", "size"), [(0.5, 64), (33, 0)])
def test_an_impossible_bottleneck_is_refused(reduction: float, size: int) -> None:
    with pytest.raises(RecipeError) as refused:
        adapted("bert", reduction=reduction)
    assert str(refused.value) == (
        f"method adapter: reduction {reduction:g} makes a bottleneck of {size} in a layer 32 wide. Write a reduction from 1 to 32."
    )


@pytest.mark.parametrize("kind", ["houlsby", "pfeiffer", "parallel"])
def test_the_last_blocks_alone_have_adapters(kind: str) -> None:
    places = {
        name.partition("layer.")[2][0] for name in modules_of(adapted("bert", kind=kind, blocks=1), BottleneckLayer)
    }
    assert places == {"2"}


def test_more_blocks_than_there_are() -> None:
    with pytest.raises(
        RecipeError, match=r"^method adapter: blocks: 4 is more than the 3 blocks that this model has\.$"
    ):
        adapted("bert", blocks=4)


def test_a_network_without_linear_layers_does_not_offer_what_is_needed() -> None:
    resnet = tf.ResNetForImageClassification(
        tf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    )
    assert Adapter.needs - examine(resnet).offers == {"linears"}


def test_a_network_without_feedforwards_is_refused() -> None:
    anatomy = Anatomy(head=(), blocks=("0",), after=(), embeddings=(), linears=("0",), attentions=())
    with pytest.raises(RecipeError) as refused:
        Adapter(kind="parallel").insert(nn.Sequential(nn.Linear(2, 2)), anatomy, Context())
    assert str(refused.value) == (
        "method adapter: kind parallel goes where a feed-forward of two linear layers ends, and none is found in this model. "
        "Use lora or top instead."
    )


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "serial"}, {"reduction": 0}, {"activation": "sine"}, {"scale": 0}, {"scale": "fixed"}, {"dropout": 1}],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Adapter(**wrong)
