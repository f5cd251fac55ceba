"""Prefixes of keys and values against the slow obvious attention, plain layers and plain caches of transformers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from tiny_networks import CAUSAL, NETWORKS, TEXT, TEXTS, inputs, network, words
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import sdpa_mask

from luthier.models.prefix_attention import (
    CHILD,
    NAME,
    PlainPrefix,
    ProjectedPrefix,
    Trunk,
    attend,
    prefix_attention,
    probe,
    starts,
)
from luthier.models.quick import quicken

LENGTH = 5


def prefixed(name: str) -> Any:
    """A network with random prefixes."""
    model = network(name)
    for place, rows in probe(model, LENGTH).items():
        drawn = (torch.randn(len(one), LENGTH, one.shape[2]) for one in rows)
        model.get_submodule(place).add_module(CHILD, PlainPrefix(tuple(drawn)))
    attend(model)
    return model


def obvious_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **rest: Any
) -> tuple[Tensor, None]:
    """One sample, head and token after the other."""
    batch, heads, tokens, width = query.shape
    prefix, group = module.get_submodule(CHILD), heads // key.shape[1]
    scale = rest.get("scaling") or width**-0.5
    output = torch.zeros(batch, tokens, heads, value.shape[3])
    for sample in range(batch):
        for head in range(heads):
            before, of_before = prefix.key[head // group], prefix.value[head // group]
            for token in range(tokens):
                one = query[sample, head, token]
                scores = key[sample, head // group] @ one * scale
                if rest.get("position_bias") is not None:
                    scores = scores + rest["position_bias"].expand(batch, -1, -1, -1)[sample, head, token]
                if mask is not None:
                    seen = mask.expand(batch, heads, tokens, -1)[sample, head, token]
                    scores = scores.masked_fill(~seen, -torch.inf) if seen.dtype == torch.bool else scores + seen
                elif module.is_causal:
                    scores = scores.masked_fill(torch.arange(len(scores)) > token, -torch.inf)
                weights = torch.cat([before @ one * scale, scores]).softmax(-1)
                output[sample, token, head] = weights @ torch.cat([of_before, value[sample, head // group]])
    return output, None


AttentionInterface.register("test_obvious_prefix", obvious_attention)
AttentionMaskInterface.register("test_obvious_prefix", sdpa_mask)


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_equals_the_slow_obvious_attention(name: str) -> None:
    model, batch = prefixed(name), inputs(name)
    logits = model(**batch).logits
    model.set_attn_implementation("test_obvious_prefix")
    assert torch.allclose(logits, model(**batch).logits, atol=1e-5)
    assert not torch.allclose(logits, network(name)(**batch).logits, atol=1e-3)


@pytest.mark.parametrize("name", TEXTS)
@torch.no_grad()
def test_without_a_mask_it_is_the_same(name: str) -> None:
    model, batch = prefixed(name), words(9, 9)
    assert torch.allclose(model(**batch).logits, model(input_ids=batch["input_ids"]).logits, atol=1e-5)


@torch.no_grad()
def test_a_layer_of_bert_is_the_plain_product_with_longer_keys_and_values() -> None:
    layer = prefixed("bert").bert.encoder.layer[0].attention.self
    hidden = torch.randn(2, 6, 32)
    seen = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]], dtype=torch.bool)
    mixed, _ = layer(hidden, attention_mask=seen[:, None, None, :].expand(2, 1, 6, 6))

    def heads(dense: nn.Module) -> Tensor:
        return dense(hidden).view(2, 6, 4, 8).transpose(1, 2)

    key = torch.cat([layer.prefix.key.expand(2, 4, LENGTH, 8), heads(layer.key)], 2)
    value = torch.cat([layer.prefix.value.expand(2, 4, LENGTH, 8), heads(layer.value)], 2)
    scores = heads(layer.query) @ key.transpose(2, 3) / 8**0.5
    wide = torch.cat([torch.ones(2, LENGTH, dtype=torch.bool), seen], 1)
    weights = scores.masked_fill(~wide[:, None, None, :], -torch.inf).softmax(-1)
    assert torch.allclose(mixed, (weights @ value).transpose(1, 2).reshape(2, 6, 32), atol=1e-6)


@pytest.mark.parametrize("name", ["llama", "qwen3", "gpt2"])
@torch.no_grad()
def test_equals_the_same_numbers_as_a_cache_of_past_keys_in_plain_transformers(name: str) -> None:
    model, plain, batch = prefixed(name), network(name), words(8, 5)
    cache = DynamicCache()
    layers = [module.prefix for module in model.modules() if CHILD in module._modules]
    for index, prefix in enumerate(layers):
        cache.update(prefix.key.expand(2, -1, -1, -1), prefix.value.expand(2, -1, -1, -1), index)
    mask = torch.cat([torch.ones(2, LENGTH, dtype=torch.long), batch["attention_mask"]], 1)
    positions = torch.arange(8).expand(2, 8)
    base = plain.base_model(batch["input_ids"], attention_mask=mask, past_key_values=cache, position_ids=positions)
    ours = model.base_model(**batch).last_hidden_state
    seen = batch["attention_mask"].bool()
    assert torch.allclose(ours[seen], base.last_hidden_state[seen], atol=1e-5)


@pytest.mark.parametrize("name", CAUSAL)
@pytest.mark.parametrize("masked", [True, False])
@torch.no_grad()
def test_causal_networks_see_no_future(name: str, masked: bool) -> None:
    model, batch = prefixed(name).base_model, words(9, 9)
    other = batch["input_ids"].clone()
    other[:, 6:] = (other[:, 6:] + 5) % 40
    mask = {"attention_mask": batch["attention_mask"]} if masked else {}
    before, after = (model(input_ids=ids, **mask).last_hidden_state for ids in (batch["input_ids"], other))
    assert torch.allclose(before[:, :6], after[:, :6], atol=1e-6)
    assert not torch.allclose(before[:, 6:], after[:, 6:], atol=1e-3)


@torch.no_grad()
def test_generating_token_by_token_equals_reading_the_whole() -> None:
    model, tokens = prefixed("llama").base_model, words(7)["input_ids"]
    whole = model(tokens).last_hidden_state
    cache, steps = DynamicCache(), []
    for part in (tokens[:, :4], tokens[:, 4:5], tokens[:, 5:]):
        steps.append(model(part, past_key_values=cache, use_cache=True).last_hidden_state)
    assert torch.allclose(torch.cat(steps, 1), whole, atol=1e-5)


@pytest.mark.parametrize("name", TEXTS)
@torch.no_grad()
def test_padding_changes_nothing(name: str) -> None:
    model, batch = prefixed(name), words(11, 4)
    together = model(**batch).logits[1]
    alone = model(**{column: value[1:, :4] for column, value in batch.items()}).logits[0]
    assert torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_attention_layer_is_found_and_nothing_else_changes(name: str) -> None:
    model = network(name).train()
    found = probe(model, LENGTH)
    assert len(found) == NETWORKS[name][2]
    assert all("Attention" in type(model.get_submodule(place)).__name__ for place in found)
    assert all(key.shape[:2] == value.shape[:2] and key.shape[1] >= 1 for key, value in found.values())
    assert model.training
    attend(model)
    batch, plain = inputs(name), network(name)
    with torch.no_grad():
        assert torch.allclose(model.eval()(**batch).logits, plain(**batch).logits, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        tf.DebertaV2Model(tf.DebertaV2Config(**TEXT)),
        tf.ConvNextModel(tf.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], image_size=32)),
        nn.Sequential(nn.Linear(2, 2)),
    ],
    ids=["deberta", "convnext", "no transformer"],
)
def test_networks_outside_the_registry_are_known_by_nothing_found(model: nn.Module) -> None:
    assert probe(model, LENGTH) == {}


@pytest.mark.parametrize("floating", [True, False])
@pytest.mark.parametrize("rows", [1, 6])
def test_masks_of_any_kind_show_the_prefix(floating: bool, rows: int) -> None:
    module = nn.Module()
    module.add_module(CHILD, PlainPrefix((torch.randn(2, 3, 8), torch.randn(2, 3, 8))))
    query, key, value = (torch.randn(2, 2, 6, 8) for _ in range(3))
    seen = torch.rand(2, 1, rows, 6) > 0.5
    mask = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min) if floating else seen
    mixed, _ = prefix_attention(module, query, key, value, mask.expand(2, 1, 6, 6))
    expected, _ = obvious_attention(module, query, key, value, seen.expand(2, 1, 6, 6))
    assert torch.allclose(mixed, expected, atol=1e-6)


def test_quicken_leaves_the_prefix_in_force_and_attention_without_one_is_the_plain_one() -> None:
    model, batch = prefixed("bert"), inputs("bert")
    with torch.no_grad():
        expected = model(**batch).logits
        assert torch.allclose(quicken(model)(**batch).logits, expected, atol=1e-5)
    assert model.config._attn_implementation == NAME


def test_what_is_saved_does_not_name_luthier(tmp_path: Path) -> None:
    prefixed("t5").save_pretrained(tmp_path)
    assert "luthier" not in (tmp_path / "config.json").read_text()


def test_deep_copies_are_independent() -> None:
    model, batch = prefixed("t5"), words(6, 6)
    with torch.no_grad():
        expected = model(**batch).logits
        other = copy.deepcopy(model)
        for module in other.modules():
            if CHILD in module._modules:
                module.prefix.value.add_(1)
        assert not torch.allclose(other(**batch).logits, expected, atol=1e-3)
        assert torch.equal(model(**batch).logits, expected)


@pytest.mark.parametrize("name", ["bert", "llama", "t5"])
def test_gradients_are_the_same_with_gradient_checkpointing(name: str) -> None:
    model, batch = prefixed(name).train(), words(6, 4)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for module in model.modules():
        if "Attention" in type(module).__name__ and "dropout" in vars(module):
            module.dropout = 0.0

    def gradients() -> list[Tensor]:
        model.zero_grad()
        model(**batch, use_cache=False).logits.pow(2).sum().backward()
        return [one.grad.clone() for name, one in model.named_parameters() if f".{CHILD}." in name]

    expected = gradients()
    model.activation_checkpointing_enable({"use_reentrant": False})
    for one, other in zip(gradients(), expected, strict=True):
        assert other.abs().max() > 0
        assert (one - other).abs().max() < 1e-5 * other.abs().max()


def test_a_projected_prefix_starts_as_the_rows_shares_its_trunk_and_reduces_to_a_plain_one() -> None:
    torch.manual_seed(0)
    trunk = Trunk(LENGTH, 16)
    rows = [(torch.randn(2, LENGTH, 8), torch.randn(2, LENGTH, 4)) for _ in range(2)]
    layers = nn.ModuleList([ProjectedPrefix(trunk, one) for one in rows])
    for layer, (key, value) in zip(layers, rows, strict=True):
        assert torch.allclose(layer()[0], key, atol=1e-4)
        assert torch.allclose(layer()[1], value, atol=1e-4)
    other = copy.deepcopy(layers)
    assert other[0].trunk is other[1].trunk is not trunk
    with torch.no_grad():
        for one in layers.parameters():
            one.add_(0.1 * torch.randn_like(one))
    for layer in layers:
        # Li & Liang 2021, equation 3, row by row
        for index, word in enumerate(trunk.embedding.weight):
            hidden = torch.tanh(trunk.dense.weight @ word + trunk.dense.bias)
            flat = layer.dense.weight @ hidden + layer.dense.bias
            assert torch.allclose(layer()[0][:, index], flat[:16].view(2, 8), atol=1e-5)
            assert torch.allclose(layer()[1][:, index], flat[16:].view(2, 4), atol=1e-5)
        plain = layer.plain()
        assert all(torch.equal(mine, its) for mine, its in zip(plain(), layer(), strict=True))


def test_a_prefix_starts_from_what_was_found_or_as_random_numbers_of_its_size() -> None:
    torch.manual_seed(0)
    found = (3 + 2 * torch.randn(2, 40, 8), torch.randn(2, 40, 6))
    key, value = starts(found, 60, activations=True)
    assert torch.equal(key, torch.cat([found[0], found[0][:, :20]], 1))
    assert torch.equal(value[:, :40], found[1])
    key, value = starts(found, 2000, activations=False)
    assert value.shape == (2, 2000, 6)
    assert torch.allclose(key.mean(1), found[0].mean(1), atol=0.2)
    assert torch.allclose(key.std(1), found[0].std(1), atol=0.2)
