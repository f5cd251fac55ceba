from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn

import tiny_models
from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.prefix import Prefix
from luthier.models.anatomy import examine, parameters_of
from luthier.models.open import Base, open_model
from luthier.models.prefix_attention import ProjectedPrefix
from luthier.models.quick import quicken
from luthier.models.save import load_trained_state, trained_state
from luthier.recipe.schema import Recipe
from luthier.training.stages import apply_methods

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 30}
TOKENS = torch.tensor([[3, 4, 5, 6, 7, 8, 2], [9, 10, 11, 2, 0, 0, 0]])
BATCH = {"input_ids": TOKENS, "attention_mask": (TOKENS != 0).long()}
PROJECTED = Prefix(length=6, projection=True, hidden=16)


def opened(family: str) -> Any:
    """A tiny random network, frozen; the same at each call."""
    torch.manual_seed(0)
    config = tiny_models.FAMILIES[family](IDS)
    return tf.AutoModelForSequenceClassification.from_config(config).requires_grad_(False).eval()


def inserted(method: Prefix, family: str = "bert") -> Any:
    model = opened(family)
    return method.insert(model, examine(model), Context())


def logits_of(model: nn.Module) -> Tensor:
    with torch.no_grad():
        return model.eval()(**BATCH).logits


def trained(model: nn.Module, steps: int = 8) -> list[float]:
    """Losses of some steps on one batch."""
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=3e-2)
    losses = []
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(**BATCH).logits, torch.tensor([0, 1]))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("family", "key_heads"), [("bert", 2), ("llama", 1), ("gpt2", 2), ("modernbert", 2)])
def test_each_attention_layer_of_each_block_gets_keys_and_values(family: str, key_heads: int) -> None:
    model = inserted(Prefix(length=7), family)
    new = {name: one for name, one in model.named_parameters() if one.requires_grad}
    assert len(new) == 2 * 3
    assert {one.shape for one in new.values()} == {(key_heads, 7, 16)}
    assert all(name.endswith((".prefix.key", ".prefix.value")) for name in new)


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2", "modernbert", "distilbert", "roberta"])
@pytest.mark.parametrize("method", [Prefix(length=6), PROJECTED], ids=["plain", "projected"])
def test_only_what_was_inserted_moves_and_the_loss_falls(family: str, method: Prefix) -> None:
    model = quicken(inserted(method, family))
    marked = {name for name, one in model.named_parameters() if one.requires_grad}
    before = {name: one.clone() for name, one in model.named_parameters()}
    losses = trained(model)
    moved = {name for name, one in model.named_parameters() if not torch.equal(one, before[name])}
    assert moved <= marked
    # the prefixes of the last block move nothing where the head reads another token than the one that attends
    assert len(moved) >= 0.9 * len(marked)
    assert losses[-1] < losses[0]


def test_the_start_is_the_networks_own_keys_and_values_for_sampled_words() -> None:
    torch.manual_seed(5)
    method = Prefix(length=6)
    model = opened("bert")
    torch.manual_seed(1)
    model = method.insert(model, examine(model), Context())
    torch.manual_seed(1)
    words = torch.randint(30, (1, 6))
    words[:, -1] = 2
    plain = opened("bert").bert
    with torch.no_grad():
        hidden = plain(words, output_hidden_states=True).hidden_states
        for index in range(3):
            layer = model.bert.encoder.layer[index].attention.self
            key = layer.key(hidden[index]).view(6, 2, 16).transpose(0, 1)
            assert torch.allclose(layer.prefix.key, key, atol=1e-5)


def test_a_random_start_differs_from_the_activations() -> None:
    one, other = inserted(Prefix(length=6)), inserted(Prefix(length=6, activations=False))
    name = "bert.encoder.layer.1.attention.self.prefix.key"
    assert one.get_parameter(name).shape == other.get_parameter(name).shape
    assert not torch.allclose(one.get_parameter(name), other.get_parameter(name), atol=1e-3)


@pytest.mark.parametrize("activations", [True, False])
def test_a_single_row_is_enough(activations: bool) -> None:
    model = inserted(Prefix(length=1, activations=activations))
    assert all(one.isfinite().all() for one in model.parameters() if one.requires_grad)


def rates(method: Prefix, **keys: Any) -> dict[str, set[float]]:
    """Rates in the first stage, of what is inserted and of the head."""
    plan = keys.pop("stages", None)
    laid = {"stages": [{"method": method.model_dump(), **one} for one in plan]} if plan else {"method": method}
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, **laid, **keys})
    found = apply_methods(opened("bert"), (), recipe, Context()).stages[0].rates
    inserted = {name for name in found if ".prefix." in name}
    return {
        "inserted": {round(found[name], 9) for name in inserted},
        "head": {rate for name, rate in found.items() if name not in inserted},
    }


