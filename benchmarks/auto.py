"""`luthier auto` beside each single default on the same rows: F1 on the test rows with its interval, and seconds of the processor.

    OMP_NUM_THREADS=1 python benchmarks/auto.py --data sst2 --model FOLDER --seed 1     # about 8 minutes of one core; adds to auto.jsonl
    python benchmarks/auto.py --data hotel --rows 400 --minutes 4
    python benchmarks/auto.py --data ants_bees --minutes 3                              # photographs; all 245 and 153 of them
    python benchmarks/auto.py --page                                                    # writes AUTO.md

A seed draws the rows, those of validation, and the weights of new layers. The minutes of the search are counted in seconds of the
processor, as the machine is shared: on an idle core they are those of the clock. Every contender computes outputs of frozen parts anew.
No rate or epoch is given: each method has its own.
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
LINES = HERE / "auto.jsonl"
KEPT = 200
"""Resamples of the validation rows that are written down."""
ASSETS = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
METHODS = ("head", "top", "lora", "full")
SHORT = {"max_length": 64}
Pairs = list[tuple[str, str]]
"""A text or the name of a file, and its label."""


@dataclass(frozen=True)
class Rows:
    """A data set."""

    train: str
    """A csv, a folder with a folder of pictures for each label, or one of recordings named after it."""
    test: str
    """The same file where it is not divided: its last rows after shuffling."""
    column: str
    """What is beside the label."""
    model: str
    data: Mapping[str, Any]
    """What else the recipe says of the rows."""
    methods: tuple[str, ...] = METHODS
    """The single defaults."""


E5 = str(ASSETS / "models" / "multilingual-e5-small-zhen")
DATA: Mapping[str, Rows] = {
    "sst2": Rows("sst2_en_train.csv", "sst2_en_test.csv", "text", "demo/minilm-en", SHORT),
    "hotel": Rows("hotel_reviews_zh.csv", "hotel_reviews_zh.csv", "review", E5, SHORT),
    "ants_bees": Rows(
        *("ants_bees/train", "ants_bees/val", "image"),
        *(str(ASSETS / "models" / "efficientnet-lite0"), {}),
        methods=("head", "top", "full"),  # it has no linears for lora
    ),
    "sms": Rows("sms_spam_en.csv", "sms_spam_en.csv", "text", "demo/minilm-en", SHORT),
    "news": Rows("news_titles_zh_dev.csv", "news_titles_zh_test.csv", "text", E5, SHORT),
    "kinds": Rows("sms_spam_kinds_zh.csv", "sms_spam_kinds_zh.csv", "text", E5, SHORT),
    "digits": Rows("spoken_digits", "spoken_digits", "audio", str(ASSETS / "models" / "whisper-tiny-en-encoder"), {}),
}


def main() -> None:
    """Measure one draw of a data set, or write the page."""
    options = read_options()
    if options.page:
        write(options.output, "auto.py", table(read_lines()), "luthier auto beside single defaults")
        return
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
    told = line(options, len(train), len(test), found)
    with LINES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told) + "\n")
    print(table([told]))


def read_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=list(DATA), default="sst2")
    parser.add_argument("--model", default="", help="another base model")
    parser.add_argument("--rows", type=int, default=1000, help="rows to train on and to choose by")
    parser.add_argument("--held", type=int, default=600, help="test rows")
    parser.add_argument("--seed", type=int, default=0, help="draws the rows and what training draws")
    parser.add_argument("--minutes", type=float, default=4, help="of the processor, for auto")
    parser.add_argument("--rows-only", type=Path, help="write the rows into this folder, and measure nothing")
    parser.add_argument("--page", action="store_true", help="write what is measured, and measure nothing")
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
        "seed": options.seed,
    }


def _shuffled(place: Path, column: str, seed: int) -> Pairs:
    if place.is_dir() and column == "audio":
        rows = [(str(file), file.name.partition("_")[0]) for file in sorted(place.glob("*.wav"))]
    elif place.is_dir():
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
    scores = run.evaluate("test")
    held = run.evaluate("validation").metrics
    found = {
        "value": scores.metrics["f1_macro"],
        "interval": scores.intervals["f1_macro"],
        "drawn": resampled(run, "test"),
        "held": held["f1_macro"],
        "loss": held["log_loss"],
        "brier": held["brier"],
        "calibrated": calibrated(*run._stored("validation")),
        "held_drawn": [round(float(one), 4) for one in resampled(run, "validation")[:KEPT]],
        "seconds": round(seconds, 1),
    }
    print(json.dumps({"name": name, "value": found["value"], "seconds": found["seconds"]}), flush=True)
    return found | told


def calibrated(targets: Any, probabilities: Any) -> float:
    """The log loss at the temperature that makes the rows likeliest; 0 where all are answered right."""
    from luthier.evaluate import metrics
    from luthier.evaluate.calibrate import temperature, tempered

    if (probabilities.argmax(axis=1) == targets).all():
        return 0.0
    found = metrics.measure(targets, tempered(probabilities, temperature(targets, probabilities), several=False))
    return found["log_loss"]


def resampled(run: Any, rows: str) -> Any:
    """F1 macro on resamples of rows."""
    return run.target.judge.resampled(*run._stored(rows), 0)["f1_macro"]


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


def line(options: argparse.Namespace, train: int, test: int, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is kept of a draw: each contender, and by how much auto is before the best single default."""
    import numpy as np

    day, _, around = machine().partition("\n")[0].partition(", ")
    best = max(found.keys() - {"auto"}, key=lambda name: found[name]["value"])
    apart = found["auto"]["drawn"] - found[best]["drawn"]
    return {
        "data": options.data,
        "rows": train,
        "tested": test,
        "seed": options.seed,
        "minutes": options.minutes,
        "best": best,
        "against": [found["auto"]["value"] - found[best]["value"], *np.nanpercentile(apart, [2.5, 97.5])],
        "found": {name: {key: one[key] for key in one if key != "drawn"} for name, one in found.items()},
        "date": day,
        "machine": around,
    }


