"""Making one network of two: the folder that a recipe's `model: {image: ..., text: ...}` stands for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel, PreTrainedTokenizerBase

from luthier.errors import ModelError
from luthier.models.find import Base
from luthier.models.fused import FusedForClassification, body, places_of
from luthier.models.fused_config import FusedConfig
from luthier.models.heads import HEADS, TWIN
from luthier.models.open import architecture, open_processor, open_tokenizer
from luthier.models.quiet import quiet

PIXELS = "pixel_values"


def join(image: Base, text: Base, fusion: str, folder: Path) -> None:
    """Write the towers, without what joins them, and what makes their input.

    Args:
        image: reads images.
        text: reads texts.
        fusion: as in `FusedConfig`.
        folder: empty.

    Raises:
        ModelError: one of them does not read what it is to read.
    """
    architecture(image, "image")
    config = architecture(text, "text")
    if not HEADS[TWIN].can(config):
        raise ModelError(
            f"model: {text.name} cannot be the tower for text: expected an encoder or a decoder, and it is both."
        )
    processor, tokenizer = open_processor(image, "image"), open_tokenizer(text)
    seeing, reading = tower(image), tower(text)
    settings = FusedConfig(
        image_config=seeing.config.to_dict(),
        text_config=reading.config.to_dict(),
        image_width=width(seeing, processor),
        fusion=fusion,
    )
    settings.get_text_config().pad_token_id = tokenizer.pad_token_id
    whole = FusedForClassification(settings)
    whole.towers.image, whole.towers.text = seeing, reading
    write(whole, processor, tokenizer, folder)


def write(whole: Any, processor: Any, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """The towers of a network of two, without what joins them, and what makes their input."""
    state = {name: one for name, one in whole.state_dict().items() if name.startswith(f"{whole.base_model_prefix}.")}
    with quiet():
        whole.save_pretrained(str(folder), state_dict=state)
    processor.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))


def tower(base: Base) -> Any:
    """A pretrained network without its head."""
    with quiet():
        network = AutoModel.from_pretrained(base.location, **base.arguments, dtype=torch.float32, use_safetensors=True)
    return body(network).eval()


def width(network: Any, processor: Any) -> int:
    """Numbers for each place of an image, found by trying."""
    with torch.no_grad():
        return int(places_of(network(pixel_values=blank(processor)).last_hidden_state).shape[-1])


def blank(processor: Any) -> Tensor:
    """A black image as a network reads it, (1, 3, height, width)."""
    pixels: Tensor = processor([np.zeros((64, 64, 3), dtype=np.uint8)], return_tensors="pt")[PIXELS]
    return pixels
