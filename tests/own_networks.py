"""Networks that are no transformers models, as a person would write them into a file beside the recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

IMAGES = """
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, images):
        return nn.functional.relu(self.norm(self.conv(images)))


class Cnn(nn.Module):
    def __init__(self, num_labels, width=8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 4, stride=4)
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)
        self.shift = torch.tensor(0.5)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.fc = nn.Linear(width, num_labels)

    def forward(self, images):
        images = self.stem(images) * self.scale + self.shift
        for block in self.blocks:
            images = block(images)
        return self.fc(images.mean(dim=(2, 3)))


def cnn(num_labels, width=8):
    return Cnn(num_labels, width)


def ten_classes():
    return Cnn(10)


def convolutional(num_outputs):
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, num_outputs, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def certain(num_classes):
    return nn.Sequential(Cnn(num_classes), nn.LogSoftmax(dim=1))


def number():
    return 3


def every_pixel(num_labels):
    return nn.Conv2d(3, num_labels, 1)


def failing(depth):
    raise ValueError("depth must be even")


def headless():
    return nn.AdaptiveAvgPool2d(1)


def leaving():
    raise SystemExit(3)
"""

SOUNDS = """
from torch import nn


class Waves(nn.Module):
    def __init__(self, num_labels):
        super().__init__()
        self.first = nn.Conv1d(1, 8, 32, stride=8)
        self.last = nn.Linear(8, num_labels)

    def forward(self, samples, attention_mask=None):
        if attention_mask is not None:
            samples = samples * attention_mask
        return self.last(nn.functional.relu(self.first(samples[:, None])).mean(dim=2))
"""

TEXTS = """
from torch import nn


class Bag(nn.Module):
    def __init__(self, vocabulary, num_labels):
        super().__init__()
        self.words = nn.Embedding(vocabulary, 16)
        self.last = nn.Linear(16, num_labels)

    def forward(self, ids, attention_mask):
        mask = attention_mask[..., None].float()
        return self.last((self.words(ids) * mask).sum(1) / mask.sum(1))


class Deep(Bag):
    def __init__(self, vocabulary, num_labels):
        super().__init__(vocabulary, num_labels)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(2))
        self.last = nn.Linear(16, num_labels)

    def forward(self, ids, attention_mask):
        mask = attention_mask[..., None].float()
        read = (self.words(ids) * mask).sum(1) / mask.sum(1)
        for block in self.blocks:
            read = read + block(read)
        return self.last(read)
"""


def make(folder: Path) -> Path:
    """Write the folder of a network for images; returns it."""
    from luthier.networks.factory import Factory

    own = beside(folder.with_name(f"{folder.name} code"))
    folder.mkdir()
    Factory.model_validate(described(own)).build(folder)
    return folder


def beside(folder: Path, name: str = "images", text: str = IMAGES) -> Path:
    """A file with networks in the folder of a recipe; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def described(folder: Path, factory: str = "images:cnn", **keys: Any) -> Mapping[str, Any]:
    """What a recipe says of one of the networks for images."""
    return {"factory": factory, "folder": str(folder), "image_size": 16, **keys}
