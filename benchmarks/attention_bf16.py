"""What training in bf16 on a CPU gains by attention with a cheap mask: processor time and peak memory of an epoch with and without it.

    python benchmarks/attention_bf16.py MODEL hotel_reviews_zh.csv

Each arm in a process of its own, in turns, three rounds; medians. Memory counts from the loaded model on.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from typing import Any

METHODS = ("full", "lora")
ARMS = ("ours", "transformers'")
ROWS, TOKENS, ROUNDS = 200, 500, 3


def main(model: str, file: str) -> None:
    """Every method in both arms, round after round; medians at the end."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {arm: [] for arm in product(METHODS, ARMS)}
    for _, (method, arm) in product(range(ROUNDS), list(found)):
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, __file__, model, file, place, method, arm]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
        found[method, arm].append(json.loads(told))
    for (method, arm), runs in found.items():
        seconds, mb = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"{method}, {arm} attention: {seconds:.1f} s of processor time, {mb:.0f} MiB above the loaded model")


def measure(model: str, file: str, place: str, method: str, arm: str) -> None:
    """Train for an epoch in a folder; print seconds and MiB."""
    import pandas as pd

    import luthier
    from luthier import pipeline
    from luthier.models import attention

    if arm != ARMS[0]:
        attention._covered = lambda *_: False  # type: ignore[assignment]
    pipeline.fit = timed
    rows = pd.read_csv(file).dropna().sample(ROWS, random_state=0)
    rows.rename(columns={"review": "text"}).to_csv(f"{place}/rows.csv", index=False)
    data = {"files": f"{place}/rows.csv", "max_length": TOKENS}
    training = {"precision": "bf16", "epochs": 1}
    luthier.train({"model": model, "data": data, "method": method, "train": training, "output": f"{place}/run"})


def timed(training: Any, state: Any, around: Any) -> None:
    """Of the epoch alone: what comes before and after it is not counted, so the process ends here."""
    from luthier import hardware
    from luthier.training.loop import fit

    sum(
        float(one.detach().sum()) for one in training.model.parameters()
    )  # mapped weights are in memory before the count begins
    ctypes.CDLL(None).malloc_trim(0)
    hardware.reset_peak_memory()
    memory, start = hardware.peak_memory_mb(), time.process_time()
    fit(training, state, around)
    print(json.dumps((time.process_time() - start, hardware.peak_memory_mb() - memory)), flush=True)
    os._exit(0)


if __name__ == "__main__":
    measure(*sys.argv[1:]) if len(sys.argv) > 3 else main(*sys.argv[1:])
