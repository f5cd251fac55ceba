"""Tiny random models of many families, each with a word tokenizer, saved as Hugging Face folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoModel, PreTrainedTokenizerFast

WORDS = (
    "good",
    "great",
    "bad",
    "awful",
    "film",
    "room",
    "service",
    "phone",
    "story",
    "battery",
    "the",
    "is",
    "very",
    "not",
)
POSITIONS = 64
"""Rows of every position table."""
REAL = ("stories260k", "multilingual-e5-small-zhen")
"""Small real models among the assets."""

WIDTHS: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": POSITIONS,
}
FAMILIES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "bert": lambda ids: tf.BertConfig(**WIDTHS, **ids),
    "bert without pooler": lambda ids: tf.BertConfig(**WIDTHS, **ids),
    "roberta": lambda ids: tf.RobertaConfig(**WIDTHS, **ids),
    "distilbert": lambda ids: tf.DistilBertConfig(
        dim=32, n_layers=3, n_heads=2, hidden_dim=64, max_position_embeddings=POSITIONS, **ids
    ),
    "deberta": lambda ids: tf.DebertaV2Config(
        **WIDTHS,
        relative_attention=True,
        position_buckets=8,
        pos_att_type=["p2c", "c2p"],
        norm_rel_ebd="layer_norm",
        **ids,
    ),
    "modernbert": lambda ids: tf.ModernBertConfig(**WIDTHS, **ids),
    "llama": lambda ids: tf.LlamaConfig(**WIDTHS, num_key_value_heads=1, **ids),
    "gpt2": lambda ids: tf.GPT2Config(n_embd=32, n_layer=3, n_head=2, n_inner=64, n_positions=POSITIONS, **ids),
}
"""Name of a family to its configuration, given the tokenizer's special ids and size."""


def make(family: str, folder: Path) -> Path:
    """Write a model without a task head, as base models are published, and its tokenizer; returns the folder."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_id=1 if family == "roberta" else 0)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = FAMILIES[family]({**ids, "vocab_size": len(tokenizer)})
    options = {"add_pooling_layer": False} if "without pooler" in family else {}
    AutoModel.from_config(config, **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def word_tokenizer(pad_id: int = 0, **settings: Any) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words that puts [CLS] before and [SEP] behind; right padding unless `settings` say otherwise."""
    special = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    special.insert(pad_id, "[PAD]")
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "bos_token": "[CLS]", "eos_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{**names, "model_max_length": POSITIONS, **settings})
