"""luthier beside transformers.Trainer and a bare PyTorch loop: the same model, rows, batch size, epochs and optimiser.

    make bench                                        # all of it, about an hour on 2 cores; writes benchmarks/RESULTS.md
    python benchmarks/train_text.py --rows 256 --rounds 1 --seeds 0 --output /tmp/RESULTS.md

Every measurement is a process of its own (contenders.py), so that peak memory is its own, and contenders take turns, so that a slow
minute of the machine falls on all of them. Times are those of the training steps alone, without opening the model.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from page import write

from luthier import hardware

HERE = Path(__file__).parent
SPEED = ("luthier", "bare_loop", "trainer_by_length", "trainer")
EVALUATION = ("luthier_predict", "trainer_predict")


def main() -> None:
    """Measure and write the table."""
    options = read_options()
    with tempfile.TemporaryDirectory() as place:
        jobs = dict(speed_jobs(options, Path(place)))
        sections = [machine()]
        for title, job in jobs.items():
            job["runs"] = str(Path(place) / "luthier")
            if options.rounds:
                found, scored = (in_turns(names, job, options.rounds) for names in (SPEED, EVALUATION))
                sections += [f"### {title}", training_table(found), evaluation_table(scored)]
        if options.seeds:
            sections += ["### Accuracy after two epochs", accuracy_table(options, jobs)]
    sections.append(f"`luthier --help` takes {help_seconds():.2f} s (median of five).")
    write(options.output, "train_text.py", "\n\n".join(sections), "Results")


def read_options() -> argparse.Namespace:
    """The command line."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024, help="training rows of each data set")
    parser.add_argument("--rounds", type=int, default=2, help="times that each contender runs; 0 leaves speed out")
    parser.add_argument("--seeds", type=int, default=3, help="runs per side for the accuracy table; 0 leaves it out")
    parser.add_argument(
        "--precision", choices=["fp32", "bf16", "auto"], default="fp32", help="luthier's; Trainer has fp32"
    )
    parser.add_argument("--model", default="demo/minilm-en", help="demo/minilm-en or a folder")
    parser.add_argument("--assets", type=Path, default=assets, help="folder with data/hotel_reviews_zh.csv")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    return parser.parse_args()


def speed_jobs(options: argparse.Namespace, place: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    """One job per data set: what the contenders read."""
    from luthier.models.find import find

    model = str(find(options.model, None, False).location)
    sources = {
        "hotel reviews (Chinese, max_length 256)": ("hotel", options.assets / "data" / "hotel_reviews_zh.csv", "review")
    }
    sources["demo/reviews-en (English, max_length 256)"] = ("english", english_rows(place), "text")
    for title, (name, file, text) in sources.items():
        if not file.exists():
            print(f"left out, as {file} is absent: {title}", file=sys.stderr)
            continue
        train, test = place / f"{name}_train.csv", place / f"{name}_test.csv"
        draw_rows(file, text, options.rows, train, test)
        job = {"model": model, "train": str(train), "test": str(test), "max_length": 256, "batch_size": 32, "lr": 2e-5}
        yield title, job | {"epochs": 1, "seed": 0, "precision": options.precision, "runs": str(place / "luthier")}


def english_rows(place: Path) -> Path:
    """The demo's English reviews as one csv file."""
    from luthier.data import source
    from luthier.recipe.data import Data

    file = place / "english.csv"
    splits = source.read(Data(files="demo/reviews-en")).splits
    next(iter(splits.values())).to_csv(str(file), index=False)
    return file


def draw_rows(file: Path, text: str, rows: int, train: Path, test: Path) -> None:
    """Write `rows` rows drawn at random for training and as many others for the test, duplicates and empty texts left out."""
    import numpy as np

    with file.open(encoding="utf-8", newline="") as lines:
        unique = {row[text]: row["label"] for row in csv.DictReader(lines) if row[text].strip()}
    order = np.random.default_rng(0).permutation(len(unique))
    pairs = list(unique.items())
    for target, part in ((train, order[:rows]), (test, order[rows : 2 * rows])):
        with target.open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows([("text", "label"), *(pairs[index] for index in part)])


def in_turns(names: Iterable[str], job: dict[str, Any], rounds: int) -> dict[str, list[dict[str, float]]]:
    """Measure each contender once a round, A B C A B C."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for _ in range(rounds):
        for name, results in found.items():
            results.append(measure(name, job))
            print(name, results[-1], file=sys.stderr, flush=True)
    return found


def measure(name: str, job: dict[str, Any]) -> dict[str, float]:
    """Run one contender in a process of its own; returns rows per second, peak memory in MiB, and accuracy."""
    command = [sys.executable, str(HERE / "contenders.py"), name, json.dumps(job)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(f"{name} failed:\n{run.stderr[-4000:]}")
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def middle(results: list[dict[str, float]], key: str) -> float:
    """Median over the rounds."""
    return statistics.median(one[key] for one in results)


def training_table(found: dict[str, list[dict[str, float]]]) -> str:
    """Speed and memory of each contender, and luthier's speed over it."""
    ours = middle(found["luthier"], "rows_per_second")
    lines = ["| training | rows a second | luthier is faster by | peak memory MiB |", "|---|---|---|---|"]
    for name, results in found.items():
        speed = middle(results, "rows_per_second")
        lines.append(f"| {name} | {speed:.1f} | {ours / speed:.2f} | {middle(results, 'memory_mb'):.0f} |")
    return "\n".join(lines)


def evaluation_table(found: dict[str, list[dict[str, float]]]) -> str:
    """Speed of scoring the test rows."""
    ours = middle(found["luthier_predict"], "rows_per_second")
    lines = ["| scoring shuffled rows | rows a second | luthier is faster by |", "|---|---|---|"]
    for name, results in found.items():
        speed = middle(results, "rows_per_second")
        lines.append(f"| {name} | {speed:.1f} | {ours / speed:.2f} |")
    return "\n".join(lines)


def accuracy_table(options: argparse.Namespace, jobs: dict[str, dict[str, Any]]) -> str:
    """Final accuracy over seeds on both sides, with the 95 % interval that the test rows allow."""
    lines = ["| data | seed | luthier | trainer | interval of luthier | trainer within |", "|---|---|---|---|---|---|"]
    for title, job in jobs.items():
        for seed in range(options.seeds):
            setting = job | {"epochs": 2, "seed": seed, "lr": 5e-5, "score": True}
            ours, theirs = measure("luthier", setting), measure("trainer_by_length", setting)
            low, high = ours["low"], ours["high"]
            within = "yes" if low <= theirs["accuracy"] <= high else "no"
            lines.append(
                f"| {title} | {seed} | {ours['accuracy']:.4f} | {theirs['accuracy']:.4f} | {low:.4f} to {high:.4f} | {within} |"
            )
    return "\n".join(lines)


def help_seconds() -> float:
    """Median time of `luthier --help`."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "luthier", "--help"], capture_output=True, check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine() -> str:
    """Date, machine, versions and command."""
    facts = hardware.describe()
    versions = ", ".join(f"{name} {version(name)}" for name in ("luthier", "torch", "transformers", "accelerate"))
    return (
        f"{date.today()}, {facts['cores']} cores of {facts['cpu']}, {facts['memory_gb']} GB, {platform.platform()}; {versions}.\n"
        f"Command: `python {' '.join(sys.argv)}`. Median over rounds; batch size 32, AdamW, dropout on."
    )


if __name__ == "__main__":
    main()
