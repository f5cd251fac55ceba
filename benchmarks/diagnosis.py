"""Whether the diagnosis says what was done to a run: runs made to fail in a known way, and healthy ones.

    PYTHONPATH=tests python benchmarks/diagnosis.py --runs /tmp/diagnosis                     # a random BERT and made-up sentences: minutes
    python benchmarks/diagnosis.py --runs /tmp/diagnosis --on minilm --page docs/evaluation.md      # all-MiniLM-L6-v2 and SST-2: an hour

A case is a row of `CASES`: what is done, and what should be said first. Rows and seed are drawn anew for each run; what is in the
folder is not trained again.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from page import write

from luthier.errors import DivergedError

ASSETS = Path(os.environ.get("LUTHIER_ASSETS", "../shared/assets"))
HELD = 100
"""Test rows of a run."""
FINE = ("settled", "still improving")
"""What may be said of a healthy run."""
Labels = Callable[[pd.DataFrame, np.random.Generator], "pd.Series[int]"]


def as_it_is(rows: pd.DataFrame, random: np.random.Generator) -> pd.Series[int]:
    return rows["label"]


def flipped(share: float) -> Labels:
    return lambda rows, random: rows["label"] ^ (random.random(len(rows)) < share)


def crossed(rows: pd.DataFrame, random: np.random.Generator) -> pd.Series[int]:
    """Sentiment of short sentences, its opposite of long ones: no linear model of sentiment and length says it."""
    lengths = rows["text"].str.len()
    return rows["label"] ^ (lengths > lengths.median())


@dataclass(frozen=True)
class Case:
    """Something done to a run."""

    told: str
    expected: tuple[str, ...]
    train: Mapping[str, Any] = field(default_factory=dict)
    method: str = "full"
    rate: float = 1.0
    """Times the rate that is right."""
    rows: int = 400
    validation: int = 200
    labels: Labels = as_it_is
    steps: int | None = None
    """Optimiser steps, where they are what is done to it."""
    on: tuple[str, ...] = ("tiny", "minilm")
    """Grounds on which it is what it is said to be."""


SHORT = {"batch_size": 8}
BATCH = 32
"""Rows of a step where a case says nothing: the default."""
CASES = {
    "full": Case("full, 3 epochs of 50 steps", FINE, SHORT),
    "top": Case("top, 3 epochs of 50 steps", FINE, SHORT, "top"),
    "head": Case("head, 30 epochs", FINE, method="head", on=("minilm",)),
    "lora": Case("lora, 3 epochs of 50 steps", FINE, SHORT, "lora"),
    "low rate": Case("full, rate / 500", ("learning rate too low",), SHORT, rate=1 / 500),
    "low head": Case("head, rate / 10,000", ("learning rate too low",), method="head", rate=1e-4, on=("minilm",)),
    "few steps": Case("top, 60 rows, 6 steps", ("too little to tell",), method="top", rows=60, steps=6),
    "short": Case("full, 3 epochs of 13 steps", ("under-fitting", "still improving"), steps=39),
    "one epoch": Case("top, 13 steps", ("under-fitting", "still improving"), {"epochs": 1, "evaluate_every": 3}, "top"),
    "hard": Case("head, labels crossed with length", ("capacity too small",), method="head", labels=crossed),
    "20 rows": Case(
        "top, 20 rows, 60 epochs",
        ("over-fitting",),
        {"epochs": 60, "batch_size": 8, "evaluate_every": 9},
        "top",
        rows=20,
    ),
    "100 rows": Case(
        "top, 100 rows, 25 epochs",
        ("over-fitting",),
        {"epochs": 25, "evaluate_every": 8},
        "top",
        rows=100,
        on=("minilm",),
    ),
    "diverging": Case("full, rate x 200", ("learning rate too high",), SHORT, rate=200),
    "too fast": Case("top, rate x 30", ("learning rate too high",), SHORT, "top", rate=30),
    "noise": Case(
        "top, 35 % of all labels flipped, 15 epochs",
        ("label noise suspected",),
        {"epochs": 15},
        "top",
        labels=flipped(0.35),
    ),
    "few to tell": Case(
        "top, 3 epochs, 12 validation rows", ("validation too small to tell",), SHORT, "top", validation=12
    ),
}


@dataclass(frozen=True)
class Ground:
    """A base model, sentences for it, and what learns them."""

    model: Callable[[Path], str]
    pool: Callable[[int], pd.DataFrame]
    rates: Mapping[str, float]
    """Right ones, by method."""
    times: float = 1.0
    """Epochs over those of a case, for networks that begin from nothing."""


def minilm(place: Path) -> str:
    return os.environ.get("LUTHIER_MINILM", "demo/minilm-en")


def reviews(seed: int) -> pd.DataFrame:
    pool = pd.read_csv(ASSETS / "data" / "sst2_en_train.csv").sample(frac=1, random_state=seed)
    return pool[pool["text"].str.len().between(20, 100)]


def tiny(place: Path) -> str:
    import tiny_models

    folder = place / "tiny"
    return str(folder if folder.exists() else tiny_models.make("bert", folder))


def made_up(seed: int) -> pd.DataFrame:
    """Three to eight words, some of them praise and some blame; the label says of which there are more."""
    import tiny_models

    random = np.random.default_rng(1000 + seed)
    words = np.array(tiny_models.WORDS)
    drawn = [random.choice(words, size=random.integers(3, 9)) for _ in range(3000)]
    sums = np.array([np.isin(row, words[:2]).sum() - np.isin(row, words[2:4]).sum() for row in drawn])
    table = pd.DataFrame({"text": [" ".join(row) for row in drawn], "label": (sums > 0).astype(int)})
    return table[sums != 0].reset_index(drop=True)


GROUNDS = {
    "tiny": Ground(tiny, made_up, {"full": 1e-3, "top": 1e-3, "head": 1e-2, "lora": 2e-3}, times=2),
    "minilm": Ground(minilm, reviews, {"full": 5e-5, "top": 3e-4, "head": 1e-2, "lora": 4e-4}),
}


def main() -> None:
    given = arguments()
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(given.first, given.first + given.seeds):
        for name in given.only or (name for name, case in CASES.items() if given.on in case.on):
            folder = trained(given.runs, given.on, name, seed)
            said[name][findings(folder)] += 1
            print(f"{name} {seed}: {findings(folder)}", flush=True)
    print(table(said))
    if given.page:
        held_out = f" from seed {given.first}" if given.first else ""
        write(given.page, f"diagnosis of {given.on}{held_out}, by benchmarks/diagnosis.py", table(said), "Evaluation")


def trained(place: Path, on: str, name: str, seed: int) -> Path:
    """The folder of a case's run, trained where it is missing."""
    import luthier

    place = place / on
    place.mkdir(parents=True, exist_ok=True)
    folder = place / f"{name.replace(' ', '-')}-{seed}"
    if not (folder / "ended").is_file():
        with suppress(DivergedError):  # its log is what is to be read
            luthier.train(recipe(place, on, name, seed), output=str(folder), restart=folder.exists())
        (folder / "ended").touch()
    return folder


