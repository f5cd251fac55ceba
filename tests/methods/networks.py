"""Tiny random networks for text, images and sound, built in memory, each with a batch for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

from luthier.models.anatomy import Anatomy, examine

WIDTHS: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_labels": 3,
}
TEXT: Mapping[str, Any] = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "num_labels": 3}
TOKENS: Mapping[str, Tensor] = {
    "input_ids": torch.tensor([[5, 6, 7, 8, 9, 2], [9, 10, 11, 2, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]),
}


def _pixels() -> dict[str, Tensor]:
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))}


def _bert() -> nn.Module:
    return tf.BertForSequenceClassification(tf.BertConfig(**{**WIDTHS, **TEXT}))


def _roberta() -> nn.Module:
    return tf.RobertaForSequenceClassification(tf.RobertaConfig(**{**WIDTHS, **TEXT}, max_position_embeddings=64))


def _distilbert() -> nn.Module:
    config = tf.DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, **TEXT)
    return tf.DistilBertForSequenceClassification(config)


def _modernbert() -> nn.Module:
    ids = {"cls_token_id": 1, "sep_token_id": 2}
    return tf.ModernBertForSequenceClassification(tf.ModernBertConfig(**{**WIDTHS, **TEXT}, **ids))


def _deberta() -> nn.Module:
    relative = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
    return tf.DebertaV2ForSequenceClassification(tf.DebertaV2Config(**{**WIDTHS, **TEXT}, **relative))


def _llama() -> nn.Module:
    return tf.LlamaForSequenceClassification(tf.LlamaConfig(**{**WIDTHS, **TEXT}, num_key_value_heads=1))


def _qwen3() -> nn.Module:
    heads = {"num_key_value_heads": 1, "head_dim": 16}
    return tf.Qwen3ForSequenceClassification(tf.Qwen3Config(**{**WIDTHS, **TEXT}, **heads))


def _gpt2() -> nn.Module:
    config = tf.GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=32, **TEXT)
    return tf.GPT2ForSequenceClassification(config)


def _t5() -> nn.Module:
    widths = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2}
    config = tf.T5Config(**widths, **TEXT, decoder_start_token_id=0)
    return tf.T5ForSequenceClassification(config)


def _vit() -> nn.Module:
    return tf.ViTForImageClassification(tf.ViTConfig(**WIDTHS, image_size=32, patch_size=8))


def _convnext() -> nn.Module:
    config = tf.ConvNextConfig(hidden_sizes=[16, 32, 32, 32], depths=[1, 1, 2, 1], num_labels=3)
    return tf.ConvNextForImageClassification(config)


def _resnet() -> nn.Module:
    config = tf.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", num_labels=3)
    return tf.ResNetForImageClassification(config)


def _whisper() -> nn.Module:
    sizes = {f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in ("layers", "attention_heads")}
    config = tf.WhisperConfig(
        **sizes,
        **{**TEXT, "vocab_size": 60},
        d_model=32,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_mel_bins=8,
        max_source_positions=20,
        decoder_start_token_id=1,
    )
    return tf.WhisperForAudioClassification(config)


def _wav2vec2() -> nn.Module:
    convolutions = {"conv_dim": [16, 16], "conv_stride": [4, 2], "conv_kernel": [8, 4]}
    positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
    config = tf.Wav2Vec2Config(**WIDTHS, **convolutions, **positions, classifier_proj_size=16)
    return tf.Wav2Vec2ForSequenceClassification(config)


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], Callable[[], Mapping[str, Tensor]]]] = {
    "bert": (_bert, lambda: TOKENS),
    "roberta": (_roberta, lambda: TOKENS),
    "distilbert": (_distilbert, lambda: TOKENS),
    "modernbert": (_modernbert, lambda: TOKENS),
    "deberta": (_deberta, lambda: TOKENS),
    "llama": (_llama, lambda: TOKENS),
    "qwen3": (_qwen3, lambda: TOKENS),
    "gpt2": (_gpt2, lambda: TOKENS),
    "t5": (_t5, lambda: TOKENS),
    "vit": (_vit, _pixels),
    "convnext": (_convnext, _pixels),
    "resnet": (_resnet, _pixels),
    "whisper": (
        _whisper,
        lambda: {"input_features": torch.randn(2, 8, 40, generator=torch.Generator().manual_seed(1))},
    ),
    "wav2vec2": (_wav2vec2, lambda: {"input_values": torch.randn(2, 400, generator=torch.Generator().manual_seed(1))}),
}


@dataclass
class Network:
    """A frozen random network in evaluation mode."""

    model: Any
    anatomy: Anatomy
    batch: Mapping[str, Tensor]

    def logits(self, model: nn.Module | None = None) -> Tensor:
        """Of the network, or of another with the same input."""
        return (model or self.model).eval()(**self.batch).logits


def network(name: str) -> Network:
    """Build one: the same weights at each call, and large enough that the logits differ from row to row."""
    make, batch = NETWORKS[name]
    torch.manual_seed(0)
    model = make().eval().requires_grad_(False)
    return Network(model, examine(model), batch())
