"""Tiny networks that see or hear, with the files that they read: folders as a person would have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    ViTImageProcessor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

import tiny_models

SIDE = 32
COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (200, 50, 40)}
TONES = {"high": 1760, "low": 220}


def images(folder: Path, rows: int, seed: int = 0) -> Path:
    """A folder of each colour with noisy pictures of it."""
    random = np.random.default_rng(seed)
    for colour, rgb in COLOURS.items():
        (folder / colour).mkdir(parents=True)
        for number in range(rows):
            pixels = np.clip(random.normal(rgb, 50, (SIDE + 8, SIDE, 3)), 0, 255).astype(np.uint8)
            PIL.Image.fromarray(pixels).save(folder / colour / f"{number}.png")
    return folder


def sounds(folder: Path, rows: int, seed: int = 0) -> Path:
    """Recordings of 0.2 to 0.4 seconds beside a metadata.csv with their tone and who made them."""
    random, lines = np.random.default_rng(seed), ["file_name,label,speaker"]
    folder.mkdir(parents=True)
    for tone, hertz in TONES.items():
        for number in range(rows):
            time = np.arange(int(8000 * random.uniform(0.2, 0.4))) / 8000
            wave = 0.3 * np.sin(2 * np.pi * hertz * time) + random.normal(0, 0.02, len(time))
            soundfile.write(folder / f"{tone}{number}.wav", wave, 8000)
            lines.append(f"{tone}{number}.wav,{tone},{'abcde'[number % 5]}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def network(family: str, folder: Path) -> Path:
    """A tiny network with what it reads by, as a hub's folder; Whisper's hears 30 seconds, as it does."""
    tiny_models.make_perceiving(family, folder)
    if family == "whisper":
        config = AutoConfig.from_pretrained(folder, max_source_positions=1500)
        AutoModelForAudioClassification.from_config(config).save_pretrained(folder)
    PROCESSORS[family]().save_pretrained(folder)
    return folder


PROCESSORS: Mapping[str, Callable[[], Any]] = {
    "vit": lambda: ViTImageProcessor(size={"height": 16, "width": 16}),
    "resnet": lambda: ViTImageProcessor(size={"height": SIDE, "width": SIDE}),
    "whisper": lambda: WhisperFeatureExtractor(feature_size=8),
    "wav2vec2": lambda: Wav2Vec2FeatureExtractor(return_attention_mask=True),
}
