"""The configuration of networks of two towers, known to transformers' AutoConfig after `import luthier`."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is

CONCAT, GATED = "concat", "gated"


class FusedConfig(PreTrainedConfig):  # type: ignore[misc]
    """Two towers, and how what they say of a row becomes one answer."""

    model_type = "luthier-fused"
    sub_configs = {"image_config": AutoConfig, "text_config": AutoConfig}

    image_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the tower that reads images."""
    text_config: PreTrainedConfig | dict[str, Any] | None = None
    """Of the tower that reads texts."""
    image_width: int = 0
    """Numbers for each place of the image that its tower gives."""
    fusion: str = CONCAT
    """`concat` or `gated`."""
    projection_dim: int = 256
    """Width of the vectors where images and texts are aligned."""
    logit_scale_init_value: float = 2.6592
    """Logarithm of what their cosines are multiplied by at the start: 1 / 0.07, as in CLIP."""

    def __post_init__(self, **kwargs: Any) -> None:
        """Make configurations of what a file holds."""
        for name in self.sub_configs:
            value = getattr(self, name)
            if isinstance(value, dict):
                fields = {key: one for key, one in value.items() if key != "model_type"}
                setattr(self, name, AutoConfig.for_model(value["model_type"], **fields))
        super().__post_init__(**kwargs)


AutoConfig.register(FusedConfig.model_type, FusedConfig)
