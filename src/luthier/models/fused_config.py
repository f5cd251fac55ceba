"""The configuration of networks of two towers, known to transformers' AutoConfig after `import luthier`."""

from __future__ import annotations

from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is

from luthier.models.joined_config import JoinedConfig

CONCAT, GATED = "concat", "gated"


class FusedConfig(JoinedConfig):
    """Two towers, and how what they say of a row becomes one answer."""

    model_type = "luthier-fused"

    fusion: str = CONCAT
    """`concat` or `gated`."""
    projection_dim: int = 256
    """Width of the vectors where images and texts are aligned."""
    logit_scale_init_value: float = 2.6592
    """Logarithm of what their cosines are multiplied by at the start: 1 / 0.07, as in CLIP."""


AutoConfig.register(FusedConfig.model_type, FusedConfig)
