"""What the methods cost beside the loops that people write for them: the section "It must reach" of their issue.

    make bench-methods                              # all of it; writes benchmarks/METHODS.md
    python benchmarks/train_methods.py --parts head,size --rows 256 --rounds 1 --output /tmp/METHODS.md

Every measurement is a process of its own (method_contenders.py) with an empty cache, and contenders take turns. All have the same
rows, rate, batch size, AdamW, fp32 and two threads. Epochs of the other loops all cost the same, so one is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from page import write
from train_text import draw_rows, machine, middle

HERE = Path(__file__).parent
THREADS = "2"
FEW = 32
"""Rows of a first run that imports everything."""

Found = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Part:
    """One method and what it is measured against."""

    title: str
    method: dict[str, Any]
    network: str
    """How Trainer's model is made, in method_contenders.py."""
    rows: int
    epochs: int
    least: Mapping[str, float]
    """Contenders, and how many times faster luthier must be."""
    batch_size: int = 32
    compared: str = "rows_per_second"
    """`rows_per_second` of the steps, or `seconds` of everything from the raw rows on."""
    longer: int = 0
    """Epochs of another run of luthier."""
    within: float = 0.0
    """Most times that it may take."""
    variants: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Changes of the job with which luthier runs as well, and is compared with the others alike."""
    memory: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Changes of the job whose memory is compared; the last is what the others are a share of."""
    share: float = 0.3
    """Most of that memory which the others may take."""


LORA = {"name": "lora", "rank": 8}
ADAPTER = {"name": "adapter", "kind": "houlsby", "reduction": 16}
PREFIX = {"name": "prefix", "length": 20}
HEAD = {"name": "head"}
PARTS = {
    "head": Part(
        "head", HEAD, "frozen_base", 2048, 30, {"usual_loop": 20, "trainer": 12}, 64, "seconds", longer=300, within=1.5
    ),
    "top": Part(
        "top 2 of 6 blocks", {"name": "top", "blocks": 2}, "frozen_below", 1024, 5, {"trainer": 4}, compared="seconds"
    ),
    "lora": Part(
        "lora, rank 8, all linear layers",
        LORA,
        "by_peft",
        1024,
        1,
        {"trainer": 2.5},
        variants={"luthier, gradient_checkpointing": {"checkpointing": True}},
        memory={
            "lora": {},
            "lora, gradient_checkpointing": {"checkpointing": True},
            "full": {"method": {"name": "full"}},
        },
    ),
    "adapter": Part("adapter, Houlsby, reduction 16", ADAPTER, "same_network", 1024, 1, {"trainer": 2.5}),
    "prefix": Part("prefix, length 20", PREFIX, "same_network", 1024, 1, {"trainer": 2.5}),
}
SIZED: dict[str, dict[str, Any]] = {
    "lora, rank 8": LORA,
    "adapter, reduction 16": ADAPTER,
    "prefix, length 20": PREFIX,
    "head": HEAD,
}
LARGEST = 0.02
"""Share of the base's bytes that an increment may take."""


def main() -> None:
    """Measure one part after the other, and write the tables of each as soon as they are there."""
    options = read_options()
    around = f"{machine().partition(' Median')[0]} {THREADS} threads, fp32, dropout on; medians of {options.rounds}."
    with tempfile.TemporaryDirectory() as place:
        for name in options.parts:
            title, *tables = MEASURES.get(name, speeds)(name, options, Path(place))
            write(
                options.output, f"train_methods.py, {name}", "\n\n".join([title, around, *tables]), "Methods, measured"
            )


