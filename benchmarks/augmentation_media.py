"""What augmenting images and sounds costs and brings in luthier's own training, and what decoding beside the step saves.

python benchmarks/augmentation_media.py measure DATA SEEDS ASSETS RESULTS.jsonl [ARM,ARM]
python benchmarks/augmentation_media.py page RESULTS.jsonl docs/augmentation.md
python benchmarks/augmentation_media.py overlap ASSETS TIMES

DATA is a key of `WORKS`, SEEDS such as 0,1,2; ASSETS is the folder with models/ and data/. `measure` goes on where it was stopped. No row
chooses an epoch: the test rows are scored once, after the last one. `overlap` calls `Feed.expect` or not, in turn, and takes the best of
TIMES epochs.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from finetuned import compared, key_of, records
from page import write

import luthier
from luthier.build import get_ready, make_accelerator, make_job
from luthier.folder import RunFolder
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.show import Console
from luthier.training.job import Job, State
from luthier.training.step import micro_batches, move

NONE = "none"
WAIT = 0.02
"""Seconds a row that a device is made to take; about what decoding one took on the busy machine that this was measured on."""


@dataclass(frozen=True)
class Work:
    """Data, model and method, and what is compared on them."""

    model: str
    data: Mapping[str, Any]
    method: Any
    train: Mapping[str, Any]
    arms: Mapping[str, Mapping[str, Any]]
    """By name: `augment` and `views` of the data and `mixing` of the training."""


WORKS = {
    "ants_bees": Work(
        "efficientnet-lite0",
        {"files": {"train": "ants_bees/train", "test": "ants_bees/val"}},
        {"name": "top", "blocks": 2},
        {"epochs": 6, "batch_size": 32},
        {
            NONE: {},
            "crop + flip": {"augment": ["crop", "flip"]},
            "crop + flip + colour": {"augment": ["crop", "flip", "colour"]},
            "mixup": {"mixing": "mixup"},
        },
    ),
    "ants_bees head": Work(
        "efficientnet-lite0",
        {"files": {"train": "ants_bees/train", "test": "ants_bees/val"}},
        "head",
        {"epochs": 12, "batch_size": 32},
        {
            NONE: {},
            "crop + flip": {"augment": ["crop", "flip"]},
            "crop + flip, 4 views": {"augment": ["crop", "flip"], "views": 4},
        },
    ),
    "spoken_digits": Work(
        "whisper-tiny-en-encoder",
        {"files": "spoken_digits", "split": {"by": "group", "column": "speaker", "parts": [4, 2]}, "rows": 200},
        "head",
        {"epochs": 6, "batch_size": 32},
        {
            NONE: {},
            "noise + shift": {"augment": ["noise", "shift"]},
            "spectrogram": {"augment": ["spectrogram"]},
        },
    ),
}


def recipe(work: Work, arm: str, seed: int, assets: Path, output: str) -> dict[str, Any]:
    """What luthier trains with."""
    data, chosen = {"split": {"validation": 0}, **work.data}, work.arms[arm]
    files = data["files"]
    at = {name: str(assets / "data" / file) for name, file in files.items()} if isinstance(files, Mapping) else files
    return {
        "model": str(assets / "models" / work.model),
        "data": data
        | {"files": at if isinstance(at, dict) else str(assets / "data" / at), "augment": chosen.get("augment", [])}
        | {"views": chosen.get("views")},
        "method": work.method,
        "train": {**work.train, "precision": "fp32", "keep_best": False, "mixing": chosen.get("mixing")},
        "seed": seed,
        "save": "merged",
        "output": output,
    }


def scored(settings: dict[str, Any]) -> dict[str, Any]:
    """Train, score the held-out rows, and say how long the steps took, and all of it: by the clock and of the processor."""
    started, worked = time.perf_counter(), time.process_time()
    run = luthier.train(settings)
    stop = next(line for line in run.folder.records() if line["event"] == "stop")
    return {
        "accuracy": 100 * run.evaluate().metrics["accuracy"],
        "trained_on": run.data["splits"]["train"]["rows"],
        "tested": run.evaluate().rows,
        "steps": stop["step"],
        "seconds": stop["seconds"],
        "whole_seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(time.process_time() - worked, 1),
    }


def measure(data: str, seeds: str, assets: str, results: str, arms: str = "") -> None:
    """Arms of a work, all unless some are named; one line for each run into the results."""
    work, file = WORKS[data], Path(results)
    for seed in map(int, seeds.split(",")):
        for arm in arms.split(",") if arms else work.arms:
            job = {"data": data, "rows": work.data.get("rows"), "seed": seed, "arm": arm}
            if key_of(job) in {key_of(one) for one in records(file)}:
                continue
            with tempfile.TemporaryDirectory() as place:
                found = job | scored(recipe(work, arm, seed, Path(assets), f"{place}/run"))
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps(found) + "\n")
            print(found, flush=True)


def page(results: str, file: str) -> None:
    """Write accuracy and time of each arm into a page."""
    runs = records(Path(results))
    lines = [
        "| data | augmentation | accuracy | gain in points | seconds of all steps | of the whole run | seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for (data, *_), arm, mean, gain, seeds in compared(runs, NONE, "accuracy"):
        own = [run for run in runs if (run["data"], run["arm"]) == (data, arm)]
        steps, whole = (np.median([run[key] for run in own]) for key in ("seconds", "whole_seconds"))
        lines.append(f"| {data} | {arm} | {mean:.1f} | {gain} | {steps:.0f} | {whole:.0f} | {seeds} |")
    write(Path(file), "augmentation_media.py", "\n".join(lines), "Augmentation")


def overlap(assets: str, times: str) -> None:
    """Seconds of a step of training, and of one that waits as for a device, with the next rows decoded beside it and without."""
    work = WORKS["ants_bees"]
    with tempfile.TemporaryDirectory() as place:
        settled = read(recipe(work, "crop + flip + colour", 0, Path(assets), place), (), {})
        accelerator = make_accelerator(settled, RunFolder(place))
        job = make_job(get_ready(settled, prepare(settled), accelerator, Console(quiet=True)), accelerator)
    job.work.model.train()
    steps: dict[str, Callable[[np.ndarray, int], object]] = {
        "waiting": lambda rows, step: time.sleep(WAIT * len(rows)),
        "training": lambda rows, step: move(job, State(step=step), micro_batches(job, rows, None)),
    }
    for name, step in steps.items():
        found: dict[str, list[float]] = {"beside": [], "before": []}
        for _ in range(int(times)):
            for way, seconds in found.items():
                seconds.append(seconds_of(job, step, way == "beside"))
        print({"step": name} | {way: round(min(seconds), 3) for way, seconds in found.items()}, flush=True)


def seconds_of(job: Job, step: Callable[[np.ndarray, int], object], ahead: bool) -> float:
    """Of a step on average, over an epoch."""
    started = time.perf_counter()
    for number in range(job.batches.per_epoch):
        rows = job.batches.at(number)
        job.feed.begin(rows, 0)
        if ahead:
            job.feed.expect(job.batches.at(number + 1), (number + 1) // job.batches.per_epoch)
        step(rows, number)
    return (time.perf_counter() - started) / job.batches.per_epoch


if __name__ == "__main__":
    {"measure": measure, "page": page, "overlap": overlap}[sys.argv[1]](*sys.argv[2:])
