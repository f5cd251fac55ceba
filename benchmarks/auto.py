"""`luthier auto` beside each single default on the same rows: F1 on the test rows with its interval, and seconds of the processor.

    OMP_NUM_THREADS=1 python benchmarks/auto.py --data sst2 --model FOLDER              # 4 minutes of one core; adds to AUTO.md
    python benchmarks/auto.py --data hotel --rows 500 --minutes 8
    python benchmarks/auto.py --data ants_bees --minutes 8                              # photographs; all 245 and 153 of them

The minutes of the search are counted in seconds of the processor, as the machine is shared: on an idle core they are those of the clock.
Every contender computes outputs of frozen parts anew. No rate or epoch is given: each method has its own.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from page import write
from train_text import machine

HERE = Path(__file__).parent
ASSETS = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
METHODS = ("head", "top", "lora", "full")
SHORT = {"max_length": 64}
Pairs = list[tuple[str, str]]
"""A text or the name of a picture, and its label."""


@dataclass(frozen=True)
class Rows:
    """A data set."""

    train: str
    """A csv, or a folder with a folder of pictures for each label."""
    test: str
    """The same file where it is not divided: its last rows after shuffling."""
    column: str
    """What is beside the label."""
    model: str
    data: Mapping[str, Any]
    """What else the recipe says of the rows."""
    methods: tuple[str, ...] = METHODS
    """The single defaults."""


DATA: Mapping[str, Rows] = {
    "sst2": Rows("sst2_en_train.csv", "sst2_en_test.csv", "text", "demo/minilm-en", SHORT),
    "hotel": Rows(
        *("hotel_reviews_zh.csv", "hotel_reviews_zh.csv", "review"),
        *(str(ASSETS / "models" / "multilingual-e5-small-zhen"), SHORT),
    ),
    "ants_bees": Rows(
        *("ants_bees/train", "ants_bees/val", "image"),
        *(str(ASSETS / "models" / "efficientnet-lite0"), {}),
        methods=("head", "top", "full"),  # it has no linears for lora
    ),
}


def main() -> None:
    """Measure one data set and write its part of the page."""
    options = read_options()
    train, test = draw(options)
    if options.rows_only:
        options.rows_only.mkdir(parents=True, exist_ok=True)
        recipe_of(options, train, test, options.rows_only)
        return
    with tempfile.TemporaryDirectory() as place:
        recipe = recipe_of(options, train, test, Path(place))
        found = {
            name: measure(name, recipe, Path(place), options.minutes) for name in (*DATA[options.data].methods, "auto")
        }
    told = (
        f"{machine().partition(' Median')[0]} {len(train)} rows, a fifth of them validation, and {len(test)} test rows; "
        f"{Path(options.model or DATA[options.data].model).name}; auto had {options.minutes:g} minutes of the processor.\n\n"
        f"{table(found)}\n\nauto: {found['auto']['sentence']} The search ended because {found['auto']['stopped']}."
    )
    write(options.output, f"auto.py {options.data} {options.rows}", told, "luthier auto beside single defaults")
    print(told)


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(DATA), default="sst2")
    parser.add_argument("--model", default="", help="another base model")
    parser.add_argument("--rows", type=int, default=1000, help="rows to train on and to choose by")
    parser.add_argument("--held", type=int, default=600, help="test rows")
    parser.add_argument("--seed", type=int, default=0, help="draws the rows")
    parser.add_argument("--minutes", type=float, default=4, help="of the processor, for auto")
    parser.add_argument("--rows-only", type=Path, help="write the rows into this folder, and measure nothing")
    parser.add_argument("--output", type=Path, default=HERE / "AUTO.md")
    return parser.parse_args()


def draw(options: argparse.Namespace) -> tuple[Pairs, Pairs]:
    """Rows to train on and to choose by, and test rows."""
    rows = DATA[options.data]
    train, test = (_shuffled(ASSETS / "data" / name, rows.column, options.seed) for name in (rows.train, rows.test))
    return train[: options.rows], test[-options.held :]


def recipe_of(options: argparse.Namespace, train: Pairs, test: Pairs, place: Path) -> dict[str, Any]:
    """Write the rows into a folder; returns the recipe without a method."""
    rows = DATA[options.data]
    for name, some in (("train", train), ("test", test)):
        with (place / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([(rows.column, "label"), *some])
    files = {"train": str(place / "train.csv"), "test": str(place / "test.csv")}
    return {
        "model": options.model or rows.model,
        "data": {"files": files, "split": {"validation": 0.2}, **rows.data},
        "train": {"precision": "fp32"},
    }


def _shuffled(place: Path, column: str, seed: int) -> Pairs:
    if place.is_dir():
        rows = [(str(file), file.parent.name) for file in sorted(place.glob("*/*.jpg"))]
    else:
        with place.open(encoding="utf-8", newline="") as lines:
            rows = [(row[column], row["label"]) for row in csv.DictReader(lines)]
    random.Random(seed).shuffle(rows)
    return rows


def measure(name: str, recipe: dict[str, Any], place: Path, minutes: float) -> dict[str, Any]:
    """One contender: its figure on the resamples of the test rows, and what it took."""
    os.environ["LUTHIER_CACHE"] = str(place / f"cache-{name}")
    began, output = time.process_time(), place / name
    told = auto(recipe | {"method": "full"}, output, minutes) if name == "auto" else single(recipe, name, output)
    seconds = time.process_time() - began
    from luthier.run import Run

    run = Run(output)
    scores, (targets, per_row) = run.evaluate("test"), run._stored("test")
    drawn = run.target.judge.resampled(targets, per_row, 0)["f1_macro"]
    found = {"value": scores.metrics["f1_macro"], "interval": scores.intervals["f1_macro"], "drawn": drawn}
    held = run.evaluate("validation").metrics["f1_macro"]
    print(json.dumps({"name": name, "value": found["value"], "seconds": round(seconds, 1)}), flush=True)
    return {**found, **told, "seconds": seconds, "held": held}


def single(recipe: dict[str, Any], method: str, output: Path) -> dict[str, Any]:
    """`luthier train` by the method's defaults."""
    from luthier.pipeline import train

    train({**recipe, "method": method, "output": str(output)})
    return {}


