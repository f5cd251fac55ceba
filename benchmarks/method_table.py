"""Every method on the same data: accuracy with interval over seeds, trainable share, size of what it adds.

    python benchmarks/method_table.py --model demo/minilm-en            # goes on where it was stopped; hours on 2 cores
    python benchmarks/method_table.py --only lora,prefix --seeds 0

Each run is a process of its own and a line of method_table.jsonl; a run that is there is not done again. Seeds come in turn, so
that the table is complete for the first seed before the second begins. `--render` writes the table into METHODS.md, with what its
rows say of the command, the dates and the machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from page import write

HERE = Path(__file__).parent
RESULTS = HERE / "method_table.jsonl"
SPECIAL: dict[str, Any] = {"top": {"name": "top", "blocks": 2}}
LEFT_OUT = {"pattern", "cloze"}
"""`pattern` is whatever its pattern says; `cloze` needs a head that predicts words, which MiniLM's checkpoint has not."""


def main() -> None:
    """Run what is missing, or one run, or write the table."""
    options = read_options()
    if options.one:
        print(json.dumps(run_one(json.loads(options.one))))
    elif options.render:
        write(options.output, "method_table.py", render(), "Methods, measured")
    else:
        run_missing(options)


def read_options() -> argparse.Namespace:
    """The command line."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model", default="", help="default: demo/minilm-en for sst2, multilingual-e5-small-zhen for hotel"
    )
    parser.add_argument("--assets", type=Path, default=assets)
    parser.add_argument("--data", default="sst2,hotel", help="which data sets")
    parser.add_argument("--only", default="", help="methods, comma-separated; default all")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--rows", type=int, default=0, help="training rows; 0 takes all")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"], help="what trainings compute in")
    parser.add_argument(
        "--share", default="0/1", help="i/n: do every n-th run only, for several processes side by side"
    )
    parser.add_argument("--output", type=Path, default=HERE / "METHODS.md")
    parser.add_argument("--render", action="store_true")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_missing(options: argparse.Namespace) -> None:
    """Run all jobs that have no line yet."""
    number, of = map(int, options.share.split("/"))
    for index, job in enumerate(jobs(options)):
        if index % of != number or key_of(job) in {key_of(one) for one in results()}:
            continue
        command = [sys.executable, __file__, "--one", json.dumps(job)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        found = json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else {"failed": run.stderr[-500:]}
        with RESULTS.open("a", encoding="utf-8") as out:
            out.write(json.dumps(job | found) + "\n")
        print(key_of(job), found, file=sys.stderr, flush=True)


def jobs(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """One job per seed, data set and method."""
    from luthier.methods import METHODS

    names = [name for name in METHODS if name not in LEFT_OUT]
    names = options.only.split(",") if options.only else names
    for seed in map(int, options.seeds.split(",")):
        for data in options.data.split(","):
            for name in names:
                method = SPECIAL.get(name, {"name": name})
                yield {"data": data, "method": method, "seed": seed, "rows": options.rows} | {
                    "model": options.model or str(MODELS[data]).format(assets=options.assets),
                    "assets": str(options.assets),
                    "precision": options.precision,
                }


def results() -> list[dict[str, Any]]:
    """The lines that are there."""
    return [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []


def key_of(job: dict[str, Any]) -> str:
    """What makes a run the same."""
    return json.dumps([job["data"], job["method"], job["seed"], job["rows"], job.get("precision", "fp32")])


def run_one(job: dict[str, Any]) -> dict[str, Any]:
    """Train with the method's defaults and score the test rows."""
    from train_text import machine

    import luthier
    from luthier import hardware

    day, _, around = machine().partition("\n")[0].partition(", ")

    with tempfile.TemporaryDirectory() as place:
        os.environ["LUTHIER_CACHE"] = (
            f"{place}/cache"  # what another seed has kept would be time that this one does not take
        )
        recipe = {
            "model": job["model"],
            "data": DATA[job["data"]](Path(job["assets"]) / "data", Path(place), job["rows"]),
            "method": job["method"],
            "train": {"precision": job["precision"]},
            "seed": job["seed"],
            "save": "merged" if job["method"]["name"] in {"full", "scratch"} else "increment",
            "output": f"{place}/run",
        }
        before = time.process_time()
        run = luthier.train(recipe)
        spent = time.process_time() - before
        scored = run.evaluate("test")
        log = run.folder.records()
        resolved = run.folder.read_json("report.json")["run"]
        weights = sum(file.stat().st_size for file in (run.path / "model").glob("*.safetensors"))
        return {
            "accuracy": scored.metrics["accuracy"],
            "f1": scored.metrics["f1_macro"],
            "interval": scored.intervals["accuracy"],
            "majority": scored.baseline.figures["accuracy"],
            "tested": scored.rows,
            "lr": resolved["lr"],
            "share": resolved["trained_parameters"] / resolved["all_parameters"],
            "mb": weights / 2**20,
            "seconds": next(line["seconds"] for line in log if line["event"] == "stop"),
            "processor_seconds": spent,
            "peak_mb": hardware.peak_memory_mb(),
            "date": day,
            "machine": around,
        }


