"""Runs of luthier's own training that differ in one thing: each a line of a file, compared seed by seed with the control."""

from __future__ import annotations

import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

KEY = ("data", "rows", "flipped", "seed", "arm")
"""What makes a run the same, as far as a benchmark has it."""


def records(results: Path) -> list[dict[str, Any]]:
    """The runs that are done."""
    return [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()] if results.exists() else []


def key_of(run: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(run.get(name) for name in KEY)


def run_once(
    job: Mapping[str, Any],
    train: pd.DataFrame,
    test: pd.DataFrame,
    recipe: Mapping[str, Any],
    results: Path,
) -> None:
    """Train and score, and add a line to the results, if the job has none yet.

    Args:
        job: the keys of `KEY`; `seed` is also the recipe's.
        train: training rows, with the columns text and label.
        test: rows that are scored once, after the last epoch; none choose an epoch.
        recipe: model, data (without files), method and train.
        results: a jsonl file.
    """
    if key_of(job) in {key_of(one) for one in records(results)}:
        return
    found = {**job, **scored(train, test, recipe, job["seed"])}
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(found) + "\n")
    print(found, flush=True)


def scored(train: pd.DataFrame, test: pd.DataFrame, recipe: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Scores of a run in percent, the rows it trained on, and its time: by the clock, and of the processor with reading and scoring."""
    import luthier

    with tempfile.TemporaryDirectory() as place:
        files = {name: str(Path(place) / f"{name}.csv") for name in ("train", "test")}
        for name, rows in (("train", train), ("test", test)):
            rows[["text", "label"]].to_csv(files[name], index=False)
        data = {"files": files, "split": {"validation": 0}, "duplicates": "ignore", **recipe["data"]}
        settings = {**recipe, "data": data, "seed": seed, "output": f"{place}/run"}
        began = time.process_time()
        run = luthier.train(settings)
        result = run.evaluate("test")
        stop = next(line for line in run.folder.records() if line["event"] == "stop")
        return {
            "accuracy": 100 * result.metrics["accuracy"],
            "f1": 100 * result.metrics["f1_macro"],
            "tested": result.rows,
            "trained_on": run.data["splits"]["train"]["rows"],
            "suspects": len(run.data.get("labels", {}).get("suspects", ())),
            "epochs": recipe["train"]["epochs"],
            "steps": stop["step"],
            "seconds": stop["seconds"],
            "processor": round(time.process_time() - began, 1),
        }


def compared(runs: Iterable[Mapping[str, Any]], control: str, score: str) -> list[tuple[Any, ...]]:
    """Rows of a table, by data and rows, then in the order of the runs.

    Each is the group (data, rows, flipped), the arm, its mean score, its gain over the control, and the number of seeds. The
    gain is the mean of the differences of the seeds that both have, in points, with Student's 95 % interval.
    """
    found: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    for run in runs:
        found[(*(run.get(name) for name in KEY[:3]), run["arm"])][run["seed"]] = run[score]
    rows = []
    for (*group, arm), scores in sorted(found.items(), key=lambda item: item[0][:2]):
        base = found[(*group, control)]
        both = sorted(scores.keys() & base.keys())
        gains = [scores[seed] - base[seed] for seed in both]
        gain = "" if arm == control else interval(gains)
        rows.append((tuple(group), arm, float(np.mean(list(scores.values()))), gain, len(scores)))
    return rows


def interval(gains: Sequence[float], digits: int = 1) -> str:
    """Mean and half width of Student's 95 % interval."""
    if len(gains) < 2:
        return f"{np.mean(gains):+.{digits}f}" if gains else "-"
    half = stats.t.ppf(0.975, len(gains) - 1) * stats.sem(gains)
    return f"{np.mean(gains):+.{digits}f} ± {half:.{digits}f}"