def read_options() -> argparse.Namespace:
    """The command line."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    names = [*PARTS, *MEASURES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", type=lambda text: text.split(","), default=names, help=",".join(names))
    parser.add_argument("--rows", type=int, help="training rows; default: 2048 for head, 1024 for the others")
    parser.add_argument("--rounds", type=int, default=2, help="times that each contender runs")
    parser.add_argument("--max-length", type=int, default=500, help="tokens at which rows are cut")
    parser.add_argument("--model", default="demo/minilm-en", help="demo/minilm-en or a folder")
    parser.add_argument("--assets", type=Path, default=assets, help="folder with data/hotel_reviews_zh.csv")
    parser.add_argument("--output", type=Path, default=HERE / "METHODS.md")
    options = parser.parse_args()
    unknown = sorted({*options.parts} - {*names})
    if unknown:
        parser.error(f"--parts: {unknown[0]} is none of {', '.join(names)}")
    return options


def make_job(options: argparse.Namespace, place: Path, rows: int, method: dict[str, Any]) -> dict[str, Any]:
    """What every contender reads; the rows are drawn anew, the same for the same number."""
    from luthier.methods import METHODS
    from luthier.models.find import find

    files = {name: place / f"{name}_{rows}.csv" for name in ("train", "validation", "few", "rest")}
    source = options.assets / "data" / "hotel_reviews_zh.csv"
    draw_rows(source, "review", rows, files["train"], files["rest"])
    with files["rest"].open(encoding="utf-8") as lines:
        files["validation"].write_text("".join(list(lines)[: 1 + max(16, rows // 8)]), encoding="utf-8")
    draw_rows(source, "review", FEW, files["few"], files["rest"])
    return {
        "model": str(find(options.model, None, False).location),
        **{name: str(file) for name, file in files.items()},
        "method": method,
        "lr": METHODS[method["name"]].rate.value,
        "max_length": options.max_length,
        "batch_size": 32,
        "epochs": 1,
        "save": None,
        "seed": 0,
    }


def in_turns(jobs: Mapping[str, tuple[str, dict[str, Any]]], rounds: int) -> Found:
    """Measure each contender once a round, A B C A B C."""
    found: Found = {title: [] for title in jobs}
    for _ in range(rounds):
        for title, (name, job) in jobs.items():
            found[title].append(measure(name, job))
            print(title, found[title][-1], file=sys.stderr, flush=True)
    return found


def measure(name: str, job: dict[str, Any]) -> dict[str, float]:
    """Run one contender in a process of its own, with an empty cache; returns its figures."""
    with tempfile.TemporaryDirectory() as place:
        given = json.dumps(job | {"runs": str(Path(place) / "run")})
        around = os.environ | {"LUTHIER_CACHE": place, "OMP_NUM_THREADS": THREADS, "TOKENIZERS_PARALLELISM": "true"}
        command = [sys.executable, str(HERE / "method_contenders.py"), name, given]
        run = subprocess.run(command, capture_output=True, text=True, check=False, env=around)
    if run.returncode:
        raise SystemExit(f"{name} failed:\n{run.stderr[-4000:]}")
    result: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return result


def speeds(name: str, options: argparse.Namespace, place: Path) -> list[str]:
    """Time, and memory where it is asked for, of one method."""
    part = PARTS[name]
    rows = options.rows or part.rows
    changes = {"batch_size": part.batch_size, "epochs": part.epochs, "network": part.network}
    job = make_job(options, place, rows, part.method) | changes
    jobs = {title: ("luthier", job | changed) for title, changed in ours_of(part).items()}
    jobs |= {other: (other, job) for other in part.least}
    found = in_turns(jobs, options.rounds)
    title = f"### {part.title}: {part.epochs} epochs of {rows} rows, batches of {part.batch_size}"
    sections = [title, speed_table(part, found), *parts_of_time(part, found)]
    if part.memory:
        held = {title: ("memory", job | changed) for title, changed in part.memory.items()}
        sections.append(memory_table(part, in_turns(held, options.rounds)))
    return sections


def ours_of(part: Part) -> dict[str, dict[str, Any]]:
    """Luthier's own runs: what each changes of the job."""
    longer = {"luthier, longer": {"epochs": part.longer}} if part.longer else {}
    return {"luthier": {}, **part.variants, **longer}


