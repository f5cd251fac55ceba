from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSequenceClassification

import tiny_models
from luthier.errors import RecipeError
from luthier.modalities import FIRST_VIRTUAL
from luthier.models.embedding import AddingEmbedding
from luthier.models.quick import quicken
from luthier.models.quiet import quiet
from luthier.models.virtual import (
    Vectors,
    add_virtual_tokens,
    prepend,
    prompt_in,
    random_vectors,
    word_table,
    word_vectors,
)

LENGTH = 4
IDS = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]])


def opened(folder: Path, kind: Any = AutoModelForSequenceClassification) -> Any:
    torch.manual_seed(0)
    with quiet():
        return kind.from_pretrained(folder, dtype=torch.float64).eval().requires_grad_(False)


def with_prompt(model: Any, at: int) -> Any:
    torch.manual_seed(1)
    add_virtual_tokens(model, Vectors(random_vectors(model, LENGTH)))
    prepend(model, LENGTH, at)
    return model


def padding(model: Any) -> Tensor:
    ids = IDS.clone()
    ids[IDS == 0] = model.config.pad_token_id
    return ids


def by_hand(model: Any, vectors: Tensor, ids: Tensor, at: int) -> Tensor:
    """One row at a time, without padding, as embeddings that plain transformers gets."""
    rows = []
    for row in ids:
        words = model.get_input_embeddings()(row[row != model.config.pad_token_id])
        rows.append(model(inputs_embeds=torch.cat([words[:at], vectors, words[at:]])[None]).logits[0])
    return torch.stack(rows)


@pytest.mark.parametrize("at", [0, 1])
@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_a_prompt_is_what_plain_transformers_computes_from_embeddings(
    family: str, at: int, tiny: Callable[[str], Path]
) -> None:
    plain, model = opened(tiny(family)), with_prompt(opened(tiny(family)), at)
    vectors = prompt_in(model)()
    ids = padding(model)
    found = model(input_ids=ids, attention_mask=(ids != model.config.pad_token_id).long()).logits
    assert torch.allclose(found, by_hand(plain, vectors, ids, at), atol=1e-8)
    # and it is not what comes out without
    assert not torch.allclose(
        found, plain(ids, attention_mask=(ids != model.config.pad_token_id).long()).logits, atol=1e-6
    )


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_causal_models_see_no_future(family: str, tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny(family), AutoModelForCausalLM), 1)
    other = IDS[:1].clone()
    other[0, -1] = 9
    one, two = (model(input_ids=ids).logits for ids in (IDS[:1], other))
    assert torch.allclose(one[:, :-1], two[:, :-1], atol=1e-12)
    assert not torch.allclose(one[:, -1], two[:, -1], atol=1e-6)


def test_kinds_of_tokens_are_made_longer_too(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("bert")), 1)
    first = torch.zeros_like(IDS[:1])
    assert torch.allclose(
        model(input_ids=IDS[:1], token_type_ids=first).logits, model(input_ids=IDS[:1]).logits, atol=1e-12
    )
    assert not torch.allclose(
        model(input_ids=IDS[:1], token_type_ids=first + 1).logits, model(input_ids=IDS[:1]).logits
    )


def test_names_stay_and_the_vectors_come_to_them(tiny: Callable[[str], Path]) -> None:
    before = opened(tiny("bert")).state_dict()
    after = with_prompt(opened(tiny("bert")), 1).state_dict()
    assert after.keys() - before.keys() == {"bert.embeddings.word_embeddings.prompt.vectors"}
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_tied_heads_stay_tied(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("bert"), AutoModelForMaskedLM), 1)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    model.tie_weights()
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_the_vectors_alone_get_a_gradient(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("llama")), 1)
    model(input_ids=IDS[:1]).logits.sum().backward()
    assert [name for name, one in model.named_parameters() if one.grad is not None] == [
        "model.embed_tokens.prompt.vectors"
    ]
    assert (prompt_in(model).vectors.grad.abs().sum(1) > 0).all()


def test_copies_are_independent(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("bert")), 1)
    expected = model(input_ids=IDS[:1]).logits
    copied = copy.deepcopy(model)
    with torch.no_grad():
        prompt_in(model).vectors.mul_(-1)
    assert torch.allclose(copied(input_ids=IDS[:1]).logits, expected, atol=1e-12)
    assert not torch.allclose(model(input_ids=IDS[:1]).logits, expected, atol=1e-12)


def test_the_faster_parts_do_not_replace_it(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("bert")), 1)
    expected = model(input_ids=IDS[:1]).logits
    assert isinstance(word_table(model), AddingEmbedding)
    assert torch.allclose(quicken(model)(input_ids=IDS[:1]).logits, expected, atol=1e-6)


def test_a_table_that_scales_still_does() -> None:
    config = tf.Gemma3TextConfig(
        vocab_size=19,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    model = tf.Gemma3TextForSequenceClassification(config)
    stock = model.get_input_embeddings()
    expected = stock(IDS)
    assert not torch.allclose(expected, nn.functional.embedding(IDS, stock.weight))
    add_virtual_tokens(model, Vectors(random_vectors(model, LENGTH)))
    assert torch.equal(word_table(model)(IDS), expected)
    assert torch.equal(word_table(model)(torch.tensor([FIRST_VIRTUAL + 2])), prompt_in(model)()[2:3])
    assert not list(stock.children())


def test_encoder_and_decoder_share_one_prompt() -> None:
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    config = tf.T5Config(vocab_size=19, eos_token_id=3, pad_token_id=0, decoder_start_token_id=0, **sizes)
    model = with_prompt(tf.T5ForSequenceClassification(config).eval().requires_grad_(False), 1)
    assert [name for name, one in model.named_parameters() if one.requires_grad] == [
        "transformer.shared.prompt.vectors"
    ]
    padded = model(input_ids=IDS, attention_mask=(IDS != 0).long()).logits
    assert torch.allclose(padded[1:], model(input_ids=IDS[1:, :3]).logits, atol=1e-5)


def test_vectors_start_as_words(tiny: Callable[[str], Path]) -> None:
    model, tokenizer = opened(tiny("bert")), tiny_models.word_tokenizer()
    table = word_table(model).weight
    vectors = word_vectors(model, [7, None, 8] + [None] * 200, tokenizer)
    assert torch.equal(vectors[[0, 2]], table[[7, 8]])
    drawn = {int((table == row).all(1).nonzero()) for row in vectors}
    ordinary = set(tokenizer.get_vocab().values()) - set(tokenizer.all_special_ids)
    assert drawn == ordinary
    torch.manual_seed(0)
    spread = random_vectors(model, 1000)
    assert spread.std().item() == pytest.approx(table.std().item(), rel=0.05)


def test_a_network_has_one_prompt(tiny: Callable[[str], Path]) -> None:
    model = with_prompt(opened(tiny("bert")), 1)
    with pytest.raises(RecipeError) as refused:
        add_virtual_tokens(model, Vectors(torch.zeros(1, 32)))
    assert str(refused.value) == (
        "method: two methods put learned tokens into the input, and a network takes them from one: choose one of prompt, ptuning "
        "and cloze with {soft}."
    )


def test_a_network_without_words_is_refused() -> None:
    config = tf.ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=32)
    with pytest.raises(RecipeError) as refused:
        add_virtual_tokens(tf.ViTForImageClassification(config), Vectors(torch.zeros(1, 8)))
    assert str(refused.value) == (
        "method: learned tokens need a model that reads tokens, and this one has no word embedding."
    )
