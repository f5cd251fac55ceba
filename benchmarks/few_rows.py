"""What methods learn of few rows in few optimiser steps: why a training has at least `Method.steps` of them by default.

    python benchmarks/few_rows.py run full,lora,adapter,prompt 0 MODEL FOLDER_OF_DATA benchmarks/few_rows.jsonl
    python benchmarks/few_rows.py page benchmarks/few_rows.jsonl benchmarks/METHODS.md

300 rows of SST-2 in batches of 32, so that an epoch has ten steps; 500 test rows; all else by default. `run` goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from finetuned import records, run_once
from page import write

ROWS, TESTED, TOKENS = 300, 500, 64
EPOCHS = (3, 10, 20)


def run(methods: str, seeds: str, model: str, data: str, results: str) -> None:
    """Train what is missing, for some methods and seeds, comma-separated."""
    test = pd.read_csv(Path(data) / "sst2_en_test.csv").sample(TESTED, random_state=0)
    for seed in map(int, seeds.split(",")):
        train = pd.read_csv(Path(data) / "sst2_en_train.csv").sample(frac=1, random_state=seed)[:ROWS]
        for method in methods.split(","):
            for epochs in EPOCHS:
                job = {"data": "sst2", "rows": ROWS, "seed": seed, "arm": f"{method}, {epochs} epochs"}
                settings = {"epochs": epochs, "precision": "fp32"}
                recipe = {"model": model, "data": {"max_length": TOKENS}, "method": method, "train": settings}
                run_once(job, train, test, recipe, Path(results))


def page(results: str, file: str) -> None:
    """Write the table into a page."""
    lines = ["| method | steps | accuracy | F1 macro | seed |", "|---|---:|---:|---:|---:|"]
    for one in sorted(
        records(Path(results)), key=lambda one: (one["arm"].partition(",")[0], one["steps"], one["seed"])
    ):
        method = one["arm"].partition(",")[0]
        lines.append(f"| {method} | {one['steps']} | {one['accuracy']:.1f} | {one['f1']:.1f} | {one['seed']} |")
    command = f"Command: the first at the top of benchmarks/few_rows.py; {TESTED} test rows, {TOKENS} tokens, fp32."
    told = f"### {ROWS} rows of SST-2, by optimiser steps\n\n{command}\n"
    write(Path(file), "few_rows.py", "\n".join([told, *lines]), "Methods, measured")


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
