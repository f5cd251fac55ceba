"""Learned keys and values before those of attention layers (Li & Liang 2021, Prefix-Tuning, equation 3).

Not through `past_key_values`, which encoders lack, but through transformers' attention registry: the attention function
finds the prefix as the child `prefix` of the layer that calls it, puts its rows before the layer's own, and goes on to
luthier's attention, which goes on to `sdpa`. A prefix takes no position, every token sees all of it, and no token sees
more of the others than without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from luthier.models import attention
from luthier.models.boundary import answers_apart
from luthier.models.quiet import quiet

NAME = "luthier_prefix"
PROBE = "luthier_probe"
CHILD = "prefix"
"""What an attention layer's prefix is called."""

_REPLACED = ("sdpa", attention.NAME)
"""Implementations that compute what `prefix_attention` goes on to."""

Rows = tuple[Tensor, Tensor]
"""Keys (key heads, rows, width) and values (key heads, rows, value width) of one attention layer."""


class PlainPrefix(nn.Module):
    """Keys and values as they are: behind any norm or rotation by position that the layer applies to its own."""

    def __init__(self, rows: Rows) -> None:
        super().__init__()
        self.key, self.value = (nn.Parameter(one.detach().clone().contiguous()) for one in rows)

    def forward(self) -> Rows:
        """Keys and values."""
        return self.key, self.value


class Trunk(nn.Module):
    """What the prefixes of all layers are made from: a small matrix and the first layer of the network over it."""

    def __init__(self, length: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(length, hidden)
        self.dense = nn.Linear(hidden, hidden)

    def forward(self) -> Tensor:
        """Features (length, hidden)."""
        features: Tensor = torch.tanh(self.dense(self.embedding.weight))
        return features


class ProjectedPrefix(nn.Module):
    """Keys and values as outputs of a network: embedding, linear, tanh, linear; all but the last is shared by all layers.

    Args:
        trunk: one object for all attention layers of a network.
        rows: what the outputs are at the start; met exactly where `length` is at most `hidden`.
    """

    def __init__(self, trunk: Trunk, rows: Rows) -> None:
        super().__init__()
        self.trunk = trunk
        self.shapes = tuple(one.transpose(0, 1).shape[1:] for one in rows)
        wanted = torch.cat([one.transpose(0, 1).flatten(1) for one in rows], -1)
        self.dense = nn.Linear(trunk.dense.out_features, wanted.shape[1])
        with torch.no_grad():
            self.dense.bias.zero_()
            self.dense.weight.copy_(torch.linalg.pinv(trunk()).mm(wanted).T)

    def forward(self) -> Rows:
        """Keys and values."""
        flat = self.dense(self.trunk()).split([shape.numel() for shape in self.shapes], -1)
        key, value = (one.unflatten(-1, shape).transpose(0, 1) for one, shape in zip(flat, self.shapes, strict=True))
        return key, value

    def plain(self) -> PlainPrefix:
        """A prefix that holds what this one gives now."""
        with torch.no_grad():
            return PlainPrefix(self())


def prefix_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, Tensor | None]:
    """Attention as transformers' registry calls it, over the rows of `module.prefix` and those given.

    Args:
        module: the attention layer.
        query: (batch, heads, tokens, width).
        key: (batch, key heads, keys, width).
        value: as the keys; its width may differ.
        attention_mask: (1 or batch, 1 or heads, 1 or tokens, keys), True or 0 where attention may look, or None.
        dropout: probability of dropping an attention weight; 0 outside training.
        scaling: factor on the scores; default 1 / sqrt(width).
        rest: what single models add; `position_bias` (1 or batch, heads, tokens, keys) is 0 for the prefix (T5).

    Returns:
        Output (batch, tokens, heads, width), and None for the weights.
    """
    prefix = module._modules.get(CHILD)
    if prefix is not None:
        mask = _causal(module, query, key, rest) if attention_mask is None else attention_mask
        before: Rows = prefix()
        attention_mask = None if mask is None else _seen_by_all(mask, before[0].shape[1])
        if rest.get("position_bias") is not None:
            rest["position_bias"] = nn.functional.pad(rest["position_bias"], (before[0].shape[1], 0))
        key, value = (_put_before(rows, own) for rows, own in zip(before, (key, value), strict=True))
    return attention.dropout_attention(module, query, key, value, attention_mask, dropout, scaling, **rest)


def _causal(module: nn.Module, query: Tensor, key: Tensor, rest: Mapping[str, Any]) -> Tensor | None:
    """The mask that `sdpa` means when it is given none: it would take the prefix for tokens and hide the end of it."""
    causal = rest.get("is_causal")
    causal = getattr(module, "is_causal", True) if causal is None else causal
    tokens, keys = query.shape[2], key.shape[2]
    if not causal or tokens == 1:
        return None
    mask = torch.ones(tokens, keys, dtype=torch.bool, device=query.device).tril_()
    return mask.expand(query.shape[0], 1, tokens, keys)


def _seen_by_all(mask: Tensor, length: int) -> Tensor:
    """The mask with columns for the prefix put before its own; dimensions that were broadcast stay so."""
    small = mask[:, :, :1] if mask.stride(2) == 0 else mask
    wide = nn.functional.pad(small, (length, 0), value=mask.dtype == torch.bool)
    return wide.expand(*mask.shape[:3], -1)


