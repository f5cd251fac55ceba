"""Tiny random networks of many families, where adapters belong in each, and adapters put there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn

import tiny_models
from luthier.methods import Context
from luthier.methods.adapter import Adapter
from luthier.models.anatomy import examine
from luthier.models.bottleneck import InputTap

IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "vocab_size": 30}
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}
KINDS = ("houlsby", "pfeiffer", "parallel")
Batch = dict[str, Tensor]


def tokens() -> Batch:
    """Two rows of 7 tokens, the second one padded."""
    ids = torch.tensor([[3, 4, 5, 6, 7, 8, 2], [9, 10, 11, 2, 0, 0, 0]])
    return {"input_ids": ids, "attention_mask": (ids != 0).long()}


def pixels() -> Batch:
    return {"pixel_values": torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))}


def spectrogram() -> Batch:
    return {"input_features": torch.randn(2, 8, 100, generator=torch.Generator().manual_seed(0))}


def wave() -> Batch:
    return {"input_values": torch.randn(2, 800, generator=torch.Generator().manual_seed(0))}


def text(family: str) -> Callable[[], nn.Module]:
    return lambda: tf.AutoModelForSequenceClassification.from_config(tiny_models.FAMILIES[family](IDS))


@dataclass(frozen=True)
class Network:
    """A tiny random network, and where adapters belong in it by the source of its family; `{}` is the number of a block."""

    make: Callable[[], nn.Module]
    batch: Callable[[], Batch]
    blocks: int
    attentions: tuple[str, ...]
    feedforwards: tuple[tuple[str, str], ...]
    """First and last linear layer."""

    def places(self, kind: str) -> set[str]:
        names = [last for _, last in self.feedforwards] + [*self.attentions] * (kind == "houlsby")
        return {name.format(block) for name in names for block in range(self.blocks)}

    def inputs(self, kind: str) -> set[str]:
        names = [first for first, _ in self.feedforwards] * (kind == "parallel")
        return {name.format(block) for name in names for block in range(self.blocks)}


def bert_like(prefix: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    block = f"{prefix}.encoder.layer.{{}}"
    return (f"{block}.attention.output.dense",), ((f"{block}.intermediate.dense", f"{block}.output.dense"),)


def llama_like() -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    block = "model.layers.{}"
    return (f"{block}.self_attn.o_proj",), ((f"{block}.mlp.gate_proj", f"{block}.mlp.down_proj"),)


STAGES = (
    "convnext.encoder.stages.0.layers.0",
    "convnext.encoder.stages.1.layers.0",
    "convnext.encoder.stages.1.layers.1",
)
NETWORKS = {
    "bert": Network(text("bert"), tokens, 3, *bert_like("bert")),
    "roberta": Network(text("roberta"), tokens, 3, *bert_like("roberta")),
    "deberta": Network(text("deberta"), tokens, 3, *bert_like("deberta")),
    "distilbert": Network(
        text("distilbert"),
        tokens,
        3,
        ("distilbert.transformer.layer.{}.attention.out_lin",),
        (("distilbert.transformer.layer.{}.ffn.lin1", "distilbert.transformer.layer.{}.ffn.lin2"),),
    ),
    "modernbert": Network(
        text("modernbert"),
        tokens,
        3,
        ("model.layers.{}.attn.Wo",),
        (("model.layers.{}.mlp.Wi", "model.layers.{}.mlp.Wo"),),
    ),
    "llama": Network(text("llama"), tokens, 3, *llama_like()),
    "qwen3": Network(
        lambda: tf.Qwen3ForSequenceClassification(
            tf.Qwen3Config(**SIZES, **IDS, num_key_value_heads=1, head_dim=16, num_labels=2)
        ),
        tokens,
        2,
        *llama_like(),
    ),
    "gpt2": Network(
        text("gpt2"),
        tokens,
        3,
        ("transformer.h.{}.attn.c_proj",),
        (("transformer.h.{}.mlp.c_fc", "transformer.h.{}.mlp.c_proj"),),
    ),
    "t5": Network(
        lambda: tf.T5ForSequenceClassification(
            tf.T5Config(
                vocab_size=30,
                d_model=32,
                d_kv=16,
                d_ff=64,
                num_layers=2,
                num_heads=2,
                feed_forward_proj="gated-gelu",
                pad_token_id=0,
                eos_token_id=2,
                decoder_start_token_id=0,
            )
        ),
        tokens,
        2,
        (
            "transformer.encoder.block.{}.layer.0.SelfAttention.o",
            "transformer.decoder.block.{}.layer.0.SelfAttention.o",
            "transformer.decoder.block.{}.layer.1.EncDecAttention.o",
        ),
        tuple(
            (f"transformer.{part}.DenseReluDense.wi_0", f"transformer.{part}.DenseReluDense.wo")
            for part in ("encoder.block.{}.layer.1", "decoder.block.{}.layer.2")
        ),
    ),
    "vit": Network(
        lambda: tf.ViTForImageClassification(tf.ViTConfig(**SIZES, image_size=32, patch_size=8, initializer_range=0.2)),
        pixels,
        2,
        ("vit.layers.{}.attention.o_proj",),
        (("vit.layers.{}.mlp.fc1", "vit.layers.{}.mlp.fc2"),),
    ),
    "convnext": Network(
        lambda: tf.ConvNextForImageClassification(
            tf.ConvNextConfig(
                hidden_sizes=[16, 32], depths=[1, 2], num_stages=2, image_size=32, layer_scale_init_value=1.0
            )
        ),
        pixels,
        1,
        (),
        tuple((f"{stage}.pwconv1", f"{stage}.pwconv2") for stage in STAGES),
    ),
    "whisper": Network(
        lambda: tf.WhisperForAudioClassification(
            tf.WhisperConfig(
                d_model=32,
                encoder_layers=2,
                encoder_attention_heads=2,
                encoder_ffn_dim=64,
                decoder_layers=1,
                decoder_attention_heads=2,
                decoder_ffn_dim=64,
                num_mel_bins=8,
                max_source_positions=50,
                init_std=0.2,
                classifier_proj_size=8,
            )
        ),
        spectrogram,
        2,
        ("encoder.layers.{}.self_attn.out_proj",),
        (("encoder.layers.{}.fc1", "encoder.layers.{}.fc2"),),
    ),
    "wav2vec2": Network(
        lambda: tf.Wav2Vec2ForSequenceClassification(
            tf.Wav2Vec2Config(
                **SIZES,
                conv_dim=(16, 16),
                conv_stride=(5, 2),
                conv_kernel=(10, 3),
                num_conv_pos_embeddings=8,
                num_conv_pos_embedding_groups=2,
                classifier_proj_size=8,
                apply_spec_augment=False,  # longer masks than there are frames
            )
        ),
        wave,
        2,
        ("wav2vec2.encoder.layers.{}.attention.out_proj",),
        (
            (
                "wav2vec2.encoder.layers.{}.feed_forward.intermediate_dense",
                "wav2vec2.encoder.layers.{}.feed_forward.output_dense",
            ),
        ),
    ),
}


def plain(family: str) -> Any:
    torch.manual_seed(0)
    return NETWORKS[family].make().eval()


def adapted(family: str, **settings: Any) -> Any:
    model = plain(family)
    return Adapter(**{"reduction": 4, **settings}).insert(model, examine(model), Context()).eval()


def stirred(model: Any) -> Any:
    """The network with random weights where adapters start with zeros, so that they do something."""
    torch.manual_seed(1)
    for name, one in model.named_parameters():
        if "bottleneck_" in name and "scale" not in name:
            nn.init.normal_(one, std=0.3)
    return model


@torch.no_grad()
def logits_of(model: Any, batch: Batch) -> Tensor:
    return model.eval()(**batch).logits


def taps_of(model: nn.Module) -> Iterator[InputTap]:
    return (one for one in model.modules() if isinstance(one, InputTap))
