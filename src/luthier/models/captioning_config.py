"""The configuration of a network that sees and writes, known to transformers' AutoConfig after `import luthier`."""

from __future__ import annotations

from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is

from luthier.models.joined_config import JoinedConfig


class CaptionerConfig(JoinedConfig):
    """A network that reads images, a language model, and how often that looks at the image."""

    model_type = "luthier-captioner"

    every: int = 4
    """The image is looked at before the last block, and before each so many blocks below."""
    is_encoder_decoder: bool = True
    """The image is encoded once, and a text decoded from it."""
    decoder_start_token_id: int | None = None
    """With which every text begins."""
    tie_word_embeddings: bool = False
    """Of the whole; the language model's own configuration says whether its are tied."""


AutoConfig.register(CaptionerConfig.model_type, CaptionerConfig)
