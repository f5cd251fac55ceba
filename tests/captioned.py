"""Tiny networks that read images with texts, and files of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import PIL.Image
import torch
import transformers as tf
from transformers import AutoModel, ViTImageProcessor

import perceiving
import tiny_models

TEXTS = {
    "blue": ("the film is very good", "good film", "the film is good"),
    "green": ("the room is not bad", "not bad room", "room is not bad"),
    "red": ("awful service", "the service is awful", "service is very awful"),
}
"""What is said of pictures of a colour, in words of the tiny tokenizer."""
SIDE = 16


def clip(ids: dict[str, Any]) -> Any:
    """The configuration of a tiny CLIP."""
    return tf.CLIPConfig(
        text_config={**_WIDTHS, **ids, "vocab_size": len(tiny_models.word_tokenizer())},
        vision_config={**_WIDTHS, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
    )


def siglip(ids: dict[str, Any]) -> Any:
    """The configuration of a tiny SigLIP."""
    return tf.SiglipConfig(
        text_config={**_WIDTHS, **ids, "vocab_size": len(tiny_models.word_tokenizer()), "projection_size": 32},
        vision_config={**_WIDTHS, "image_size": SIDE, "patch_size": 8},
    )


def chinese_clip(ids: dict[str, Any]) -> Any:
    """The configuration of a tiny Chinese CLIP, whose texts BERT reads."""
    return tf.ChineseCLIPConfig(
        text_config={**_WIDTHS, **ids, "vocab_size": len(tiny_models.word_tokenizer())},
        vision_config={**_WIDTHS, "image_size": SIDE, "patch_size": 8},
        projection_dim=16,
    )


_WIDTHS: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 32,
}
NETWORKS: Mapping[str, Callable[[dict[str, Any]], Any]] = {"clip": clip, "siglip": siglip, "chinese_clip": chinese_clip}


FUSIONS = ("concat", "gated")


def network(family: str, folder: Path) -> Path:
    """A tiny network that makes vectors of images and texts, as a hub's folder."""
    torch.manual_seed(0)
    tokenizer = tiny_models.word_tokenizer(model_max_length=32)
    ids = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
    AutoModel.from_config(NETWORKS[family](ids)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    processor().save_pretrained(folder)
    return folder


def towers(fusion: str, folder: Path) -> dict[str, str]:
    """What `model` says of a tiny network of two towers."""
    image, text = perceiving.network("vit", folder / "image"), tiny_models.make("bert", folder / "text")
    return {"image": str(image), "text": str(text), "fusion": fusion}


def processor() -> ViTImageProcessor:
    """What makes their images."""
    return ViTImageProcessor(size={"height": SIDE, "width": SIDE})


def captions(folder: Path, rows: int, seed: int = 0) -> Path:
    """A csv of pictures of each colour with what is said of them, and their number."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number in range(rows):
        colour = list(perceiving.COLOURS)[number % 3]
        pixels = np.clip(random.normal(perceiving.COLOURS[colour], 40, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
        caption = f"{TEXTS[colour][number // 3 % 3]} {number}"
        written.append({"photo": f"{number}.png", "caption": caption, "colour": colour, "number": number / 7})
    pd.DataFrame(written).to_csv(folder / "captions.csv", index=False)
    return folder / "captions.csv"