def sst2(data: Path, place: Path, rows: int) -> dict[str, Any]:
    """SST-2: training rows drawn once for all seeds (0: all of them), the whole test split."""
    files = {name: str(data / f"sst2_en_{file}.csv") for name, file in SPLITS.items()}
    if rows:
        pairs = read(Path(files["train"]), "text")
        order = np.random.default_rng(0).permutation(len(pairs))[:rows]
        files["train"] = save([pairs[index] for index in order], place / "train.csv")
    return {"files": files, "max_length": 128}


SPLITS = {"train": "train", "validation": "dev", "test": "test"}


def hotel(data: Path, place: Path, rows: int) -> dict[str, Any]:
    """Hotel reviews, drawn once for all seeds, duplicates left out: 1,000 to test, 300 to validate, `rows` (0: the rest) to train."""
    pairs = list(dict(read(data / "hotel_reviews_zh.csv", "review")).items())
    drawn = [pairs[index] for index in np.random.default_rng(0).permutation(len(pairs))]
    parts = {"test": drawn[:1000], "validation": drawn[1000:1300], "train": drawn[1300:][: rows or None]}
    return {"files": {name: save(part, place / f"{name}.csv") for name, part in parts.items()}, "max_length": 128}


def read(file: Path, text: str) -> list[tuple[str, str]]:
    """Texts and labels."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [(row[text], row["label"]) for row in csv.DictReader(lines) if row[text].strip()]


def save(pairs: list[tuple[str, str]], file: Path) -> str:
    """Write texts and labels."""
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([("text", "label"), *pairs])
    return str(file)


DATA = {"sst2": sst2, "hotel": hotel}


MODELS = {"sst2": "demo/minilm-en", "hotel": "{assets}/models/multilingual-e5-small-zhen"}
"""A base that knows the language: MiniLM's vocabulary has few Chinese characters."""


def render() -> str:
    """A table for each data set and number of rows, methods by accuracy."""
    measured = dict.fromkeys((line["data"], line["rows"]) for line in results())
    return "\n\n".join(table(data, rows) for data, rows in measured)


def table(data: str, rows: int) -> str:
    """Means over seeds; the interval is that of the rows, averaged over seeds."""
    measured = [line for line in results() if line["data"] == data and line["rows"] == rows and "accuracy" in line]
    runs = by_method(measured)
    if not runs:
        return ""
    first = next(iter(runs.values()))[0]
    formats = sorted({format_of(line) for line in measured}, reverse=True)
    sizes = f"{first['rows'] or 'all'} training rows, {first['tested']} test rows, majority {first['majority']:.3f}"
    lines = [
        f"### {data}, {Path(MODELS[data]).name}: {sizes}",
        "",
        *origin(measured),
        "Time: of the processor, for a whole training, beside `full` on the same machine in the same format; "
        "empty where one of the two is not measured.",
        *in_both(measured),
        "",
        "| method | accuracy | 95 % interval | seeds | over seeds | F1 macro | rate | trains | added MB | peak MB "
        f"{' '.join(f'| time in {one}, full = 1' for one in formats)} |",
        f"{'|---' * (10 + len(formats))}|",
    ]
    for name, found in sorted(runs.items(), key=lambda item: -mean(item[1], "accuracy")):
        low, high = (statistics.mean(one["interval"][side] for one in found) for side in (0, 1))
        spread = [one["accuracy"] for one in found]
        lines.append(
            f"| {name} | {mean(found, 'accuracy'):.3f} | {low:.3f} to {high:.3f} | {len(found)} | {min(spread):.3f} to {max(spread):.3f} "
            f"| {mean(found, 'f1'):.3f} | {found[0]['lr']:g} | {100 * found[0]['share']:.2f} % | {found[0]['mb']:.2f} "
            f"| {mean(found, 'peak_mb'):.0f} {' '.join(f'| {times(measured, name, one)}' for one in formats)} |"
        )
    return "\n".join(lines)


