"""Tiny models with their processors, and folders of images and sounds in two classes, for jobs that augment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from augmentations import picture, sound
from transformers import (
    AutoModelForAudioClassification,
    ViTImageProcessor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from small_jobs import recipe_for
from tiny_models import HEARING, make_perceiving

EXTRACTORS = {
    "whisper": lambda: WhisperFeatureExtractor(feature_size=8, chunk_length=1),
    "wav2vec2": lambda: Wav2Vec2FeatureExtractor(return_attention_mask=True),
}


def seeing(folder: Path) -> Path:
    """A ViT of 16 x 16 pixels, without dropout."""
    model = make_perceiving("vit", folder / "vit")
    ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(model)
    return model


def hearing(folder: Path, family: str = "whisper") -> Path:
    """A model of one second of sound with its extractor."""
    config = HEARING[family]()
    config.update({"num_labels": 2, **({"max_source_positions": 50} if family == "whisper" else {})})
    torch.manual_seed(0)
    AutoModelForAudioClassification.from_config(config).save_pretrained(folder / family)
    EXTRACTORS[family]().save_pretrained(folder / family)
    return folder / family


def images(folder: Path, rows: int = 30) -> Path:
    """Folders of bright and dark images, in which all pixels differ."""
    for row in range(rows):
        kind = ("dark", "bright")[row % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        dimmed = picture(20 + row, 24, row).point([level // 2 + 127 * (row % 2) for level in range(256)] * 3)
        dimmed.save(folder / kind / f"{row}.png")
    return folder


def sounds(folder: Path, rows: int = 30) -> Path:
    """Folders of loud and soft sounds of different lengths."""
    for row in range(rows):
        kind = ("soft", "loud")[row % 2]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        samples = sound(600 + 37 * row, row).samples * (0.1 + 0.9 * (row % 2))
        soundfile.write(folder / kind / f"{row}.wav", samples, 1600, subtype="FLOAT")
    return folder


def recipe(
    model: Path, data: Path, output: Path, augment: Any = (), train: dict[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """A recipe of 2 epochs in batches of 8; duplicates are not looked for among images of noise."""
    made = recipe_for(model, data, output, {"epochs": 2, "batch_size": 8, **(train or {})}, **keys)
    return made | {"data": {**made["data"], "augment": list(augment), "duplicates": "ignore"}}


def tensors(batch: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in batch.items()}