def auto(recipe: dict[str, Any], output: Path, minutes: float) -> dict[str, Any]:
    """`luthier auto` by a clock that counts seconds of the processor."""
    from luthier.auto import finish, report
    from luthier.auto.candidates import METHODS_TRIED
    from luthier.auto.clock import Clock
    from luthier.auto.ledger import Ledger
    from luthier.auto.race import Race
    from luthier.auto.runner import Runner
    from luthier.recipe.reading import read
    from luthier.show import Console

    console, ledger = Console(), Ledger(terms={}, minutes=minutes)
    runner = Runner(read({**recipe, "output": str(output)}), ledger, Clock(minutes, now=time.process_time), console)
    Race(runner, console).run([], METHODS_TRIED)
    finish.finish(runner, console)
    facts = report.write(runner)
    return {"sentence": facts["sentence"], "stopped": facts["stopped"]}


def table(found: Mapping[str, dict[str, Any]]) -> str:
    """A line a contender."""
    best = max(found.keys() - {"auto"}, key=lambda name: found[name]["value"])
    return "\n".join(
        [
            f"| | test F1 | 95 % interval | against {best} | validation F1 | s |",
            "|---|---|---|---|---|---|",
            *_lines(found, best),
        ]
    )


def _lines(found: Mapping[str, dict[str, Any]], best: str) -> Iterator[str]:
    import numpy as np

    for name, one in found.items():
        low, high = np.nanpercentile(one["drawn"] - found[best]["drawn"], [2.5, 97.5])
        ends = "{:.3f} to {:.3f}".format(*one["interval"])
        against = "" if name == best else f"{one['value'] - found[best]['value']:+.3f} ({low:+.3f} to {high:+.3f})"
        yield f"| {name} | {one['value']:.3f} | {ends} | {against} | {one['held']:.3f} | {one['seconds']:.0f} |"


if __name__ == "__main__":
    main()
