"""How many padded tokens a scoring call should hold: rows a second and peak memory, each size in a process of its own.

python benchmarks/call_size.py RUN FILE.csv TEXT_COLUMN
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from pathlib import Path

import luthier
from luthier import hardware, model

SIZES = (2048, 4096, 8192, 16384)
ROWS = 800


def main() -> None:
    """Every size once a round, two rounds."""
    for size in SIZES * 2:
        subprocess.run([sys.executable, __file__, *sys.argv[1:4], str(size)], check=True)


def measure(run: str, file: str, column: str, size: str) -> None:
    """Score the rows twice; print the faster one."""
    model.TOKENS_PER_CALL = int(size)
    with Path(file).open(encoding="utf-8", newline="") as lines:
        rows = [row[column] for row in csv.DictReader(lines) if row[column].strip()][:ROWS]
    scored = luthier.open(run).model
    scored.score(rows[:50])
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        scored.score(rows)
        seconds.append(time.perf_counter() - start)
    print(f"{size}: {len(rows) / min(seconds):.1f} rows a second, {hardware.peak_memory_mb():.0f} MiB", flush=True)


if __name__ == "__main__":
    measure(*sys.argv[1:5]) if len(sys.argv) == 5 else main()
