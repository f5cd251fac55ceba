"""What `luthier check` predicts of memory and time, beside what the training then takes: benchmarks/FORECAST.md.

    python benchmarks/forecast.py NAME RECIPE METHOD,METHOD,...     measure, a line each in forecast.jsonl, and write the page
    python benchmarks/forecast.py                                   write the page anew

Each forecast and each training is a process of its own, with an empty cache. Seconds are the clock's, from the first step or the
first output of a frozen part to the last evaluation: run it on a quiet machine, or forecast and training meet different loads.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import page

HERE = Path(__file__).parent
LINES = HERE / "forecast.jsonl"
MIB = 2**20


def predict(recipe: str, overrides: list[str]) -> None:
    """Print a forecast as JSON; in a process of its own."""
    from dataclasses import replace

    from luthier import hardware
    from luthier.advise.cost import measure, this_machine
    from luthier.build import get_ready, make_accelerator
    from luthier.folder import RunFolder
    from luthier.prepare import prepare
    from luthier.recipe.reading import read
    from luthier.show import Console

    settled, console = read(recipe, overrides), Console(quiet=True)
    hardware.tune_allocator()
    accelerator = make_accelerator(settled, RunFolder(settled.output), fresh=True)
    ready = get_ready(settled, prepare(settled), accelerator, console)
    machine = this_machine(ready, accelerator)
    cost = measure(ready, accelerator, console)
    found = cost.on(replace(machine, process=max(machine.process, cost.process)))
    print(json.dumps({"memory_mb": found.memory.total / MIB, "seconds": found.seconds, "parts": vars(found.memory)}))


def cell(name: str, recipe: str, method: str) -> dict[str, Any]:
    """Forecast and train once."""
    with tempfile.TemporaryDirectory() as place:
        overrides = [f"method={method}", "stages=", f"output={place}/run"]
        environment = os.environ | {"LUTHIER_CACHE": f"{place}/cache"}
        said = _python([__file__, "predict", recipe, *overrides], environment)
        _python(["-m", "luthier", "train", recipe, *overrides, "--force"], environment)
        events = [json.loads(line) for line in (Path(place) / "run" / "log.jsonl").read_text().splitlines()]
    measured = {
        "memory_mb": max(one["memory_mb"] for one in events if one["event"] == "step"),
        "seconds": next(one["wall_seconds"] for one in events if one["event"] == "stop"),
    }
    load = round(os.getloadavg()[0], 1)
    return {"model": name, "method": method, "predicted": json.loads(said), "measured": measured, "load": load}


def _python(arguments: list[str], environment: dict[str, str]) -> str:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def write() -> None:
    """The page."""
    rows = [json.loads(line) for line in LINES.read_text(encoding="utf-8").splitlines()]
    lines = [
        "| model | method | MB predicted | MB measured | off | s predicted | s measured | off | load |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [row["model"], row["method"]]
        for key, digits in (("memory_mb", 0), ("seconds", 1)):
            said, seen = row["predicted"][key], row["measured"][key]
            cells += [f"{said:,.{digits}f}", f"{seen:,.{digits}f}", f"{said / seen - 1:+.0%}"]
        lines.append(f"| {' | '.join([*cells, str(row['load'])])} |")
    page.write(HERE / "FORECAST.md", "forecast.py", "\n".join(lines), "What training takes: predicted and measured")


if __name__ == "__main__":
    if sys.argv[1:2] == ["predict"]:
        predict(sys.argv[2], sys.argv[3:])
    else:
        for method in sys.argv[3].split(",") if len(sys.argv) > 3 else []:
            with LINES.open("a", encoding="utf-8") as file:
                file.write(json.dumps(cell(sys.argv[1], sys.argv[2], method)) + "\n")
        write()
