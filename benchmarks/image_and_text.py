"""Images with texts on two real networks: what fusion tells that neither of both does, and how well each is found by the other.

LUTHIER_ASSETS=assets python benchmarks/image_and_text.py FOLDER [TEXT_MODEL]

Draws shapes (seeded) with texts, and trains on them by recipes that differ in what they read. `questions`: the text asks whether the
shape has a colour, or has it not; the answer takes both. `captions`: colour, size, shape and place in words.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

import luthier

COLOURS = {
    "red": (200, 40, 40),
    "blue": (40, 60, 200),
    "green": (40, 160, 60),
    "yellow": (220, 200, 40),
    "purple": (140, 40, 160),
}
SHAPES = ("circle", "square", "triangle")
SIZES = {"small": 24, "large": 56}
PLACES = {"on the left": (64, 112), "on the right": (160, 112), "at the top": (112, 64), "at the bottom": (112, 160)}
SIDE = 224


def draw(file: Path, colour: str, shape: str, size: str, place: str, random: np.random.Generator) -> None:
    """A noisy picture of one shape."""
    picture = Image.fromarray(random.integers(190, 255, (SIDE, SIDE, 3), dtype=np.uint8))
    (x, y), half = PLACES[place], SIZES[size]
    x, y = x + int(random.integers(-8, 9)), y + int(random.integers(-8, 9))
    pen, box = ImageDraw.Draw(picture), (x - half, y - half, x + half, y + half)
    if shape == "circle":
        pen.ellipse(box, fill=COLOURS[colour])
    elif shape == "square":
        pen.rectangle(box, fill=COLOURS[colour])
    else:
        pen.polygon([(x, y - half), (x - half, y + half), (x + half, y + half)], fill=COLOURS[colour])
    picture.save(file)


def write(folder: Path, rows: int, seed: int = 0) -> Path:
    """The pictures with a question, its answer, and a caption."""
    random, table = np.random.default_rng(seed), []
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(rows):
        colour, shape, size, place = (str(random.choice(list(one))) for one in (COLOURS, SHAPES, SIZES, PLACES))
        draw(folder / f"{number}.png", colour, shape, size, place, random)
        asked = colour if random.random() < 0.5 else str(random.choice([one for one in COLOURS if one != colour]))
        negated = bool(random.random() < 0.5)
        question = f"Is the {shape} not {asked}?" if negated else f"Is the {shape} {asked}?"
        answer = "yes" if (asked == colour) != negated else "no"
        caption = f"a {size} {colour} {shape} {place}"
        table.append({"photo": f"{number}.png", "question": question, "answer": answer, "caption": caption})
    pd.DataFrame(table).to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def train(file: Path, name: str, columns: dict[str, str], model: Any, **more: Any) -> None:
    """One run and a line of its figures."""
    data = {"files": str(file), "columns": columns, "split": {"parts": [6, 2, 2]}}
    run = luthier.train(
        {"model": model, "data": data, "output": str(file.parent.parent / name), "method": "head", **more}
    )
    found = run.evaluate()
    shown = [key for key in found.metrics if key in {"accuracy", "mrr"} or "recall_1" in key or "recall_5" in key]
    told = ", ".join(
        f"{key} {found.metrics[key]:.3f} ({low:.3f} to {high:.3f})"
        for key in shown
        for low, high in [found.intervals[key]]
    )
    print(f"RESULT {name}: {found.rows} rows, {told}", flush=True)


def main(folder: Path, text: str) -> None:
    """All runs."""
    image = str(Path(os.environ["LUTHIER_ASSETS"]) / "models" / "efficientnet-lite0")
    file = write(folder / "rows", 1000)
    towers = {"image": image, "text": text}
    both = {"image": "photo", "text": "question", "label": "answer"}
    steps = {"train": {"epochs": 60, "lr": 1e-3}}
    train(file, "image alone", {"image": "photo", "label": "answer"}, image, **steps)
    train(file, "text alone", {"text": "question", "label": "answer"}, text, **steps)
    for fusion in ("concat", "gated"):
        train(file, fusion, both, {**towers, "fusion": fusion}, **steps)
    pairs = {"image": "photo", "text": "caption"}
    train(file, "align", pairs, towers, task="align", train={"epochs": 60, "lr": 1e-3, "batch_size": 128})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "demo/minilm-en")
