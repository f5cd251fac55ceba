"""What the configurations of networks that are made of one for images and one for texts have in common."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is


class JoinedConfig(PreTrainedConfig):  # type: ignore[misc]
    """Two networks as they were pretrained."""

    sub_configs = {"image_config": AutoConfig, "text_config": AutoConfig}

    image_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the tower that reads images."""
    text_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the tower that reads texts, or of the language model."""
    image_width: int = 0
    """Numbers for each place of the image that its tower gives."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Make configurations of what a file holds."""
        for name in self.sub_configs:
            value = getattr(self, name)
            if isinstance(value, dict):
                fields = {key: one for key, one in value.items() if key != "model_type"}
                setattr(self, name, AutoConfig.for_model(value["model_type"], **fields))
        super().__post_init__(**kwargs)
