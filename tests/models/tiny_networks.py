"""Tiny random networks with a task head, of every family whose attention goes through transformers' registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import transformers as tf
from torch import Tensor

TEXT: Mapping[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
IDS: Mapping[str, Any] = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
STARTS: Mapping[str, int] = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
SOUND: Mapping[str, Any] = {"conv_dim": (16, 16), "conv_kernel": (40, 10), "conv_stride": (40, 10)}
NETWORKS: Mapping[str, tuple[Any, Callable[[], Any], int]] = {
    "bert": (tf.BertForSequenceClassification, lambda: tf.BertConfig(**TEXT), 2),
    "roberta": (tf.RobertaForSequenceClassification, lambda: tf.RobertaConfig(**TEXT), 2),
    "distilbert": (
        tf.DistilBertForSequenceClassification,
        lambda: tf.DistilBertConfig(vocab_size=40, dim=32, n_layers=2, n_heads=4, hidden_dim=48, pad_token_id=0),
        2,
    ),
    "modernbert": (
        tf.ModernBertForSequenceClassification,
        lambda: tf.ModernBertConfig(**TEXT, **_ends(), local_attention=4, global_attn_every_n_layers=2),
        2,
    ),
    "llama": (
        tf.LlamaForSequenceClassification,
        lambda: tf.LlamaConfig(**TEXT, **_ends(), num_key_value_heads=2),
        2,
    ),
    "mistral with a window": (
        tf.MistralForSequenceClassification,
        lambda: tf.MistralConfig(**TEXT, **_ends(), num_key_value_heads=2, sliding_window=4),
        2,
    ),
    "qwen3": (
        tf.Qwen3ForSequenceClassification,
        lambda: tf.Qwen3Config(**TEXT, num_key_value_heads=1, head_dim=16),
        2,
    ),
    "gpt2": (
        tf.GPT2ForSequenceClassification,
        lambda: tf.GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4, n_inner=48, n_positions=40, **IDS),
        2,
    ),
    "t5": (
        tf.T5ForSequenceClassification,
        lambda: tf.T5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, **STARTS),
        6,
    ),
    "vit": (
        tf.ViTForImageClassification,
        lambda: tf.ViTConfig(**_layers(), image_size=16, patch_size=8),
        2,
    ),
    "whisper": (
        tf.WhisperForAudioClassification,
        lambda: tf.WhisperConfig(
            d_model=32,
            encoder_layers=2,
            encoder_attention_heads=4,
            encoder_ffn_dim=48,
            num_mel_bins=8,
            max_source_positions=12,
        ),
        2,
    ),
    "wav2vec2": (
        tf.Wav2Vec2ForSequenceClassification,
        lambda: tf.Wav2Vec2Config(
            **_layers(), **SOUND, num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2
        ),
        2,
    ),
}
"""Class, configuration, and how many attention layers the network has."""
CAUSAL = ("llama", "mistral with a window", "qwen3", "gpt2")
TEXTS = tuple(name for name in NETWORKS if name not in ("vit", "whisper", "wav2vec2"))


def _ends() -> dict[str, int]:
    return {"bos_token_id": 1, "eos_token_id": 2}


def _layers() -> dict[str, int]:
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return {name: TEXT[name] for name in names}


def network(name: str) -> Any:
    """A tiny random network in evaluation mode, its matrices large enough for attention to be seen in the output."""
    torch.manual_seed(0)
    kind, config, _ = NETWORKS[name]
    model = kind(config()).eval()
    for one in model.parameters():
        if one.dim() == 2:
            one.data.mul_(5)
    return model


def words(*lengths: int) -> dict[str, Tensor]:
    """Rows of random words that end with the token 2, padded on the right."""
    tokens = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, length in zip(tokens, lengths, strict=True):
        row[:length] = torch.randint(3, 40, (length,))
        row[length - 1] = 2
    return {"input_ids": tokens, "attention_mask": (tokens != 0).long()}


def inputs(name: str) -> dict[str, Tensor]:
    other: dict[str, dict[str, Tensor]] = {
        "vit": {"pixel_values": torch.randn(2, 3, 16, 16)},
        "whisper": {"input_features": torch.randn(2, 8, 24)},
        "wav2vec2": {
            "input_values": torch.randn(2, 8000),
            "attention_mask": (torch.arange(8000) < torch.tensor([[8000], [5000]])).long(),
        },
    }
    return other.get(name) or words(12, 7, 3)
