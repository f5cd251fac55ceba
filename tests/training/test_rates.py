"""Learning rates by part and by depth, against rates worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    CLIPConfig,
    CLIPModel,
    LlamaConfig,
    LlamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.select import Top
from luthier.models.anatomy import Anatomy, examine
from luthier.recipe.schema import Recipe
from luthier.training.rates import Rates
from luthier.training.stages import apply_methods

DEFAULT = 1e-3
BLOCKS = 4
LAYER = "bert.encoder.layer.{}.output.dense.weight"
HEAD, POOLER, WORDS = "classifier.weight", "bert.pooler.dense.weight", "bert.embeddings.word_embeddings.weight"


def bert() -> BertForSequenceClassification:
    widths = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    return BertForSequenceClassification(BertConfig(**widths, num_hidden_layers=BLOCKS, vocab_size=20))


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return examine(bert())


@pytest.fixture(scope="module")
def names() -> list[str]:
    return [name for name, _ in bert().named_parameters()]


def rates_of(methods: Any, **train: Any) -> dict[str, float]:
    """Rate of each parameter that trains, as the optimiser gets it."""
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": methods, "train": train})
    return dict(apply_methods(bert(), (), recipe, Context()).stages[0].rates)


def test_one_rate_is_for_all() -> None:
    assert set(rates_of("full", lr=3e-4).values()) == {3e-4}


def test_without_a_rate_each_has_that_of_its_method() -> None:
    assert set(rates_of("full").values()) == {5e-5}
    assert set(rates_of("head").values()) == {1e-2}


def test_parts_have_their_own_rates() -> None:
    rates = rates_of("full", lr={"head": 1e-2, "top": 1e-3, "rest": 1e-4})
    by_hand = {HEAD: 1e-2, "classifier.bias": 1e-2, POOLER: 1e-3, WORDS: 1e-4}
    by_hand |= {LAYER.format(block): 1e-3 if block >= BLOCKS - 2 else 1e-4 for block in range(BLOCKS)}
    assert {name: rates[name] for name in by_hand} == by_hand
    assert set(rates.values()) == {1e-2, 1e-3, 1e-4}


def test_embeddings_are_a_part() -> None:
    rates = rates_of("full", lr={"embeddings": 1e-6, "rest": 1e-4})
    assert {name for name, rate in rates.items() if rate == 1e-6} == {
        name for name in rates if name.startswith("bert.embeddings.")
    }


def test_what_fits_no_part_has_the_rate_of_its_method() -> None:
    rates = rates_of("full", lr={"head": 1e-2})
    assert (rates[HEAD], rates[WORDS]) == (1e-2, 5e-5)


def test_the_first_key_that_fits_counts(anatomy: Anatomy, names: list[str]) -> None:
    one = LAYER.format(3)
    assert Rates({r"layer\.3\.": 1e-5, "top": 1e-3}, None, anatomy, names).of(one, DEFAULT) == 1e-5
    assert Rates({"top": 1e-3, r"layer\.[13]\.": 1e-5}, None, anatomy, names).of(one, DEFAULT) == 1e-3


def test_rest_counts_last_wherever_it_stands(anatomy: Anatomy, names: list[str]) -> None:
    assert Rates({"rest": 1e-4, "head": 1e-2}, None, anatomy, names).of(HEAD, DEFAULT) == 1e-2


def test_inserted_weights_belong_to_the_part_that_they_stand_in() -> None:
    rates = rates_of({"name": "lora", "rank": 2}, lr={"head": 1e-2, "top": 1e-3, "rest": 1e-4})
    found = {name.split("layer.")[1][0]: rate for name, rate in rates.items() if ".lora_A." in name}
    assert found == {"0": 1e-4, "1": 1e-4, "2": 1e-3, "3": 1e-3}
    assert {rate for name, rate in rates.items() if "classifier" in name} == {1e-2}


@pytest.mark.parametrize("decay", [0.9, 0.5])
def test_each_block_has_the_decayed_rate_of_the_one_above(decay: float) -> None:
    rates = rates_of("full", lr=1e-3, layer_decay=decay)
    by_hand = {HEAD: 1e-3, POOLER: 1e-3}
    by_hand |= {LAYER.format(block): 1e-3 * decay ** (BLOCKS - block) for block in range(BLOCKS)}
    by_hand[WORDS] = 1e-3 * decay ** (BLOCKS + 1)
    assert {name: rates[name] for name in by_hand} == pytest.approx(by_hand)
    assert rates[LAYER.format(1)] / rates[LAYER.format(2)] == pytest.approx(decay)


def test_decay_goes_on_top_of_the_rates_of_parts(anatomy: Anatomy, names: list[str]) -> None:
    rates = Rates({"head": 1e-2, "rest": 1e-4}, 0.9, anatomy, names)
    assert rates.of(LAYER.format(3), DEFAULT) == pytest.approx(0.9e-4)
    assert rates.of(HEAD, DEFAULT) == 1e-2


def decayed(model: Any, head: str) -> dict[str, float]:
    """Rates of all weights of a network at 1, a half from block to block."""
    train = {"lr": 1.0, "layer_decay": 0.5}
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": "full", "train": train})
    return dict(apply_methods(model, (), recipe, Context(head=head)).stages[0].rates)


TINY = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}


def test_a_given_head_has_the_rate_of_a_head() -> None:
    causal = decayed(LlamaForCausalLM(LlamaConfig(**TINY, num_hidden_layers=2)), "causal")
    assert causal["lm_head.weight"] == 1.0
    assert causal["model.layers.1.mlp.up_proj.weight"] == 0.5
    masked = decayed(BertForMaskedLM(BertConfig(**TINY, num_hidden_layers=2)), "words")
    assert masked["cls.predictions.transform.dense.weight"] == 1.0
    assert masked["bert.embeddings.word_embeddings.weight"] == 0.125


def test_each_stack_of_blocks_decays_by_itself() -> None:
    t5 = T5Config(d_model=16, d_kv=8, d_ff=16, num_layers=2, num_decoder_layers=3, num_heads=2, vocab_size=20)
    rates = decayed(T5ForConditionalGeneration(t5), "causal")
    names = {number: f"block.{number}.layer.0.SelfAttention.q.weight" for number in range(3)}
    assert [rates[f"encoder.{names[number]}"] for number in (0, 1)] == [0.25, 0.5]
    assert [rates[f"decoder.{names[number]}"] for number in (0, 1, 2)] == [0.125, 0.25, 0.5]
    assert rates["encoder.final_layer_norm.weight"] == rates["decoder.final_layer_norm.weight"] == 1.0
    assert rates["shared.weight"] == 0.5**4


def clip() -> CLIPModel:
    image = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "image_size": 8, "patch_size": 4}
    text = {**TINY, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    return CLIPModel(
        CLIPConfig(text_config={**text, "num_hidden_layers": 2}, vision_config={**image, "num_hidden_layers": 4})
    )


def test_networks_side_by_side_have_blocks_and_a_top_each() -> None:
    rates = decayed(clip(), "aligned")
    weight = "{}_model.encoder.layers.{}.mlp.fc1.weight"
    assert [rates[weight.format("text", number)] for number in range(2)] == [0.25, 0.5]
    assert [rates[weight.format("vision", number)] for number in range(4)] == [0.0625, 0.125, 0.25, 0.5]
    anatomy = examine(clip())
    names = [name for name, _ in clip().named_parameters()]
    parts = Rates({"top": 1e-3, "rest": 1e-4}, None, anatomy, names)
    top = {name for name in names if parts.of(name, DEFAULT) == 1e-3}
    assert top == set(Top(blocks=2).chosen(clip(), anatomy))


def test_gradual_unfreezing_with_rates_by_part() -> None:
    lr = {"head": 1e-2, "top": 1e-3, "rest": 1e-4}
    recipe = {"data": {"files": "x.csv"}, "stages": "gradual", "train": {"lr": lr, "epochs": 4}}
    stages = apply_methods(bert(), (), Recipe.model_validate(recipe), Context()).stages
    assert set(stages[0].rates.values()) == {1e-2}
    assert set(stages[-1].rates.values()) == {1e-2, 1e-3, 1e-4}
    recipe["train"] = {"lr": {**lr, "heads": 1e-2}, "epochs": 4}
    with pytest.raises(RecipeError, match=r"^train\.lr gives a rate for 'heads'"):
        apply_methods(bert(), (), Recipe.model_validate(recipe), Context())


def test_a_part_of_which_nothing_trains() -> None:
    with pytest.raises(RecipeError) as refused:
        rates_of("head", lr={"head": 1e-2, "embeddings": 1e-4})
    assert str(refused.value) == (
        "train.lr gives a rate for 'embeddings', and nothing of it trains. Parts are head, top, embeddings and rest, or regular "
        "expressions of parameter names; take it out, or choose a method that trains it."
    )


def test_a_mistyped_part() -> None:
    with pytest.raises(RecipeError, match=r"^train\.lr gives a rate for 'heads', and nothing of it trains\."):
        rates_of("full", lr={"heads": 1e-2})


def test_a_part_that_is_no_expression() -> None:
    with pytest.raises(RecipeError, match=r"^train\.lr: '\(' is neither a part nor a regular expression: missing \), "):
        rates_of("full", lr={"(": 1e-2})


@pytest.mark.parametrize(
    ("lr", "sentence"),
    [
        ({"heads": 1e-2}, "stages.1.lr gives a rate for 'heads', and nothing of it trains."),
        ({"(": 1e-2}, "stages.1.lr: '(' is neither a part nor a regular expression: missing ), "),
    ],
)
def test_a_wrong_rate_of_a_stage_is_found_there(lr: dict[str, float], sentence: str) -> None:
    stages = [{"method": "head", "lr": 1e-2}, {"method": "full", "lr": lr}]
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "stages": stages})
    with pytest.raises(RecipeError) as refused:
        apply_methods(bert(), (), recipe, Context())
    assert str(refused.value).startswith(sentence)


def test_a_wrong_rate_for_all_stages_is_found_where_it_is() -> None:
    keys = {"stages": [{"method": "head"}, {"method": "full"}], "train": {"lr": {"heads": 1e-2}}}
    with pytest.raises(RecipeError, match=r"^train\.lr gives a rate for 'heads'"):
        apply_methods(bert(), (), Recipe.model_validate({"data": {"files": "x.csv"}, **keys}), Context())


def test_a_rate_for_the_rest_where_nothing_is_left() -> None:
    assert set(rates_of("head", lr={"head": 1e-2, "rest": 1e-4}).values()) == {1e-2}


def test_rates_reach_the_optimiser(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    from small_jobs import job_of, recipe_for

    settings = {"lr": {"head": 1e-2, "rest": 1e-3}, "layer_decay": 0.5}
    job, ready = job_of(recipe_for(still_bert, reviews, tmp_path / "run", settings))
    names = {id(one): name for name, one in ready.model.named_parameters()}
    peaks = {names[id(one)]: group["peak"] for group in job.work.optimizer.param_groups for one in group["params"]}
    assert peaks[HEAD] == 1e-2
    assert peaks[LAYER.format(1)] == pytest.approx(5e-4)
    assert peaks[LAYER.format(0)] == pytest.approx(2.5e-4)
    assert peaks[WORDS] == pytest.approx(1.25e-4)
