"""Small files of synonyms made on the spot, and every augmentation with what it needs."""

from __future__ import annotations

from pathlib import Path

from luthier.augment import AUGMENTATIONS, Augmentation

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


def members(folder: Path) -> dict[str, Augmentation]:
    """Every registered augmentation, those that read files with files in `folder`."""
    needed = {"synonyms": {"file": cilin(folder)}}
    return {name: AUGMENTATIONS[name].model_validate(needed.get(name, {})) for name in AUGMENTATIONS}