def speed_table(part: Part, found: Found) -> str:
    """Seconds from the raw rows on, speed of the steps, and how many times faster luthier is."""
    lines = [
        "| | weights that train | seconds in all | rows a second in steps | luthier is faster by | must be | reached |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, results in found.items():
        whole, speed = (middle(results, key) for key in ("seconds", "rows_per_second"))
        least = part.least.get(title)
        ratio = faster(part, found["luthier"], results)
        judged = f"{ratio:.2f} | {least:g} | {'yes' if ratio >= least else 'no'}" if least else "1 | | "
        note = " (one epoch, the others by arithmetic)" if least and part.epochs > 1 else ""
        lines.append(f"| {title}{note} | {middle(results, 'trained'):,.0f} | {whole:.1f} | {speed:.1f} | {judged} |")
    compared = "seconds in all" if part.compared == "seconds" else "speed of the steps alone"
    return "\n".join([*lines, "", f"Compared by {compared}.", *variants(part, found)])


def faster(part: Part, ours: list[dict[str, float]], others: list[dict[str, float]]) -> float:
    """How many times faster ours are, by what the part compares."""
    if part.compared == "seconds":
        return middle(others, "seconds") / middle(ours, "seconds")
    return middle(ours, "rows_per_second") / middle(others, "rows_per_second")


def variants(part: Part, found: Found) -> Iterator[str]:
    """A sentence for each other setting of luthier and each contender."""
    for title in part.variants:
        for other, least in part.least.items():
            ratio = faster(part, found[title], found[other])
            reached = "yes" if ratio >= least else "no"
            yield f"{title} is {ratio:.2f} times as fast as {other} (must be {least:g}): {reached}."


def parts_of_time(part: Part, found: Found) -> list[str]:
    """Where the seconds of luthier's runs go, and what a longer one costs."""
    ours = {title: results for title, results in found.items() if "report" in results[0]}
    keys = [key for key in found["luthier"][0] if key not in ("seconds", "rows_per_second", "trained")]
    lines = [f"| seconds | {' | '.join(keys)} |", "|---" * (len(keys) + 1) + "|"]
    for title, results in ours.items():
        lines.append(f"| {title} | {' | '.join(f'{middle(results, key):.1f}' for key in keys)} |")
    sections = ["\n".join(lines)]
    if part.longer:
        ratio = middle(found["luthier, longer"], "seconds") / middle(found["luthier"], "seconds")
        reached = "yes" if ratio < part.within else "no"
        costs = f"{part.longer} epochs cost {ratio:.2f} times {part.epochs}"
        sections.append(f"{costs} (must be below {part.within:g}): {reached}.")
    return sections


def memory_table(part: Part, found: Found) -> str:
    """What training holds above the loaded model, and its parts."""
    keys = ("above", "optimiser", "gradients", "activations", "loaded")
    lines = [
        "| MiB | above the loaded model | optimiser | gradients | activations (the rest) | process before |",
        "|---|---|---|---|---|---|",
    ]
    for title, results in found.items():
        lines.append(f"| {title} | {' | '.join(f'{middle(results, key):.1f}' for key in keys)} |")
    *cheap, dear = (middle(results, "above") for results in found.values())
    verdicts = [
        f"{title}: {above / dear:.1%} of full fine-tuning's memory (must be at most {part.share:.0%}): "
        f"{'yes' if above <= part.share * dear else 'no'}."
        for title, above in zip(found, cheap, strict=False)
    ]
    return "\n".join([*lines, "", *verdicts])


def sizes(name: str, options: argparse.Namespace, place: Path) -> list[str]:
    """What `save: increment` writes."""
    jobs = {
        title: ("size", make_job(options, place, FEW, method) | {"save": "increment", "max_length": 32})
        for title, method in SIZED.items()
    }
    lines = [
        "| | weights, bytes | share of the model | at most | reached | with configurations, bytes |",
        "|---|---|---|---|---|---|",
    ]
    for title, (result,) in in_turns(jobs, 1).items():
        share = result["weights"] / result["base"]
        judged = f"{share:.2%} | {LARGEST:.0%} | {'yes' if share <= LARGEST else 'no'}"
        lines.append(f"| {title} | {result['weights']:,.0f} | {judged} | {result['all']:,.0f} |")
    return ["### Size of an increment", "\n".join(lines)]


MEASURES: dict[str, Callable[[str, argparse.Namespace, Path], list[str]]] = {"size": sizes}


if __name__ == "__main__":
    main()
