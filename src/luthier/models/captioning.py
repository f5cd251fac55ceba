"""A language model that looks at an image while it writes (Alayrac et al. 2022, "Flamingo", https://arxiv.org/abs/2204.14198).

    towers   `image` and `text`, as they were pretrained: a network without its head, and a language model with its own
    looks    new: gated layers between the blocks of the language model, closed at first, so that it begins as the language model alone

To transformers it has an encoder, the image's tower, and a decoder: `generate` encodes an image once, and what a layer needs of it is
made once too. The classes are known to transformers' Auto classes after `import luthier`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import Cache, DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.models.auto.modeling_auto import (  # from where it is: this module is imported as soon as that is
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from luthier.data.batches import IGNORED
from luthier.models.anatomy import examine
from luthier.models.captioning_config import CaptionerConfig
from luthier.models.cross_attention import GatedCrossAttention, Remembered, draw
from luthier.models.fused import body, places_of

Look = Callable[[Tensor], Tensor]
"""Hidden states of a text, (rows, tokens, width), with what was found in the image."""


class Captioner(PreTrainedModel, GenerationMixin):  # type: ignore[misc]
    """Writes what is in an image.

    Args:
        config: of the whole.
    """

    config_class = CaptionerConfig
    base_model_prefix = "towers"
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = False
    _supports_sdpa = True

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__(config)
        self.towers = Towers(config)
        self.looked_at = looked_at(self.towers.text, config.every)
        self.looks = Looks(config, len(self.looked_at))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """As transformers do; gates are closed."""
        super()._init_weights(module)
        if isinstance(module, GatedCrossAttention):
            draw(module)

    def forward(
        self,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: Any = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Seq2SeqLMOutput:
        """Logits of the tokens of each caption, (rows, tokens, vocabulary); the loss is made of them elsewhere.

        Args:
            pixel_values: (rows, 3, height, width).
            labels: (rows, tokens), -100 behind a caption. In place of `decoder_input_ids`: these are the labels, shifted to the right.
            decoder_input_ids: (rows, tokens), of which the cache has none.
            decoder_attention_mask: (rows, tokens in the cache and these): 0 where tokens are padding.
            encoder_outputs: what the image's tower gave, in place of `pixel_values`.
            past_key_values: what earlier calls computed.
            use_cache: whether the language model gives back what it computed.
            return_dict: passed over, as there is one kind of output; `generate` says it.
        """
        if encoder_outputs is None:
            encoder_outputs = self.towers.image(pixel_values=pixel_values)
        if decoder_input_ids is None:
            decoder_input_ids = self.shifted(labels)
        memory = Memory(places_of(encoder_outputs.last_hidden_state), past_key_values)
        with self._looking(memory):
            written = self.towers.text(
                input_ids=decoder_input_ids,
                attention_mask=decoder_attention_mask,
                past_key_values=memory.own,
                use_cache=use_cache,
            )
        cache = written.past_key_values if past_key_values is None else past_key_values
        return Seq2SeqLMOutput(logits=written.logits, past_key_values=cache)

    def shifted(self, labels: Any) -> Tensor:
        """What the language model reads so that it writes these labels, (rows, tokens): what all texts begin with, and all but the last."""
        filled = labels.masked_fill(labels == IGNORED, self.config.get_text_config().pad_token_id or 0)
        return torch.cat([torch.full_like(filled[:, :1], self.config.decoder_start_token_id), filled[:, :-1]], dim=1)

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """What reads images."""
        encoder: nn.Module = self.towers.image
        return encoder

    def get_decoder(self) -> nn.Module:
        """What writes."""
        decoder: nn.Module = self.towers.text
        return decoder

    def get_input_embeddings(self) -> nn.Module:
        """Those of the text."""
        embeddings: nn.Module = self.towers.text.get_input_embeddings()
        return embeddings

    def get_output_embeddings(self) -> nn.Module:
        """Those of the text."""
        embeddings: nn.Module = self.towers.text.get_output_embeddings()
        return embeddings

    @contextmanager
    def _looking(self, memory: Memory) -> Iterator[None]:
        """For the time of a call, let blocks of the language model begin with a look at the image."""
        looks = [partial(self.looks, seen=memory, number=number) for number in range(len(self.looked_at))]
        blocks = [self.towers.text.get_submodule(name) for name in self.looked_at]
        handles = [
            block.register_forward_pre_hook(partial(_look, look=look), with_kwargs=True)
            for block, look in zip(blocks, looks, strict=True)
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


class Towers(PreTrainedModel):  # type: ignore[misc]
    """Both networks, each as it is. A model of transformers, so that words which a language model reads and writes by one table stay so."""

    config_class = CaptionerConfig
    _supports_sdpa = True

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__(config)
        self.image = body(AutoModel.from_config(config.image_config))
        self.text = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()


class Looks(nn.Module):
    """The layers between the blocks of the language model.

    Args:
        config: of the whole.
        count: how many there are.
    """

    def __init__(self, config: CaptionerConfig, count: int) -> None:
        super().__init__()
        width = int(config.get_text_config().hidden_size)
        self.layers = nn.ModuleList(GatedCrossAttention(width, config.image_width) for _ in range(count))

    def forward(self, read: Tensor, seen: Memory, number: int) -> Tensor:
        """What one of the layers makes of hidden states, (rows, tokens, width)."""
        layer: Any = self.layers[number]
        looked: Tensor = layer(read, seen.places, seen.of(number, layer.remember))
        return looked


class Memory:
    """Images, and what was computed of them and of the texts so far.

    Args:
        places: of the images, (rows, places, width).
        cache: of transformers' `generate`; None where nothing is to be kept.
    """

    def __init__(self, places: Tensor, cache: Cache | None) -> None:
        self.places = places
        self.both = cache if isinstance(cache, EncoderDecoderCache) else None
        self.own = cache if self.both is None else self.both.self_attention_cache
        if self.both is not None and not any(self.both.is_updated.values()):
            self.both.cross_attention_cache = (
                DynamicCache()
            )  # without the language model's windows: images are seen whole

    def of(self, number: int, remember: Callable[[Tensor], Remembered]) -> Remembered:
        """What a layer needs of the images, made when it is first asked for."""
        if self.both is None:
            return remember(self.places)
        cache = self.both.cross_attention_cache
        if self.both.is_updated.get(number):
            return cache.layers[number].keys, cache.layers[number].values
        self.both.is_updated[number] = True
        kept: Remembered = cache.update(*remember(self.places), number)
        return kept


def looked_at(language_model: nn.Module, every: int) -> list[str]:
    """Names of the blocks of a language model that begin with a look at the image: the last one, and each so many blocks below."""
    blocks = examine(language_model).blocks
    return list(blocks[::-1][::every][::-1])


def _look(block: nn.Module, given: tuple[Any, ...], named: dict[str, Any], look: Look) -> tuple[Any, dict[str, Any]]:
    """Change the hidden states that a block is called with."""
    if given:
        return (look(given[0]), *given[1:]), named
    return given, {**named, "hidden_states": look(named["hidden_states"])}


AutoModelForImageTextToText.register(CaptionerConfig, Captioner)
