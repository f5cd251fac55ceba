"""Images with texts on two real networks: what fusion tells that neither of both does, and how well each is found by the other.

LUTHIER_ASSETS=assets python benchmarks/image_and_text.py FOLDER [TEXT_MODEL [RUN ...]]

Draws shapes (seeded) with texts, and trains on them by recipes that differ in what they read and in what they train: those of `RUNS`,
or the named ones. `questions`: the text asks whether the
shape has a colour, or has it not; the answer takes both. `captions`: colour, size, shape and place in words.
"""

from __future__ import annotations

import os
import sys
import time
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


QUESTION = {"text": "question", "label": "answer"}
BOTH = {"image": "photo", **QUESTION}
PAIRS = {"image": "photo", "text": "caption"}
HEAD = {"method": "head", "train": {"epochs": 60, "lr": 1e-3}}
TOP = {"method": "top", "train": {"epochs": 15}}
LORA = {"method": "lora", "train": {"epochs": 6}}
RUNS: dict[str, tuple[dict[str, str], str, dict[str, Any]]] = {
    "image alone": ({"image": "photo", "label": "answer"}, "image", HEAD),
    "text alone": (QUESTION, "text", HEAD),
    "concat head": (BOTH, "concat", HEAD),
    "concat top": (BOTH, "concat", TOP),
    "gated head": (BOTH, "gated", HEAD | {"train": {"epochs": 30, "lr": 1e-3}}),
    "gated top": (BOTH, "gated", TOP),
    "gated lora": (BOTH, "gated", LORA),
    "align head": (PAIRS, "concat", HEAD | {"task": "align", "train": {"epochs": 60, "lr": 1e-3, "batch_size": 128}}),
    "align top": (PAIRS, "concat", TOP | {"task": "align", "train": {"epochs": 15, "batch_size": 128}}),
    "align lora": (PAIRS, "concat", LORA | {"task": "align", "train": {"epochs": 6, "batch_size": 128}}),
}
"""The columns that a run reads, its network (a tower alone, or how both are joined), and the rest of its recipe."""
FIGURES = ("accuracy", "mrr", "image_to_text_recall_1", "image_to_text_recall_5", "text_to_image_recall_1")


def train(file: Path, name: str, towers: dict[str, str]) -> None:
    """One run and a line of its figures."""
    columns, network, keys = RUNS[name]
    data = {"files": str(file), "columns": columns, "split": {"parts": [6, 2, 2]}}
    output = file.parent.parent / name.replace(" ", "-")
    model = towers.get(network, {**towers, "fusion": network})
    began = time.perf_counter()
    run = luthier.train({"model": model, "data": data, "output": str(output), **keys}, restart=True)
    seconds, found = time.perf_counter() - began, run.evaluate()
    told = ", ".join(
        f"{key} {found.metrics[key]:.3f} ({found.intervals[key][0]:.3f} to {found.intervals[key][1]:.3f})"
        for key in FIGURES
        if key in found.metrics
    )
    print(f"RESULT {name}: {found.rows} rows, {told}, {seconds:.0f} s", flush=True)


def main(folder: Path, text: str, names: list[str]) -> None:
    """The runs of these names, or all."""
    image = str(Path(os.environ["LUTHIER_ASSETS"]) / "models" / "efficientnet-lite0")
    file = write(folder / "rows", 1000)
    for name in names or RUNS:
        train(file, name, {"image": image, "text": text})


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "demo/minilm-en", sys.argv[3:])