def by_method(measured: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """One run for each seed of a method: that in fp32 where a seed was measured in both formats."""
    once: dict[str, dict[int, dict[str, Any]]] = {}
    for line in sorted(measured, key=format_of, reverse=True):
        once.setdefault(line["method"]["name"], {}).setdefault(line["seed"], line)
    return {name: list(seeds.values()) for name, seeds in once.items()}


def format_of(line: dict[str, Any]) -> str:
    """What a run computed in: runs that do not say it are from before there was a choice."""
    return str(line.get("precision", "fp32"))


def in_both(measured: list[dict[str, Any]]) -> Iterator[str]:
    """What the format changes: runs of the same seed in both."""
    found = {(one["method"]["name"], one["seed"], format_of(one)): one["accuracy"] for one in measured}
    pairs = [
        f"{name} with seed {seed} {found[name, seed, 'fp32']:.3f} and {accuracy:.3f}"
        for (name, seed, precision), accuracy in found.items()
        if precision == "bf16" and (name, seed, "fp32") in found
    ]
    if pairs:
        yield f"Trained in fp32 and in bf16, the same seed: {', '.join(pairs)}. The table has the former."


def origin(runs: list[dict[str, Any]]) -> Iterator[str]:
    """Where the runs of a table come from, as far as they say: what repeats them, and when and on what they were measured."""
    for asked in dict.fromkeys((one["model"], format_of(one)) for one in runs):
        same = [one for one in runs if (one["model"], format_of(one)) == asked]
        given = "" if is_usual(same[0]) else f" FOLDER holds {MODELS[same[0]['data']]}."
        yield f"Command: `{command_of(same)}`, which also measures what is not there yet.{given}"
    dated = [one for one in runs if "date" in one]
    for around in dict.fromkeys(place_of(one) for one in dated):
        days = sorted(one["date"] for one in dated if place_of(one) == around)
        yield f"{' to '.join(dict.fromkeys((days[0], days[-1])))}, {len(days)} of {len(runs)} runs, trained in {around[1]}: {around[0]}"
    if len(dated) < len(runs):
        yield f"Measured before runs kept their date and machine: {len(runs) - len(dated)} of {len(runs)}."


def command_of(runs: list[dict[str, Any]]) -> str:
    """What measures all of these runs, of one model, again."""
    one = runs[0]
    seeds = ",".join(str(seed) for seed in sorted({run["seed"] for run in runs}))
    own = ("" if is_usual(one) else " --model FOLDER") + (
        "" if format_of(one) == "fp32" else f" --precision {format_of(one)}"
    )
    return f"python benchmarks/method_table.py --data {one['data']} --rows {one['rows']} --seeds {seeds}{own}"


def is_usual(one: dict[str, Any]) -> bool:
    """Whether a run had the model that its data have when none is given."""
    return bool(one["model"] == MODELS[one["data"]].format(assets=one["assets"]))


Place = tuple[str, str]
"""A machine, and the format that it computed in: what seconds can be compared within."""


def place_of(one: dict[str, Any]) -> Place:
    """Where a run took its time."""
    return one["machine"], format_of(one)


def times(measured: list[dict[str, Any]], name: str, precision: str) -> str:
    """Seconds of the processor for a whole training as a ratio to those of `full` at the same place; nothing where it is not there."""
    told = [one for one in measured if "processor_seconds" in one and format_of(one) == precision]
    usual = {place: seconds_at(told, "full", place) for place in map(place_of, of_method(told, "full"))}
    ratios = [
        one["processor_seconds"] / usual[place_of(one)] for one in of_method(told, name) if place_of(one) in usual
    ]
    return f"{statistics.mean(ratios):.2f}" if ratios else ""


def seconds_at(told: list[dict[str, Any]], name: str, place: Place) -> float:
    """The mean over a method's runs there."""
    return mean([one for one in of_method(told, name) if place_of(one) == place], "processor_seconds")


def of_method(runs: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Those of one method."""
    return [one for one in runs if one["method"]["name"] == name]


def mean(found: list[dict[str, Any]], key: str) -> float:
    """Over the seeds."""
    return statistics.mean(one[key] for one in found)


if __name__ == "__main__":
    main()