def recipe(place: Path, on: str, name: str, seed: int) -> dict[str, Any]:
    """The recipe of a case, and its files."""
    case, ground = CASES[name], GROUNDS[on]
    files = {
        split: str(place / f"{name.replace(' ', '-')}-{seed}.{split}.csv") for split in ("train", "validation", "test")
    }
    for split, rows in drawn(case, ground.pool(seed), seed):
        rows.to_csv(files[split], index=False)
    epochs = {"epochs": round(case.train["epochs"] * ground.times)} if "epochs" in case.train else {}
    if case.steps:
        epochs = {"epochs": case.steps // math.ceil(case.rows / BATCH)}
    return {
        "model": ground.model(place),
        "data": {"files": files, "columns": {"text": "text", "label": "label"}, "duplicates": "ignore"},
        "method": case.method,
        "train": {"precision": "fp32", **case.train, **epochs, "lr": ground.rates[case.method] * case.rate},
        "seed": seed,
    }


def drawn(case: Case, pool: pd.DataFrame, seed: int) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each split."""
    pool = pool[: case.rows + case.validation + HELD]
    pool = pool.assign(label=case.labels(pool, np.random.default_rng(seed)))
    yield "train", pool[: case.rows]
    yield "validation", pool[case.rows : case.rows + case.validation]
    yield "test", pool[case.rows + case.validation :]


def findings(folder: Path) -> str:
    """What is said of a run, the first finding first."""
    from luthier.evaluate.diagnosis import diagnose
    from luthier.evaluate.records import read

    return ", ".join(one.name for one in diagnose(read(folder)).findings)


def table(said: Mapping[str, Counter[str]]) -> str:
    """A row a case: what was done, what should be said first, what was said and how often."""
    lines = ["| what was done | should be said first | said, in how many runs | right |", "|---|---|---|---|"]
    for name, counts in said.items():
        case = CASES[name]
        right = sum(count for words, count in counts.items() if words.split(", ")[0] in case.expected)
        told = "; ".join(f"{words}: {count}" for words, count in counts.most_common())
        lines.append(f"| {case.told} | {' or '.join(case.expected)} | {told} | {right} of {counts.total()} |")
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--runs", type=Path, required=True, help="folder of the runs; what is there is not trained again"
    )
    parser.add_argument("--on", choices=GROUNDS, default="tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="first seed; the rules were set on runs with seeds 0 to 2")
    parser.add_argument("--only", nargs="*", choices=CASES, help="names of cases")
    parser.add_argument("--page", type=Path, help="file whose table is written anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
