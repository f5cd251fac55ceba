"""Configurations of networks that factories make, known to transformers' AutoConfig after `import luthier`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import (
    AutoConfig,
)  # from where it is: this is imported as soon as that is

from luthier.models.code import copy


class MadeConfig(PreTrainedConfig):  # type: ignore[misc]
    """How a network is made, and how it is built as far as that was found by trying."""

    model_type = "luthier-network"

    factory: str = ""
    """`module:function`."""
    code: str = ""
    """Hash of the module's file; empty for an installed one."""
    settings: dict[str, Any] | None = None
    """What the factory is called with, beside the number of outputs."""
    head: str = ""
    """Name of the module that gives the outputs."""
    apart: bool = False
    """Whether nothing follows it."""
    hidden_size: int | None = None
    """Width of what the head reads, where it is apart."""

    def save_pretrained(self, save_directory: str | PathLike[str], push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write config.json as transformers does, and the code beside it."""
        super().save_pretrained(save_directory, push_to_hub, **kwargs)
        copy(self.factory, self.code, Path(save_directory))


class ImageNetworkConfig(MadeConfig):
    """Of a network that reads images."""

    model_type = "luthier-image-network"


class AudioNetworkConfig(MadeConfig):
    """Of a network that reads raw samples."""

    model_type = "luthier-audio-network"


class TextNetworkConfig(MadeConfig):
    """Of a network that reads tokens."""

    model_type = "luthier-text-network"

    pad_token_id: int | None = None
    """Of the tokenizer."""


for _config in (ImageNetworkConfig, AudioNetworkConfig, TextNetworkConfig):
    AutoConfig.register(_config.model_type, _config)
