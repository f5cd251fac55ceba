"""Tiny networks that write what is in an image, and pictures of shapes with captions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import PIL.ImageDraw
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    BlipConfig,
    GitConfig,
    GPT2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
)

import perceiving
import tiny_models

COLOURS = {"red": (210, 40, 40), "blue": (40, 60, 210), "green": (40, 170, 60)}
SHAPES = ("circle", "square", "cross")
SIDE = 16
WORDS = ("a", "an", "picture", "of", "the", *COLOURS, *SHAPES)
WIDTHS = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}


def captions(folder: Path, rows: int, seed: int = 0) -> Path:
    """A csv of drawn shapes, `photo`, with `caption`, "a red circle"; `blind`, one picture for all rows, shows nothing of it."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (SIDE, SIDE), (128, 128, 128)).save(folder / "blank.png")
    kinds = [(colour, shape) for colour in COLOURS for shape in SHAPES]
    written = []
    for number in range(rows):
        colour, shape = kinds[number % len(kinds)]
        drawn(colour, shape, random).save(folder / f"{number}.png")
        written.append({"photo": f"{number}.png", "caption": f"a {colour} {shape}", "blind": "blank.png"})
    pd.DataFrame(written).to_csv(folder / "captions.csv", index=False)
    return folder / "captions.csv"


def drawn(colour: str, shape: str, random: np.random.Generator) -> PIL.Image.Image:
    """A noisy picture of one shape, near the middle."""
    image = PIL.Image.new("RGB", (SIDE, SIDE), (235, 235, 235))
    pen, (left, top) = PIL.ImageDraw.Draw(image), random.integers(2, 4, 2).tolist()
    box = (left, top, left + 10, top + 10)
    if shape == "cross":
        pen.line(box, COLOURS[colour], 3)
        pen.line((box[0], box[3], box[2], box[1]), COLOURS[colour], 3)
    else:
        (pen.ellipse if shape == "circle" else pen.rectangle)(box, COLOURS[colour])
    noise = random.normal(0, 8, (SIDE, SIDE, 3))
    return PIL.Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def tokenizer() -> PreTrainedTokenizerFast:
    """Of whole words; it writes nothing around a text."""
    vocabulary = {word: number for number, word in enumerate(("<pad>", "<unk>", "<s>", "</s>", *WORDS))}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **special)


def writer(folder: Path, steps: int = 60) -> Path:
    """A tiny language model that has read the captions, and so knows which there are, as a hub's folder."""
    torch.manual_seed(0)
    words = tokenizer()
    ids = {name: getattr(words, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    config = LlamaConfig(**WIDTHS, vocab_size=len(words), max_position_embeddings=32, **ids)
    model = AutoModelForCausalLM.from_config(config)
    texts = [f"<s> a {colour} {shape} </s>" for colour in COLOURS for shape in SHAPES]
    read = torch.tensor([words(text)["input_ids"] for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=read, labels=read).loss.backward()
        optimizer.step()
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def networks(folder: Path, family: str = "", every: int = 1) -> dict[str, object]:
    """What `model` says of two tiny networks: a ViT, and a language model of a family of `tiny_models`, or of the captions' words."""
    image = perceiving.network("vit", folder / "image")
    text = tiny_models.make_speaking(family, folder / family) if family else writer(folder / "writer")
    return {"image": str(image), "writer": str(text), "every": every}


def encoder_decoder(folder: Path) -> Path:
    """A tiny VisionEncoderDecoderModel, as a hub's folder."""
    torch.manual_seed(0)
    words = tokenizer()
    decoder = GPT2Config(
        n_embd=24, n_layer=2, n_head=2, n_positions=32, vocab_size=len(words), bos_token_id=2, eos_token_id=3
    )
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(tiny_models.SEEING["vit"](), decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 0, 3
    VisionEncoderDecoderModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    perceiving.PROCESSORS["vit"]().save_pretrained(folder)
    return folder


def _blip(words: int) -> BlipConfig:
    text = {**WIDTHS, "vocab_size": words, "encoder_hidden_size": 32, "bos_token_id": 2, "sep_token_id": 3}
    seeing = {**WIDTHS, "image_size": SIDE, "patch_size": 8}
    return BlipConfig(text_config=text, vision_config=seeing, projection_dim=16)


def _git(words: int) -> GitConfig:
    seeing = {**WIDTHS, "image_size": SIDE, "patch_size": 8}
    return GitConfig(**WIDTHS, vision_config=seeing, vocab_size=words, max_position_embeddings=32)


BUILT_OTHERWISE: Mapping[str, Callable[[int], Any]] = {"blip": _blip, "git": _git}
"""Configurations of networks that see and write, and have no encoder and decoder as transformers means it."""


def built_otherwise(family: str, folder: Path) -> Path:
    """A tiny network of `BUILT_OTHERWISE`, as a hub's folder."""
    torch.manual_seed(0)
    words = tokenizer()
    AutoModelForImageTextToText.from_config(BUILT_OTHERWISE[family](len(words))).save_pretrained(folder)
    words.save_pretrained(folder)
    perceiving.PROCESSORS["vit"]().save_pretrained(folder)
    return folder
