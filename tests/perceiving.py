"""Tiny networks that see or hear, with the files that they read: folders as a person would have them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import soundfile
import torch
from transformers import (
    AutoConfig,
    AutoModelForAudioClassification,
    ViTImageProcessor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
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


def sounds(folder: Path, rows: int, seed: int = 0, seconds: tuple[float, float] = (0.2, 0.4)) -> Path:
    """Recordings of some seconds each beside a metadata.csv with their tone and who made them."""
    random, lines = np.random.default_rng(seed), ["file_name,label,speaker"]
    folder.mkdir(parents=True)
    for tone, hertz in TONES.items():
        for number in range(rows):
            time = np.arange(int(8000 * random.uniform(*seconds))) / 8000
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


WORDS = {"high": "good film", "low": "bad room"}
"""What tones say, in the words of the tiny models."""


def spoken(folder: Path, rows: int, seed: int = 0) -> Path:
    """The recordings of `sounds` with a sentence each in place of their tone."""
    table = sounds(folder, rows, seed) / "metadata.csv"
    lines = [line.split(",") for line in table.read_text(encoding="utf-8").splitlines()[1:]]
    said = [f"{name},{WORDS[tone]},{speaker}" for name, tone, speaker in lines]
    table.write_text("\n".join(["file_name,sentence,speaker", *said]) + "\n", encoding="utf-8")
    return folder


def recogniser(folder: Path) -> Path:
    """A tiny Whisper that writes the words of the tiny models, with what it reads and writes by."""
    torch.manual_seed(0)
    tokenizer = tiny_models.word_tokenizer()
    begins, ends, fills = tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    config = tiny_models.HEARING["whisper"]()
    config.update({"vocab_size": len(tokenizer), "max_source_positions": 1500, "dropout": 0.0})
    config.update(
        {"bos_token_id": begins, "decoder_start_token_id": begins, "eos_token_id": ends, "pad_token_id": fills}
    )
    network = WhisperForConditionalGeneration(config)
    network.generation_config.update(is_multilingual=False, max_length=20)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    PROCESSORS["whisper"]().save_pretrained(folder)
    return folder


PROCESSORS: Mapping[str, Callable[[], Any]] = {
    "vit": lambda: ViTImageProcessor(size={"height": 16, "width": 16}),
    "resnet": lambda: ViTImageProcessor(size={"height": SIDE, "width": SIDE}),
    "whisper": lambda: WhisperFeatureExtractor(feature_size=8),
    "wav2vec2": lambda: Wav2Vec2FeatureExtractor(return_attention_mask=True),
}
