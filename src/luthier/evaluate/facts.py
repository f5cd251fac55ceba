"""What the report says, as plain JSON: one function a section, from the records of a run to facts or None."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from io import StringIO
from itertools import pairwise
from typing import Any

import numpy as np

from luthier.data import cells, health
from luthier.evaluate import plan
from luthier.evaluate.diagnosis import diagnose
from luthier.evaluate.diagnosis.curves import Curves
from luthier.evaluate.diagnosis.trend import smoothed
from luthier.evaluate.judge import Figure
from luthier.evaluate.loading import loading
from luthier.evaluate.records import Records
from luthier.networks import title

Facts = dict[str, Any]

POINTS = 200
"""Points kept of a curve that has a value every step."""
SPAN = 20
"""Share of the steps, as 1/20, that the smoothed training loss is a mean of."""
SUSPECTS = 10
"""Rows with a suspect label that are shown."""
FEW_ROWS = 100
"""Scored rows below which a warning says how wide the intervals are."""


def run(records: Records) -> Facts:
    """What was trained, how and for how long."""
    resolved, stop = records.resolved, _last(records.log, "stop")
    how, about = loading(records.folder / "model"), records.target.about
    return {
        "name": records.folder.name,
        "folder": str(records.folder),
        "task": plan.name(records.recipe.get("task")),
        "labels": list(records.target.model_config.get("id2label", {}).values()),
        "about": asdict(about.apart if how.apart and about.apart else about),
        "input": cells.read_by(records.data["columns"]),
        "medium": records.data["columns"].get("medium", "text"),
        "target": records.data["columns"]["label"],
        "model": title(records.recipe["model"]),
        "base_model": resolved.get("base_model"),
        "method": plan.methods(records.recipe),
        "names": plan.told(records.recipe, plan.name),
        "plan": plan.told(records.recipe, plan.settings),
        "library": how.library,
        "increment_of": how.base,
        "module": how.module,
        "trained_parameters": resolved.get("trained_parameters"),
        "all_parameters": resolved.get("all_parameters"),
        "lr": resolved.get("lr"),
        "lr_min": min((stage["lr_min"] for stage in resolved.get("stages") or ()), default=resolved.get("lr")),
        "precision": resolved.get("precision"),
        "precision_reason": resolved.get("precision_reason"),
        "seed": records.recipe.get("seed"),
        "steps": stop.get("step"),
        "seconds": stop.get("seconds"),
        "stop_reason": stop.get("reason"),
        "language": records.data.get("language"),
        "files": records.data["files"],
    }


def scores(records: Records) -> Facts | None:
    """Every figure with its interval, beside what one answer for all rows gets; None where no figure is defined for these rows."""
    if records.scored is None:
        return None
    judge, targets = records.target.judge, records.scored[0]
    figures = judge.metrics(*records.scored)
    if not figures:
        return None
    ends = judge.intervals(*records.scored, seed=records.recipe.get("seed") or 0)
    baseline = judge.baseline(targets, records.data["splits"]["train"])
    constant = baseline.figures if baseline else {}
    return {
        "split": records.held_out,
        "rows": len(targets),
        "main": records.monitor if records.monitor in figures else next(iter(figures)),
        "always": baseline.answer if baseline else None,
        "figures": [
            {
                **_described(name, judge.figures[name]),
                "value": value,
                "interval": ends.get(name),
                "baseline": constant.get(name),
            }
            for name, value in figures.items()
        ],
    }


def warnings(records: Records, told: Facts | None) -> list[str]:
    """What a reader should know before trusting the scores; `told` are the facts of `scores`."""
    found = list(records.data.get("warnings") or [])
    notes = [one["text"] for one in records.log if one["event"] == "note"]
    return found + [text for text in (*notes, *_doubts(records, told)) if text not in found]


def _doubts(records: Records, told: Facts | None) -> Iterable[str]:
    if records.scored is None:
        yield f"The {records.held_out} rows have not been predicted yet: run `luthier evaluate {records.folder}`."
        return
    if told is None:
        yield (
            f"Nothing can be measured on the {len(records.scored[0])} {records.held_out} rows, as their labels are all the same: add rows "
            "with others."
        )
        return
    main = next(one for one in told["figures"] if one["name"] == told["main"])
    if told["rows"] < FEW_ROWS:
        yield f"Only {told['rows']} rows were scored: mind how wide the intervals are."
    if main["baseline"] is not None and main["interval"] and not _beats(main):
        yield (
            f"{main['title']} is not reliably better than always answering {told['always']}: "
            f"{main['value']:.3f} ({main['interval'][0]:.3f} to {main['interval'][1]:.3f}) against {main['baseline']:.3f}."
        )
    splits = records.data["splits"]
    absent = [label for label in splits["train"]["labels"] if not splits[records.held_out]["labels"].get(label)]
    if absent:
        yield f"No {records.held_out} row has the label {', '.join(absent)}: nothing is known about how well it is found."


def _beats(figure: Facts) -> bool:
    low, high = figure["interval"]
    return bool(high < figure["baseline"] if figure["lower_is_better"] else low > figure["baseline"])


def diagnosis(records: Records) -> Facts:
    """What the curves say: the first finding's words, and all findings."""
    found = diagnose(records)
    return {
        "verdict": found.first.name,
        "evidence": found.first.evidence,
        "suggestion": found.first.suggestion,
        "findings": [asdict(one) for one in found.findings],
    }


