"""Tiny random models of many families, each with a word tokenizer, saved as Hugging Face folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForCausalLM,
    AutoModelForImageClassification,
    AutoModelForMaskedLM,
    AutoModelForSeq2SeqLM,
    PreTrainedTokenizerFast,
)

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
REAL = ("stories260k", "multilingual-e5-small-zhen", "efficientnet-lite0", "whisper-tiny-en-encoder")
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

MORE_FAMILIES: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "qwen3": lambda ids: tf.Qwen3Config(**WIDTHS, num_key_value_heads=1, head_dim=16, **ids),
    "t5": lambda ids: tf.T5Config(
        d_model=32,
        d_kv=16,
        d_ff=64,
        num_layers=2,
        num_heads=2,
        **{**ids, "decoder_start_token_id": ids["pad_token_id"]},
    ),
}
"""Families that only the conformance suite goes through."""

ANSWERING: Mapping[str, Callable[[dict[str, Any]], Any]] = {
    "t5": MORE_FAMILIES["t5"],
    "bart": lambda ids: tf.BartConfig(
        **{f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")},
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=POSITIONS,
        dropout=0.0,
        **{**ids, "decoder_start_token_id": ids["eos_token_id"], "forced_eos_token_id": ids["eos_token_id"]},
    ),
}
"""Families that read by an encoder and write by a decoder."""

CAUSAL = ("llama", "qwen3", "gpt2", "stories260k")
"""Families and models in which no token sees the ones behind it."""

SEEING: Mapping[str, Callable[[], Any]] = {
    "vit": lambda: tf.ViTConfig(**{**WIDTHS, "num_hidden_layers": 2}, image_size=16, patch_size=8),
    "convnext": lambda: tf.ConvNextConfig(hidden_sizes=[8, 16, 32, 32], depths=[1, 1, 2, 1], image_size=32),
    "resnet": lambda: tf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], layer_type="basic"),
}
"""Families that read images, to their configurations."""

HEARING: Mapping[str, Callable[[], Any]] = {
    "whisper": lambda: tf.WhisperConfig(
        **{f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")},
        vocab_size=60,
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=8,
        max_source_positions=20,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    ),
    "wav2vec2": lambda: tf.Wav2Vec2Config(
        **{**WIDTHS, "num_hidden_layers": 2},
        conv_dim=[16, 16],
        conv_stride=[4, 2],
        conv_kernel=[8, 4],
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        classifier_proj_size=16,
        apply_spec_augment=False,
    ),
}
"""Families that read sound, to their configurations."""


def make(family: str, folder: Path) -> Path:
    """Write a model without a task head, as base models are published, and its tokenizer; returns the folder."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer(pad_id=1 if family == "roberta" else 0)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = {**FAMILIES, **MORE_FAMILIES}[family]({**ids, "vocab_size": len(tokenizer)})
    options = {"add_pooling_layer": False} if "without pooler" in family else {}
    AutoModel.from_config(config, **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_speaking(family: str, folder: Path) -> Path:
    """As `make`, with the head that predicts words, and a mask token where words are predicted in a gap."""
    make(family, folder)
    mask = {} if family in CAUSAL else {"mask_token": "[MASK]"}
    word_tokenizer(pad_id=1 if family == "roberta" else 0, **mask).save_pretrained(folder)
    torch.manual_seed(0)
    kind = AutoModelForCausalLM if family in CAUSAL else AutoModelForMaskedLM
    kind.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


def make_answering(family: str, folder: Path) -> Path:
    """Write a model with an encoder, a decoder and the head that predicts words, and its tokenizer."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = ANSWERING[family]({**ids, "vocab_size": len(tokenizer)})
    AutoModelForSeq2SeqLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_perceiving(family: str, folder: Path) -> Path:
    """Write a model for images or sound, trained for two classes."""
    torch.manual_seed(0)
    kinds = [(SEEING, AutoModelForImageClassification), (HEARING, AutoModelForAudioClassification)]
    configs, kind = next(pair for pair in kinds if family in pair[0])
    config = configs[family]()
    config.num_labels = 2
    kind.from_config(config).save_pretrained(folder)
    return folder


def shorten_whisper(source: Path, folder: Path, positions: int) -> Path:
    """A Whisper classifier for shorter recordings: the first `positions` rows of its table."""
    whole = AutoModelForAudioClassification.from_pretrained(source, num_labels=2, dtype=torch.float32)
    rows = whole.encoder.embed_positions.weight.detach()[:positions].clone()
    whole.encoder.embed_positions = torch.nn.Embedding(*rows.shape, _weight=rows)
    whole.config.max_source_positions = positions
    whole.save_pretrained(folder)
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