def test_weights_of_the_network_learn_more_slowly_than_rows_by_default() -> None:
    assert rates(Prefix()) == {"inserted": {2e-2}, "head": {2e-2}}
    assert rates(PROJECTED) == {"inserted": {4e-4}, "head": {2e-2}}
    decayed = rates(PROJECTED, train={"layer_decay": 0.5})
    assert decayed["inserted"] == {2e-4, 1e-4, 5e-5}


@pytest.mark.parametrize("method", [Prefix(length=6), PROJECTED], ids=["plain", "projected"])
def test_a_stated_rate_is_the_rate(method: Prefix) -> None:
    assert rates(method, train={"lr": 1e-3}) == {"inserted": {1e-3}, "head": {1e-3}}
    assert rates(method, stages=[{"lr": 3e-3}], train={"lr": 1e-3}) == {"inserted": {3e-3}, "head": {3e-3}}
    parts = {"head": 1e-2, "rest": 1e-3}
    assert rates(method, train={"lr": parts}) == {"inserted": {1e-3}, "head": {1e-2}}


def test_a_rate_for_the_head_alone_leaves_the_network_its_default() -> None:
    assert rates(PROJECTED, train={"lr": {"head": 1e-2}}) == {"inserted": {4e-4}, "head": {1e-2}}


def test_with_the_network_it_starts_where_it_starts_without() -> None:
    assert torch.allclose(logits_of(inserted(PROJECTED)), logits_of(inserted(PROJECTED.folded)), atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_merging_drops_the_network_keeps_the_logits_and_fits_what_folded_inserts(family: str) -> None:
    model = inserted(PROJECTED, family)
    trained(model)
    expected = logits_of(model)
    merged = PROJECTED.merge(copy.deepcopy(model))
    assert torch.allclose(logits_of(merged), expected, atol=1e-6)
    assert not any(isinstance(one, ProjectedPrefix) for one in merged.modules())
    assert any(isinstance(one, ProjectedPrefix) for one in model.modules())
    assert PROJECTED.folded == Prefix(length=6, hidden=16)
    again = inserted(PROJECTED.folded, family)
    load_trained_state(again, trained_state(merged))
    assert torch.equal(logits_of(again), logits_of(merged))


def test_the_network_is_saved_once_and_comes_back() -> None:
    model = inserted(PROJECTED)
    trained(model)
    state = trained_state(model)
    assert sum("trunk" in name for name in state) == 3
    again = inserted(PROJECTED)
    load_trained_state(again, state)
    assert torch.equal(logits_of(again), logits_of(model))


def test_merging_a_plain_prefix_changes_nothing() -> None:
    method = Prefix(length=6)
    model = inserted(method)
    state = copy.deepcopy(model.state_dict())
    assert method.folded == method
    assert all(torch.equal(one, state[name]) for name, one in method.merge(model).state_dict().items())


def test_it_takes_no_position_of_the_input() -> None:
    assert Prefix(length=60).tokens == 0
    model = inserted(Prefix(length=60))
    longest = torch.full((1, tiny_models.POSITIONS), 5)
    assert model(longest).logits.shape == (1, 2)


def test_more_rows_than_positions_are_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        inserted(Prefix(length=65))
    assert str(refused.value) == (
        "method prefix: length: 65 is more than the 64 positions that this model reads; 10 to 100 is usual."
    )


def test_attention_outside_the_registry_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        inserted(Prefix(), "deberta")
    assert str(refused.value) == (
        "method prefix: DebertaV2ForSequenceClassification computes attention by code of its own, which transformers' "
        "attention registry does not reach, so nothing can be put before its keys and values. Use adapter, lora or prompt."
    )


def test_a_network_without_attention_offers_not_what_it_needs() -> None:
    config = tf.ConvNextConfig(hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], image_size=32)
    model = tf.ConvNextForImageClassification(config)
    assert not Prefix.needs <= examine(model).offers


def test_encoder_decoders_get_prefixes_on_all_three_attentions() -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    torch.manual_seed(0)
    model: Any = tf.T5ForSequenceClassification(tf.T5Config(vocab_size=30, pad_token_id=0, eos_token_id=2, **sizes))
    model.requires_grad_(False)
    anatomy = examine(model)
    Prefix(length=4).insert(model, anatomy, Context())
    new = [name for name, one in model.named_parameters() if one.requires_grad]
    kinds = ("encoder.block", "decoder.block.0.layer.0", "EncDecAttention")
    assert [sum(kind in name for name in new) for kind in kinds] == [4, 2, 4]
    for _, one in parameters_of(model, anatomy.head):
        one.requires_grad_(True)
    losses = trained(model.eval())
    assert losses[-1] < losses[0]


def test_a_real_network_learns_with_it(assets: Path, base: Callable[[str], Path]) -> None:
    model = open_model(Base("base", str(base("stories260k"))), {"num_labels": 2}, 0).model.requires_grad_(False)
    Prefix(length=10).insert(model, examine(model, ["score.weight"]), Context())
    quicken(model).eval()
    losses = trained(model, steps=10)
    assert losses[-1] < 0.8 * losses[0]
