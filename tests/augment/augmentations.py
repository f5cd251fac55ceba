"""Small files of synonyms made on the spot, every augmentation with what it needs, and images and sounds to change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image

from luthier.augment import AUGMENTATIONS, Augmentation
from luthier.data.media.audio import Sound

ENGLISH = "The room was good , but Breakfast ( bread & tea ) COULD have been better ."
MIXED = "Good room, but 酒店的早餐很便宜，房间也干净。 Would 推荐 it!"

CILIN = """Dm04A10= 酒店 酒家 酒楼
Bn03A01= 房间 屋子 室 间
Ed27C01= 便宜 低廉 廉价 贱
Ka01A01= 非常 十分 很
Ed01A01= 非常 特殊
Eb01A01# 早餐 午餐
Eb02A01@ 干净
"""


def cilin(folder: Path) -> Path:
    """A text file of word groups in Cilin's form."""
    file = folder / "cilin.txt"
    file.write_text(CILIN, encoding="utf-8")
    return file


def names(medium: str) -> list[str]:
    """Registered augmentations of a medium."""
    return [name for name in AUGMENTATIONS if AUGMENTATIONS[name].medium == medium]


def picture(width: int = 40, height: int = 30, seed: int = 0) -> PIL.Image.Image:
    """Random pixels, no two alike."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return PIL.Image.fromarray(pixels)


def sound(samples: int = 800, seed: int = 0, rate: int = 8000) -> Sound:
    """Samples of half full scale, none of them 0."""
    drawn = np.random.default_rng(seed).uniform(0.01, 0.5, samples)
    return Sound((drawn * np.where(np.arange(samples) % 2, 1, -1)).astype(np.float32), rate)


def members(folder: Path) -> dict[str, Augmentation]:
    """Every registered augmentation, those that read files with files in `folder`."""
    needed = {"synonyms": {"file": cilin(folder)}}
    return {name: AUGMENTATIONS[name].model_validate(needed.get(name, {})) for name in AUGMENTATIONS}
