"""What tutorials say of fine-tuning, measured: by number of rows, on unbalanced labels, on data that drift. Writes docs/claims.md.

    python benchmarks/claims.py run rows,unbalanced,drift 0,1,2 MODEL FOLDER_OF_DATA REVIEWS.csv benchmarks/claims.jsonl
    python benchmarks/claims.py page benchmarks/claims.jsonl docs/claims.md

`run` goes on where it was stopped. MODEL is all-MiniLM-L6-v2 (demo/minilm-en), FOLDER_OF_DATA holds sst2_en_train.csv, sst2_en_test.csv
and sms_spam_en.csv, REVIEWS.csv is what demo/reviews-en unpacks. Methods have their default settings; where those would take fewer
than `STEPS` optimiser steps, more epochs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from finetuned import interval, records, run_once
from page import write

from luthier.methods import METHODS

STEPS = 100
"""Optimiser steps that every training has at least."""
BATCH = 16
SIZES = (100, 300, 1000, 3000)
METHOD_NAMES = ("full", "lora", "head", "prompt", "scratch")
TESTED = 1000
DRIFTING = 6000
Runs = list[dict[str, Any]]


@dataclass(frozen=True)
class Place:
    """Where things are."""

    model: str
    data: Path
    reviews: Path
    results: Path


def run(parts: str, seeds: str, model: str, data: str, reviews: str, results: str) -> None:
    """Do what is missing of some parts, comma-separated, for some seeds."""
    place = Place(model, Path(data), Path(reviews), Path(results))
    for seed in map(int, seeds.split(",")):
        for part in parts.split(","):
            PARTS[part].run(place, seed)


def by_rows(place: Place, seed: int) -> None:
    """Each method on more and more rows of SST-2."""
    train = pd.read_csv(place.data / "sst2_en_train.csv").sample(frac=1, random_state=seed)
    test = pd.read_csv(place.data / "sst2_en_test.csv").sample(TESTED, random_state=0)
    for size in SIZES:
        for method in METHOD_NAMES:
            _train(place, {"data": "rows", "rows": size, "seed": seed, "arm": method}, train[:size], test, method)


def unbalanced(place: Place, seed: int) -> None:
    """SMS of which 2 in 100 are spam, as in a mailbox: what accuracy and F1 say of the same answers."""
    rows = pd.read_csv(place.data / "sms_spam_en.csv").drop_duplicates("text").sample(frac=1, random_state=seed)
    ham, spam = (rows[rows.label == name] for name in ("ham", "spam"))
    parts = [pd.concat([ham[start : start + 980], spam[at : at + 20]]) for start, at in ((0, 0), (980, 20))]
    train, test = (part.sample(frac=1, random_state=seed) for part in parts)
    job = {"data": "unbalanced", "rows": len(train), "seed": seed}
    _train(place, {**job, "arm": "one epoch"}, train, test, "full", {"epochs": 1})
    _train(place, {**job, "arm": "full"}, train, test, "full")
    _train(
        place,
        {**job, "arm": "weights"},
        train,
        test,
        {"name": "full"},
        task={"name": "classify", "weights": "balanced"},
    )


def drift(place: Place, seed: int) -> None:
    """Reviews in an order in which products take the place of movies: what a random split promises, and what comes."""
    rows = pd.read_csv(place.reviews).sample(frac=1, random_state=seed)
    late = np.random.default_rng(seed).random(DRIFTING) < np.linspace(0, 1, DRIFTING) ** 2
    kinds = {name: part.iterrows() for name, part in rows.groupby("domain")}
    ordered = pd.DataFrame([next(kinds["product" if one else "movie"])[1] for one in late])
    past, future = ordered[: 2 * len(ordered) // 3], ordered[2 * len(ordered) // 3 :]
    mixed = past.sample(frac=1, random_state=seed)
    held = len(past) // 5
    job = {"data": "drift", "rows": len(past) - held, "seed": seed}
    _train(place, {**job, "arm": "random split"}, mixed[held:], mixed[:held], "top")
    _train(place, {**job, "arm": "time split"}, past[:-held], past[-held:], "top")
    _train(place, {**job, "arm": "the future"}, mixed[held:], future, "top")


def _train(
    place: Place,
    job: Mapping[str, Any],
    train: pd.DataFrame,
    test: pd.DataFrame,
    method: Any,
    settings: Mapping[str, Any] | None = None,
    task: Any = "classify",
) -> None:
    name = method if isinstance(method, str) else method["name"]
    epochs = max(METHODS[name].epochs, -(-STEPS * BATCH // len(train)))
    recipe = {
        "model": place.model,
        "task": task,
        "data": {},
        "method": method,
        "train": {"epochs": epochs, "batch_size": BATCH, "precision": "fp32", **(settings or {})},
    }
    run_once(job, train, test, recipe, place.results)


def page(results: str, file: str) -> None:
    """Write the tables into a page; what they mean stands around them, written by people."""
    found = records(Path(results))
    for name, part in PARTS.items():
        told = part.table([one for one in found if one["data"] == name])
        write(Path(file), f"claims.py {name}", told, "What tutorials say, measured")


def rows_table(runs: Runs) -> str:
    """Macro F1 of each method by number of rows, and the seconds of the processor beside those of full fine-tuning."""
    lines = [
        "| rows | method | F1 macro, mean and 95 % interval over seeds | processor time beside full | seeds |",
        "|---:|---|---|---:|---:|",
    ]
    for (size, method), some in grouped(runs, "rows", "arm"):
        full = [one["processor"] for one in runs if (one["rows"], one["arm"]) == (size, "full")]
        share = np.mean([one["processor"] for one in some]) / np.mean(full)
        lines.append(f"| {size:,} | {method} | {_mean(some, 'f1')} | {share:.0%} | {len(some)} |")
    return "\n".join(lines)


def scores_table(runs: Runs) -> str:
    """Accuracy and macro F1 of each arm."""
    lines = ["| arm | accuracy | F1 macro | seeds |", "|---|---|---|---:|"]
    for (arm,), some in grouped(runs, "arm"):
        lines.append(f"| {arm} | {_mean(some, 'accuracy')} | {_mean(some, 'f1')} | {len(some)} |")
    return "\n".join(lines)


def grouped(runs: Runs, *keys: str) -> Iterator[tuple[tuple[Any, ...], Runs]]:
    """Runs that have the same values of some keys, in the order in which those come first; numbers by size."""
    found: dict[tuple[Any, ...], Runs] = defaultdict(list)
    for one in sorted(runs, key=lambda run: run["rows"]):
        found[tuple(one[key] for key in keys)].append(one)
    yield from found.items()


def _mean(runs: Iterable[Mapping[str, Any]], score: str) -> str:
    return interval([one[score] for one in runs]).removeprefix("+")


@dataclass(frozen=True)
class Part:
    """One thing that is measured."""

    run: Callable[[Place, int], None]
    table: Callable[[Runs], str]


PARTS = {
    "rows": Part(by_rows, rows_table),
    "unbalanced": Part(unbalanced, scores_table),
    "drift": Part(drift, scores_table),
}
COMMANDS: dict[str, Callable[..., None]] = {"run": run, "page": page}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
