"""Clean splits, and ways to plant leaks in them."""

from __future__ import annotations

import random
import re
from typing import Any

import datasets
import numpy as np

from luthier.data import duplicates
from luthier.data.leakage import Certificate, Side

SIZES = {"train": 300, "validation": 60, "test": 80}
WORDS = ["".join(random.Random(word).choices("abcdefghilmnoprstu", k=6)) for word in range(400)]


def exactly(text: str) -> str:
    return f"^{re.escape(text)}$"


def clean_splits(seed: int = 0) -> dict[str, Side]:
    """Rows of different words whose labels nothing tells but a weak leaning of some words."""
    chance, splits, start = random.Random(seed), {}, 0
    for name, size in SIZES.items():
        labels = [chance.choice(["bad", "good"]) for _ in range(size)]
        texts = [
            " ".join(
                [
                    *chance.choices(WORDS, k=chance.randint(8, 20)),
                    *(["well"] if label == "good" and chance.random() < 0.3 else []),
                ]
            )
            for label in labels
        ]
        splits[name] = Side(texts, labels, np.arange(start, start + size))
        start += size
    return splits


def texts_of(splits: dict[str, Side]) -> list[str]:
    return [text for side in splits.values() for text in side.texts]


def exact_of(splits: dict[str, Side]) -> np.ndarray:
    return duplicates.exact(datasets.Dataset.from_dict({"text": texts_of(splits)}), "text").equal


def values() -> dict[str, list[Any]]:
    """Ids, groups and days that nothing is wrong with."""
    rows = sum(SIZES.values())
    return {"id": [f"r{row}" for row in range(rows)], "group": [f"g{row // 4}" for row in range(rows)]}


def days() -> np.ndarray:
    return np.datetime64("2024-01-01") + np.arange(sum(SIZES.values()))


def leaking(certificate: Certificate) -> list[tuple[str, tuple[str, ...], int]]:
    return [(check.kind, check.splits, check.rows) for check in certificate.leaks]


def plant(splits: dict[str, Side], to: str, row: int, text: str) -> None:
    texts = list(splits[to].texts)
    texts[row] = text
    splits[to] = Side(texts, splits[to].labels, splits[to].numbers)


def cut(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."
