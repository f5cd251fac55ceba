"""What `luthier check` predicts of memory and time, beside what the training then takes: benchmarks/FORECAST.md.

    python benchmarks/forecast.py MODEL,MODEL,... [METHOD,METHOD,...]   measure what is not in forecast.jsonl yet, and write the page
    python benchmarks/forecast.py                                       write the page anew

Each forecast and each training is a process of its own on one thread, with an empty cache. A training's seconds are from the first
step or the first output of a frozen part to the last evaluation, without checkpoints: on the clock, and of the processor, which on a
busy machine is what a quiet one would take.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import page

HERE = Path(__file__).parent
LINES = HERE / "forecast.jsonl"
MIB = 2**20
ASSETS = Path(os.environ.get("LUTHIER_ASSETS", "../shared/assets"))
SENTENCES = {"files": str(ASSETS / "data" / "sst2_en_train.csv"), "split": {"parts": [0.75, 0.25]}}
PHOTOGRAPHS = {"files": str(ASSETS / "data" / "ants_bees" / "train"), "split": {"parts": [0.75, 0.25]}}
RECIPES: dict[str, dict[str, Any]] = {
    "MiniLM": {"model": os.environ.get("MINILM", ""), "data": SENTENCES | {"rows": 160}},
    "e5": {
        "model": str(ASSETS / "models" / "multilingual-e5-small-zhen"),
        "data": SENTENCES | {"rows": 96},
        "train": {"batch_size": 16},
    },
    "efficientnet": {
        "model": str(ASSETS / "models" / "efficientnet-lite0"),
        "data": PHOTOGRAPHS | {"rows": 48},
        "train": {"batch_size": 8},
    },
    "SmolLM2": {
        "model": os.environ.get("SMOLLM2", ""),
        "data": SENTENCES | {"rows": 32},
        "train": {"batch_size": 4},
    },
}
"""An epoch of each model; MINILM and SMOLLM2 say where those lie."""
SETTINGS: dict[str, dict[str, Any]] = {
    "pattern": {"name": "pattern", "freeze": ["embed"]},
    "cloze": {"name": "cloze", "verbalizer": {"0": "bad", "1": "good"}},
}
"""Of methods that have to be told something."""


def _ready(recipe: dict[str, Any]) -> tuple[Any, Any, Any]:
    from luthier import hardware
    from luthier.build import get_ready, make_accelerator
    from luthier.folder import RunFolder
    from luthier.prepare import prepare
    from luthier.recipe.reading import read
    from luthier.show import Console

    settled, console = read(recipe), Console(quiet=True)
    hardware.tune_allocator()
    accelerator = make_accelerator(settled, RunFolder(settled.output), fresh=True)
    return get_ready(settled, prepare(settled), accelerator, console), accelerator, console


def predict(recipe: dict[str, Any]) -> dict[str, Any]:
    """A forecast as `luthier check` makes it."""
    from dataclasses import replace

    from luthier.advise.cost import measure, this_machine

    ready, accelerator, console = _ready(recipe)
    machine = this_machine(ready, accelerator)
    cost = measure(ready, accelerator, console)
    found = cost.on(replace(machine, process=max(machine.process, cost.process)))
    return {"memory_mb": found.memory.total / MIB, "seconds": found.seconds, "parts": vars(found.memory)}


def train(recipe: dict[str, Any]) -> dict[str, Any]:
    """Train as `luthier train` does, but for checkpoints and the report."""
    import time

    from luthier.build import make_job
    from luthier.hardware import peak_memory_mb
    from luthier.models.quiet import quiet
    from luthier.pipeline import validate
    from luthier.training.frozen import Freeze
    from luthier.training.job import State
    from luthier.training.loop import fit

    ready, accelerator, console = _ready(recipe)
    job = make_job(ready, accelerator, console)
    freeze = Freeze(ready.applied.anatomy, job.settings.cache, None, console)
    clock, processor = time.perf_counter(), time.process_time()
    with quiet():
        fit(job, State(max_tokens=job.settings.max_tokens), [freeze, validate(job, ready, None, console)])
    seconds = {"seconds": time.process_time() - processor, "clock": time.perf_counter() - clock}
    return {"memory_mb": peak_memory_mb(job.device), **seconds}


def _tell(work: Callable[[dict[str, Any]], dict[str, Any]], recipe: dict[str, Any], threads: int, pipe: Any) -> None:
    """In a process of its own: what some work finds, or why it is refused."""
    import torch

    from luthier.errors import LuthierError

    torch.set_num_threads(threads)
    os.environ["LUTHIER_CACHE"] = str(Path(recipe["output"]).parent / "cache")
    try:
        pipe.send(work(recipe))
    except LuthierError as wrong:
        pipe.send({"refused": str(wrong)})


def alone(work: Callable[[dict[str, Any]], dict[str, Any]], recipe: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """What some work finds in a process that has done nothing before but to import."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["luthier.pipeline", "luthier.advise.cost", "luthier.tasks.classify"])
    receiver, sender = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as place:
        process = context.Process(target=_tell, args=(work, recipe | {"output": f"{place}/run"}, threads, sender))
        process.start()
        sender.close()
        try:
            found: dict[str, Any] = receiver.recv()
        finally:
            process.join()
    return found