def read_lines() -> list[dict[str, Any]]:
    """What is measured, by data set, rows and draw."""
    lines = map(json.loads, LINES.read_text(encoding="utf-8").splitlines())
    return sorted(lines, key=lambda one: (list(DATA).index(one["data"]), one["rows"], one["seed"]))


def table(lines: list[dict[str, Any]]) -> str:
    """A line a draw: the single defaults, auto, and auto against the best of them."""
    told = [
        "| data, rows, draw | test rows | head | top | lora | full | auto | against the best | minutes | s | s of all | taken |",
        "|---" * 12 + "|",
    ]
    for one in lines:
        found, auto = one["found"], one["found"]["auto"]
        singles = " | ".join(f"{found[name]['value']:.3f}" if name in found else "" for name in METHODS)
        figure = "{:.3f} ({:.3f} to {:.3f})".format(auto["value"], *auto["interval"])
        against = "{:+.3f} ({:+.3f} to {:+.3f})".format(*one["against"])
        spent = sum(found[name]["seconds"] for name in found.keys() - {"auto"})
        told.append(
            f"| {one['data']}, {one['rows']}, {one['seed']} | {one['tested']} | {singles} | {figure} | {against} "
            f"| {one['minutes']:g} | {auto['seconds']:.0f} | {spent:.0f} | {taken(auto['sentence'])} |"
        )
    return "\n".join([*told, "", summary(lines), "", *origin(lines)])


def taken(sentence: str) -> str:
    """Method and rate."""
    return sentence.partition("(")[2].partition(")")[0]


def summary(lines: list[dict[str, Any]]) -> str:
    """How often auto is told from the best single default, and by how much it differs on average."""
    behind = sum(one["against"][2] < 0 for one in lines)
    before = sum(one["against"][1] > 0 for one in lines)
    mean = sum(one["against"][0] for one in lines) / len(lines)
    return (
        f"Of {len(lines)} draws auto is behind the best single default by more than the interval on {behind}, "
        f"before it on {before}; {mean:+.3f} on average."
    )


def origin(lines: list[dict[str, Any]]) -> Iterator[str]:
    """When and on what."""
    for around in dict.fromkeys(one["machine"] for one in lines):
        days = sorted(one["date"] for one in lines if one["machine"] == around)
        yield f"{' to '.join(dict.fromkeys((days[0], days[-1])))}: {around}"


if __name__ == "__main__":
    main()