def _put_before(rows: Tensor, own: Tensor) -> Tensor:
    return torch.cat([rows.to(own.dtype).expand(own.shape[0], *rows.shape), own], 2)


_SEEN: ContextVar[dict[nn.Module, Rows]] = ContextVar("_SEEN")
"""Where a running `probe` collects what asks for attention."""


def _probing_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **rest: Any
) -> tuple[Tensor, Tensor | None]:
    _SEEN.get().setdefault(module, (key[0], value[0]))
    output: tuple[Tensor, None] = sdpa_attention_forward(module, query, key, value, attention_mask, **rest)
    return output


AttentionInterface.register(NAME, prefix_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
AttentionInterface.register(PROBE, _probing_attention)
AttentionMaskInterface.register(PROBE, sdpa_mask)


def probe(model: nn.Module, length: int) -> dict[str, Rows]:
    """Which modules ask the attention registry, found by running the network once on a minimal input.

    Args:
        model: a transformers model; computes by `probe`'s own attention afterwards, until `attend` is called.
        length: tokens of the input, where it is text.

    Returns:
        Names of modules, and the keys and values of each for the input: random tokens for text, noise for images and
        sound. Empty where the network has its own way to compute attention, or reads something else.
    """
    main: Any = model
    if getattr(main, "main_input_name", "") not in INPUTS:
        return {}
    _switch(model, _REPLACED, PROBE)
    training, found = model.training, dict[nn.Module, Rows]()
    token = _SEEN.set(found)
    try:
        with torch.no_grad():
            beside = {"decoder_input_ids": _tokens(main.config, length).to(main.device)} if answers_apart(model) else {}
            inputs = {name: INPUTS[name](main.config, length).to(main.device) for name in _read(main)}
            model.eval()(**inputs, **beside)
    finally:
        _SEEN.reset(token)
        model.train(training)
    return {name: found[module] for name, module in model.named_modules() if module in found}


def _read(model: Any) -> tuple[str, ...]:
    """What a network is called with: its main input, or an image and a text where it reads both, as CLIP does."""
    both = set(model.input_modalities) == {"image", "text"}
    return ("pixel_values", "input_ids") if both else (model.main_input_name,)


def starts(found: Rows, length: int, activations: bool) -> Rows:
    """What a prefix of `length` rows starts as: rows that `probe` found, or random ones of the same size.

    Random rows have, for each width of each head, the mean and standard deviation of those found.
    """
    key, value = found
    if not activations:
        drawn = [torch.randn(len(one), length, one.shape[2]).to(one) for one in found]
        key, value = (
            one.mean(1, keepdim=True) + one.std(1, correction=0, keepdim=True) * new
            for one, new in zip(found, drawn, strict=True)
        )
        return key, value
    chosen = torch.arange(length) % key.shape[1]
    return key[:, chosen], value[:, chosen]


def attend(model: nn.Module) -> None:
    """Let the network compute attention with the prefixes that its layers have."""
    _switch(model, (PROBE, *_REPLACED), NAME)


def _switch(model: nn.Module, old: Collection[str], new: str) -> None:
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and part.config._attn_implementation in old:
            with quiet():
                part.set_attn_implementation(new)


def _tokens(config: Any, length: int) -> Tensor:
    """Sampled words; the last ends the text, where an end is known: T5 and BART take their answer there."""
    text = config.get_text_config()
    tokens = torch.randint(text.vocab_size, (1, length))
    if isinstance(text.eos_token_id, int) and text.eos_token_id < text.vocab_size:
        tokens[:, -1] = text.eos_token_id
    return tokens


def _pixels(config: Any, length: int) -> Tensor:
    """An image of the size that the network was made for, or of 224 pixels where it takes any."""
    settings = config.to_dict()
    parts = ("vision_config", "image_config", "encoder")  # of CLIP, of towers, and of a VisionEncoderDecoderModel
    settings = next((settings[part] for part in parts if settings.get(part)), settings)
    size = settings.get("image_size") or 224
    height, width = (size, size) if isinstance(size, int) else size
    return torch.randn(1, settings.get("num_channels") or 3, height, width)


def _samples(config: Any, length: int) -> Tensor:
    """A second of sound at 16 kHz; the spectrogram of one where the network reads that (AST)."""
    bins = config.to_dict().get("num_mel_bins")
    return torch.randn(1, config.max_length, bins) if bins else torch.randn(1, 16_000)


def _spectrogram(config: Any, length: int) -> Tensor:
    """Whisper reads windows of one length, which its first layers halve; wav2vec2-BERT any number of stacked frames."""
    width = config.to_dict().get("feature_projection_input_dim")
    return torch.randn(1, 50, width) if width else torch.randn(1, config.num_mel_bins, 2 * config.max_source_positions)


INPUTS: Mapping[str, Callable[[Any, int], Tensor]] = {
    "input_ids": _tokens,
    "pixel_values": _pixels,
    "input_values": _samples,
    "input_features": _spectrogram,
}
"""What a network calls its main input, and a minimal one made from its configuration."""