def cell(name: str, method: str) -> dict[str, Any]:
    """Forecast and train once."""
    own = RECIPES[name]
    recipe = own | {
        "method": SETTINGS.get(method, method),
        "train": {"epochs": 1, "precision": "fp32", **own.get("train", {})},
    }
    predicted = alone(predict, recipe)
    measured = predicted if "refused" in predicted else alone(train, recipe)
    load = round(os.getloadavg()[0], 1)
    return {"model": name, "method": method, "predicted": predicted, "measured": measured, "load": load}


def write() -> None:
    """The page."""
    rows = [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()]
    rows.sort(key=lambda row: list(RECIPES).index(row["model"]))
    measured = [row for row in rows if "refused" not in row["measured"]]
    lines = [
        *[_furthest(measured, key, name, bound) for key, name, bound in PROMISED],
        "",
        "| model | method | MB predicted | MB measured | off | s predicted | s measured | off | s on the clock | load |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in measured:
        cells = [row["model"], row["method"]]
        for key, digits in (("memory_mb", 0), ("seconds", 2)):
            said, seen = row["predicted"][key], row["measured"][key]
            cells += [f"{said:,.{digits}f}", f"{seen:,.{digits}f}", f"{said / seen - 1:+.0%}"]
        lines.append(f"| {' | '.join([*cells, format(row['measured']['clock'], '.2f'), str(row['load'])])} |")
    refused = [row for row in rows if "refused" in row["measured"]]
    lines += ["", "Refused by `check` as by `train`:", "", *map(_refused, refused)] if refused else []
    page.write(HERE / "FORECAST.md", "forecast.py", "\n".join(lines), "What training takes: predicted and measured")


PROMISED = (("memory_mb", "memory", 0.15), ("seconds", "time", 0.25))
"""What is forecast, and how far off it may be."""


def _furthest(rows: Sequence[dict[str, Any]], key: str, name: str, bound: float) -> str:
    """How many forecasts are near, and which is furthest off."""
    off = {(row["model"], row["method"]): row["predicted"][key] / row["measured"][key] - 1 for row in rows}
    worst = max(off, key=lambda one: abs(off[one]))
    near = sum(abs(one) <= bound for one in off.values())
    return f"- {name}: {near} of {len(off)} within {bound:.0%}; furthest off {off[worst]:+.0%} ({worst[0]}, {worst[1]})"


def _refused(row: dict[str, Any]) -> str:
    return f"- {row['model']}, {row['method']}: {' '.join(row['measured']['refused'].split())}"


def run(models: Sequence[str], methods: Sequence[str]) -> None:
    """Measure what has no line yet."""
    from luthier.methods import METHODS

    for name in models:
        for method in methods or list(METHODS):
            known = LINES.read_text(encoding="utf-8").splitlines() if LINES.exists() else []
            if not any((row["model"], row["method"]) == (name, method) for row in map(json.loads, known)):
                line = json.dumps(cell(name, method))
                with LINES.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run(sys.argv[1].split(","), sys.argv[2].split(",") if len(sys.argv) > 2 else [])
    write()
