"""The configuration of a network that sees and writes, known to transformers' AutoConfig after `import luthier`."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is

KIND = "luthier-captioner"


class CaptionerConfig(PreTrainedConfig):  # type: ignore[misc]
    """A network that reads images, a language model, and how often that looks at the image."""

    model_type = KIND
    sub_configs = {"image_config": AutoConfig, "text_config": AutoConfig}

    image_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the tower that reads images."""
    text_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the language model."""
    image_width: int = 0
    """Numbers for each place of the image that its tower gives."""
    every: int = 4
    """The image is looked at before the last block, and before each so many blocks below."""
    is_encoder_decoder: bool = True
    """The image is encoded once, and a text decoded from it."""
    decoder_start_token_id: int | None = None
    """With which every text begins."""
    tie_word_embeddings: bool = False
    """Of the whole; the language model's own configuration says whether its are tied."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Make configurations of what a file holds."""
        for name in self.sub_configs:
            value = getattr(self, name)
            if isinstance(value, dict):
                fields = {key: one for key, one in value.items() if key != "model_type"}
                setattr(self, name, AutoConfig.for_model(value["model_type"], **fields))
        super().__post_init__(**kwargs)


AutoConfig.register(CaptionerConfig.model_type, CaptionerConfig)
