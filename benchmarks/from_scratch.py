"""What `method: scratch` learns of 1,000 rows at some rates and in some epochs: where its defaults come from.

    python benchmarks/from_scratch.py run sst2 1e-4,5e-4 10,30 0 MODEL FOLDER_OF_DATA benchmarks/from_scratch.jsonl
    python benchmarks/from_scratch.py page benchmarks/from_scratch.jsonl benchmarks/METHODS.md

Batches of 32; 500 test rows, of which none chooses an epoch; trained in bf16; all else by default. `run` goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pandas as pd
from finetuned import records, run_once
from page import write

ROWS, TESTED = 1000, 500
DATA = {"sst2": ("sst2_en_train.csv", "sst2_en_test.csv"), "hotel": ("hotel_reviews_zh.csv", "hotel_reviews_zh.csv")}


def run(data: str, rates: str, epochs: str, seeds: str, model: str, folder: str, results: str) -> None:
    """Train what is missing, for some rates, epochs and seeds, comma-separated."""
    for seed in map(int, seeds.split(",")):
        train, test = drawn(data, Path(folder), seed)
        for rate, passes in product(map(float, rates.split(",")), map(int, epochs.split(","))):
            job = {"data": data, "rows": ROWS, "seed": seed, "arm": f"{rate:g}, {passes} epochs"}
            settings = {"lr": rate, "epochs": passes, "precision": "bf16"}
            recipe = {"model": model, "data": {"max_length": 128}, "method": "scratch", "train": settings}
            run_once(job, train, test, recipe, Path(results))


def drawn(data: str, folder: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows with the columns text and label; no text is in both."""
    read = {name: pd.read_csv(folder / name).rename(columns={"review": "text"}).dropna() for name in DATA[data]}
    train, test = (read[name].drop_duplicates("text") for name in DATA[data])
    test = test.sample(TESTED, random_state=0)
    return train[~train["text"].isin(test["text"])].sample(ROWS, random_state=seed), test


def page(results: str, file: str) -> None:
    """Write the table into a page."""
    lines = ["| data | rate, epochs | steps | accuracy | F1 macro | seed |", "|---|---|---:|---:|---:|---:|"]
    for one in sorted(records(Path(results)), key=lambda one: (one["data"], one["steps"], one["arm"], one["seed"])):
        scores = f"{one['accuracy']:.1f} | {one['f1']:.1f}"
        lines.append(f"| {one['data']} | {one['arm']} | {one['steps']} | {scores} | {one['seed']} |")
    told = f"### {ROWS:,} rows from random weights\n\nCommand: `python benchmarks/from_scratch.py run`; {TESTED} test rows.\n"
    write(Path(file), "from_scratch.py", "\n".join([told, *lines]), "Methods, measured")


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
