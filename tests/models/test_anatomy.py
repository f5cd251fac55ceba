from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch import nn
from transformers import AutoModelForSequenceClassification
from transformers.pytorch_utils import Conv1D

from luthier.models.anatomy import Anatomy, Stack, examine, parameters_of, widths

BERT_LINEARS = (
    *(f"attention.self.{name}" for name in ("query", "key", "value")),
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
EXPECTED = {
    "bert": Anatomy(
        head=("classifier",),
        blocks=("bert.encoder.layer.{}",),
        after=("bert.pooler",),
        embeddings=("bert.embeddings",),
        linears=tuple(f"bert.encoder.layer.{{}}.{name}" for name in BERT_LINEARS),
        attentions=("bert.encoder.layer.{}.attention", "bert.encoder.layer.{}.attention.self"),
        attention_outputs=("bert.encoder.layer.{}.attention.output.dense",),
        feedforward_inputs=("bert.encoder.layer.{}.intermediate.dense",),
        feedforward_outputs=("bert.encoder.layer.{}.output.dense",),
    ),
    "roberta": Anatomy(
        head=("classifier",),
        blocks=("roberta.encoder.layer.{}",),
        after=(),
        embeddings=("roberta.embeddings",),
        linears=tuple(f"roberta.encoder.layer.{{}}.{name}" for name in BERT_LINEARS),
        attentions=("roberta.encoder.layer.{}.attention", "roberta.encoder.layer.{}.attention.self"),
        attention_outputs=("roberta.encoder.layer.{}.attention.output.dense",),
        feedforward_inputs=("roberta.encoder.layer.{}.intermediate.dense",),
        feedforward_outputs=("roberta.encoder.layer.{}.output.dense",),
    ),
    "distilbert": Anatomy(
        head=("pre_classifier", "classifier"),
        blocks=("distilbert.transformer.layer.{}",),
        after=(),
        embeddings=("distilbert.embeddings",),
        linears=(
            *(f"distilbert.transformer.layer.{{}}.attention.{name}_lin" for name in ("q", "k", "v", "out")),
            *(f"distilbert.transformer.layer.{{}}.ffn.lin{number}" for number in (1, 2)),
        ),
        attentions=("distilbert.transformer.layer.{}.attention",),
        attention_outputs=("distilbert.transformer.layer.{}.attention.out_lin",),
        feedforward_inputs=("distilbert.transformer.layer.{}.ffn.lin1",),
        feedforward_outputs=("distilbert.transformer.layer.{}.ffn.lin2",),
    ),
    "deberta": Anatomy(
        head=("pooler", "classifier"),
        blocks=("deberta.encoder.layer.{}",),
        after=(),  # its relative positions and their norm stand behind the blocks, and every block reads them
        embeddings=("deberta.embeddings", "deberta.encoder.rel_embeddings"),
        linears=(
            *(
                f"deberta.encoder.layer.{{}}.attention.self.{name}"
                for name in ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj")
            ),
            *(f"deberta.encoder.layer.{{}}.{name}" for name in BERT_LINEARS[3:]),
        ),
        attentions=("deberta.encoder.layer.{}.attention", "deberta.encoder.layer.{}.attention.self"),
        attention_outputs=("deberta.encoder.layer.{}.attention.output.dense",),
        feedforward_inputs=("deberta.encoder.layer.{}.intermediate.dense",),
        feedforward_outputs=("deberta.encoder.layer.{}.output.dense",),
    ),
    "modernbert": Anatomy(
        head=("head", "classifier"),
        blocks=("model.layers.{}",),
        after=("model.final_norm",),
        embeddings=("model.embeddings",),
        linears=tuple(f"model.layers.{{}}.{name}" for name in ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")),
        attentions=("model.layers.{}.attn",),
        attention_outputs=("model.layers.{}.attn.Wo",),
        feedforward_inputs=("model.layers.{}.mlp.Wi",),
        feedforward_outputs=("model.layers.{}.mlp.Wo",),
    ),
    "llama": Anatomy(
        head=("score",),
        blocks=("model.layers.{}",),
        after=("model.norm",),
        embeddings=("model.embed_tokens",),
        linears=(
            *(f"model.layers.{{}}.self_attn.{name}_proj" for name in "qkvo"),
            *(f"model.layers.{{}}.mlp.{name}_proj" for name in ("gate", "up", "down")),
        ),
        attentions=("model.layers.{}.self_attn",),
        attention_outputs=("model.layers.{}.self_attn.o_proj",),
        feedforward_inputs=("model.layers.{}.mlp.gate_proj",),
        feedforward_outputs=("model.layers.{}.mlp.down_proj",),
    ),
    "gpt2": Anatomy(
        head=("score",),
        blocks=("transformer.h.{}",),
        after=("transformer.ln_f",),
        embeddings=("transformer.wte", "transformer.wpe"),
        linears=tuple(
            f"transformer.h.{{}}.{name}" for name in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")
        ),
        attentions=("transformer.h.{}.attn",),
        attention_outputs=("transformer.h.{}.attn.c_proj",),
        feedforward_inputs=("transformer.h.{}.mlp.c_fc",),
        feedforward_outputs=("transformer.h.{}.mlp.c_proj",),
    ),
}
"""By transformers' source of each family, for one block; `{}` is its number."""


def for_blocks(names: tuple[str, ...], blocks: int = 3) -> set[str]:
    return {name.format(number) for name in names for number in range(blocks)}


def in_blocks(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(names[0].format(number) for number in range(3))


@pytest.mark.parametrize("family", EXPECTED)
def test_parts_of_known_families(family: str, tiny: Callable[[str], Path]) -> None:
    found, expected = examine(AutoModelForSequenceClassification.from_pretrained(tiny(family))), EXPECTED[family]
    assert found.head == expected.head
    assert found.after == expected.after
    assert found.embeddings == expected.embeddings
    assert found.blocks == tuple(expected.blocks[0].format(number) for number in range(3))
    assert set(found.linears) == for_blocks(expected.linears)
    assert set(found.attentions) == for_blocks(expected.attentions)
    assert set(found.attention_outputs) == for_blocks(expected.attention_outputs)
    assert found.feedforward_inputs == in_blocks(expected.feedforward_inputs)
    assert found.feedforward_outputs == in_blocks(expected.feedforward_outputs)
    assert found.offers == {"blocks", "embeddings", "linears", "attentions"}


def test_parts_do_not_overlap_and_hold_every_parameter_of_the_base(tiny: Callable[[str], Path]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny("bert"))
    parts = examine(model)
    names = [
        name
        for part in (parts.head, parts.blocks, parts.after, parts.embeddings)
        for name, _ in parameters_of(model, part)
    ]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_what_the_checkpoint_lacks_belongs_to_the_head(tiny: Callable[[str], Path]) -> None:
    model, report = AutoModelForSequenceClassification.from_pretrained(
        tiny("bert without pooler"), output_loading_info=True
    )
    assert examine(model).head == ("classifier",)
    assert examine(model, report["missing_keys"]).head == ("classifier", "bert.pooler.dense")


def test_new_weights_inside_a_block_are_no_head(tiny: Callable[[str], Path]) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny("bert"))
    assert examine(model, ["bert.encoder.layer.1.output.dense.weight"]).head == ("classifier",)


def test_a_model_that_is_no_transformer_offers_what_it_has() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    found = examine(model)
    assert found.offers == {"embeddings"}
    assert found.embeddings == ("0",)


def test_parameters_of_takes_modules_and_parameters() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ModuleDict({"0": nn.Linear(2, 2)}))
    assert [name for name, _ in parameters_of(model, ["1"])] == ["1.0.weight", "1.0.bias"]
    assert [name for name, _ in parameters_of(model, ["0.bias"])] == ["0.bias"]


def test_encoder_and_decoder_have_sublayers() -> None:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": 9}
    found = examine(tf.T5ForConditionalGeneration(tf.T5Config(**sizes, feed_forward_proj="gated-gelu")))
    assert found.blocks == ("decoder.block.0",)
    assert found.attention_outputs == (
        "encoder.block.0.layer.0.SelfAttention.o",
        "decoder.block.0.layer.0.SelfAttention.o",
        "decoder.block.0.layer.1.EncDecAttention.o",
    )
    parts = ("encoder.block.0.layer.1", "decoder.block.0.layer.2")
    assert found.feedforward_inputs == tuple(f"{part}.DenseReluDense.wi_0" for part in parts)
    assert found.feedforward_outputs == tuple(f"{part}.DenseReluDense.wo" for part in parts)


def test_tables_of_an_encoder_that_holds_blocks_stand_alone() -> None:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": 9}
    found = examine(tf.T5ForConditionalGeneration(tf.T5Config(**sizes)))
    assert found.embeddings == ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
    assert found.below == (Stack(("encoder.block.0",), ("encoder.final_layer_norm",)),)
    assert found.beside == ()


def test_the_norm_of_the_embeddings_is_not_behind_the_blocks() -> None:
    """BART registers it there, and reads through it first."""
    sizes = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    found = examine(tf.BartForConditionalGeneration(tf.BartConfig(**sizes, d_model=16, vocab_size=9)))
    assert found.blocks == ("model.decoder.layers.0",)
    assert found.after == ()


def test_a_last_norm_behind_the_norm_of_the_embeddings_follows_the_blocks() -> None:
    sizes = {f"{part}_{what}": 1 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    found = examine(tf.MBartForConditionalGeneration(tf.MBartConfig(**sizes, d_model=16, vocab_size=9)))
    assert found.after == ("model.decoder.layer_norm",)
    assert found.below[0].after == ("model.encoder.layer_norm",)


def wav2vec2(**settings: Any) -> tf.Wav2Vec2ForSequenceClassification:
    config = tf.Wav2Vec2Config(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, conv_dim=(8,), conv_stride=(5,),
        conv_kernel=(10,), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2, **settings,
    )  # fmt: skip
    return tf.Wav2Vec2ForSequenceClassification(config)


def test_a_new_weight_of_the_base_itself_does_not_make_it_the_head() -> None:
    """Many checkpoints of wav2vec 2.0 lack their masked frame."""
    model = wav2vec2()
    assert examine(model, ["wav2vec2.masked_spec_embed"]) == examine(model)
    assert examine(model).bare == ()


@pytest.mark.parametrize("new", [(), ("layer_weights", "projector.weight")], ids=["loaded", "new"])
def test_a_weight_beside_the_base_that_is_in_no_module_belongs_to_the_head(new: tuple[str, ...]) -> None:
    found = examine(wav2vec2(use_weighted_layer_sum=True), new)
    assert found.whole_head == ("projector", "classifier", "layer_weights")
    assert found.head == ("projector", "classifier")


def test_a_weight_of_a_model_that_is_its_own_base_belongs_to_the_head_where_it_is_new() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_parameter("query", nn.Parameter(torch.zeros(2)))
    assert examine(model).bare == ()
    assert examine(model, ["query"]).bare == ("query",)


def test_narrow_layers_beside_an_attention_or_feedforward_write_no_output() -> None:
    """WavLM registers a gate for its relative positions behind the output."""
    config = tf.WavLMConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, conv_dim=(8,), conv_stride=(5,),
        conv_kernel=(10,), num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    layers = [f"wavlm.encoder.layers.{number}" for number in range(2)]
    found = examine(tf.WavLMForSequenceClassification(config))
    assert found.attention_outputs == tuple(f"{layer}.attention.out_proj" for layer in layers)
    assert found.feedforward_outputs == tuple(f"{layer}.feed_forward.output_dense" for layer in layers)


def test_convolutions_have_feedforwards_and_no_attention() -> None:
    config = tf.ConvNextConfig(hidden_sizes=[16, 32], depths=[1, 2], num_stages=2, image_size=32)
    found = examine(tf.ConvNextForImageClassification(config))
    layers = [f"convnext.encoder.stages.{name}" for name in ("0.layers.0", "1.layers.0", "1.layers.1")]
    assert found.attention_outputs == ()
    assert found.feedforward_inputs == tuple(f"{layer}.pwconv1" for layer in layers)
    assert found.feedforward_outputs == tuple(f"{layer}.pwconv2" for layer in layers)


def test_a_base_under_another_name_is_found() -> None:
    """Whisper's classifier says that its base is `model`, and holds an `encoder` alone."""
    sizes = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "num_mel_bins": 8}
    found = examine(tf.WhisperForAudioClassification(tf.WhisperConfig(**sizes, max_source_positions=50)))
    assert found.head == ("projector", "classifier")
    assert found.blocks == ("encoder.layers.0",)
    assert found.after == ("encoder.layer_norm",)
    assert found.embeddings == ("encoder.embed_positions",)


def test_new_weights_in_a_second_stack_are_left_to_the_head() -> None:
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 1, "num_heads": 2, "vocab_size": 9}
    model = tf.T5ForConditionalGeneration(tf.T5Config(**sizes))
    new = "encoder.block.0.layer.1.DenseReluDense.wo.weight"
    found = examine(model, [new])
    assert new.removesuffix(".weight") in found.head
    assert new.removesuffix(".weight") not in found.feedforward_outputs


def test_widths_of_both_kinds_of_linear_layer() -> None:
    assert widths(nn.Linear(3, 5)) == widths(Conv1D(5, 3)) == (3, 5)
