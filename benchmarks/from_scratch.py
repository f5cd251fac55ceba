"""What `method: scratch` learns of 1,000 rows by rate and number of steps: where its defaults come from.

    python benchmarks/from_scratch.py run 0 MODEL FOLDER_OF_DATA benchmarks/from_scratch.jsonl
    python benchmarks/from_scratch.py page benchmarks/from_scratch.jsonl benchmarks/METHODS.md

SST-2 in batches of 32; 500 test rows, of which none chooses an epoch; all else by default. `run` goes on where it was stopped.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from finetuned import records, run_once
from page import write

ROWS, TESTED = 1000, 500
TRIED = ((1e-4, 4), (1e-4, 10), (5e-4, 10), (1e-3, 10))
"""Rates and epochs; 4 epochs are as many as make 100 steps."""


def run(seeds: str, model: str, data: str, results: str) -> None:
    """Train what is missing, for some seeds, comma-separated."""
    every, test = (
        pd.read_csv(Path(data) / f"sst2_en_{part}.csv").drop_duplicates("text") for part in ("train", "test")
    )
    test = test.sample(TESTED, random_state=0)
    for seed in map(int, seeds.split(",")):
        train = every[~every["text"].isin(test["text"])].sample(ROWS, random_state=seed)
        for rate, epochs in TRIED:
            job = {"data": "sst2", "rows": ROWS, "seed": seed, "arm": f"{rate:g}, {epochs} epochs"}
            settings = {"lr": rate, "epochs": epochs, "precision": "bf16"}
            recipe = {"model": model, "data": {"max_length": 128}, "method": "scratch", "train": settings}
            run_once(job, train, test, recipe, Path(results))


def page(results: str, file: str) -> None:
    """Write the table into a page."""
    lines = ["| rate | steps | accuracy | F1 macro | seed |", "|---|---:|---:|---:|---:|"]
    for one in sorted(records(Path(results)), key=lambda one: (one["steps"], float(one["arm"].partition(",")[0]))):
        rate, scores = one["arm"].partition(",")[0], f"{one['accuracy']:.1f} | {one['f1']:.1f}"
        lines.append(f"| {rate} | {one['steps']} | {scores} | {one['seed']} |")
    command = f"Command: the first at the top of benchmarks/from_scratch.py; {TESTED} test rows, bf16."
    told = f"### {ROWS:,} rows of SST-2 from random weights\n\n{command}\n"
    write(Path(file), "from_scratch.py", "\n".join([told, *lines]), "Methods, measured")


COMMANDS: dict[str, Callable[..., None]] = {"run": run, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