def data(records: Records) -> Facts:
    """What was learned from and scored on."""
    return {
        **{
            key: records.data.get(key)
            for key in ("files", "split", "columns", "max_length", "unit", "bad_rows", "fingerprint")
        },
        "notes": records.data.get("notes", []),
        "health": [vars(one) for one in health.examine(records.data)] if "changes" in records.data else [],
        "suspects": (records.data.get("labels") or {}).get("suspects", [])[:SUSPECTS],
        "changes": records.data.get("changes"),
        "labels": list(records.data["splits"]["train"]["labels"]),
        "several": any(sum(part["labels"].values()) > part["rows"] for part in records.data["splits"].values()),
        "splits": [
            {"name": name, **{key: part.get(key) for key in ("rows", "labels", "length", "too_long")}}
            for name, part in records.data["splits"].items()
        ],
    }


def curves(records: Records) -> Facts | None:
    """Losses, the monitored metric and the learning rate over the steps."""
    steps = [one for one in records.log if one["event"] == "step"]
    evaluations = [one for one in records.log if one["event"] == "evaluate" and one.get("split") == "validation"]
    if not steps:
        return None
    monitor, watched = records.monitor, _points(evaluations, records.monitor)
    drawn, train = Curves(records), _points(steps, "loss")
    smooth = smoothed(np.array([loss for _, loss in train]), max(1.0, len(train) / SPAN))
    return {
        "train": _thinned(train),
        "smooth": _thinned([[step, float(loss)] for (step, _), loss in zip(train, smooth, strict=True)]),
        "score": asdict(drawn.score) if drawn.score else None,
        "otherwise": _otherwise(records, drawn),
        "evaluations": [
            {
                **{key: one.get(key) for key in ("step", "epoch", "loss")},
                "monitored": one.get(monitor),
                "train": _known(drawn.around(one["step"])),
            }
            for one in evaluations
        ],
        "lr": _thinned(_points(steps, "lr")),
        "validation": _points(evaluations, "loss"),
        "monitor": monitor,
        "monitored": watched,
        "lower_is_better": records.target.judge.lower_is_better(monitor),
        "best": watched[drawn.best] if watched else None,
        "epochs": steps[-1].get("epoch"),
        "samples_per_second": _median(steps, "samples_per_second"),
        "padding": _median(steps, "padding"),
        "memory_mb": max((one["memory_mb"] for one in steps if one.get("memory_mb")), default=None),
    }


def _otherwise(records: Records, drawn: Curves) -> str:
    """Why the saved weights get another score than the evaluation that kept them; empty where they do not."""
    kept = float(drawn.monitored[drawn.saved]) if len(drawn.monitored) else math.nan
    if drawn.score is None or not math.isfinite(kept) or math.isclose(drawn.score.value, kept, abs_tol=5e-5):
        return ""
    precision = records.resolved.get("precision", "fp32")
    ways = [
        "with what luthier calibrate has fitted since" if calibrated(records) else "",
        f"in fp32, as they are saved, and not in {precision} as while training" if precision != "fp32" else "",
    ]
    how = "".join(f", {way}" for way in ways if way)
    return f"The saved weights get {drawn.score.value:.4f}{how}; the evaluation that kept them had {kept:.4f}."


def judged(section: str) -> Callable[[Records], Any]:
    """What gathers a section that only some tasks have."""
    return lambda records: records.sections.get(section)


def calibrated(records: Records) -> Facts | None:
    """What `luthier calibrate` has fitted; None where nothing was."""
    return records.data.get("calibration")


def recipe(records: Records) -> str:
    """The resolved recipe as YAML, without what was measured."""
    from ruamel.yaml import YAML

    writer, text = YAML(), StringIO()
    writer.representer.add_representer(
        type(None), lambda dumper, _: dumper.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    writer.dump({key: value for key, value in records.recipe.items() if key != "resolved"}, text)
    return text.getvalue()


def environment(records: Records) -> Facts:
    """Versions and hardware."""
    return {key: dict(records.resolved.get(key) or {}) for key in ("versions", "hardware")}


def _described(name: str, figure: Figure) -> Facts:
    return {"name": name, **asdict(figure)}


def _last(log: Sequence[Facts], event: str) -> Facts:
    return next((one for one in reversed(log) if one["event"] == event), {})


def _points(records: Sequence[Facts], key: str) -> list[list[float]]:
    return [[one["step"], one[key]] for one in records if one.get(key) is not None]


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """At most `POINTS` points, each the mean of its stretch, so that no spike is dropped and no dot is alone."""
    edges = np.linspace(0, len(points), min(POINTS, len(points)) + 1).astype(int)
    return [np.mean(points[low:high], axis=0).tolist() for low, high in pairwise(edges)]


def _known(value: float) -> float | None:
    """A number that JSON can hold."""
    return value if np.isfinite(value) else None


def _median(records: Sequence[Facts], key: str) -> float | None:
    values = [one[key] for one in records if one.get(key) is not None]
    return float(np.median(values)) if values else None
