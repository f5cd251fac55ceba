"""What the report says, as plain JSON: one function a section, from the records of a run to facts or None."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from io import StringIO
from itertools import pairwise
from typing import Any

import numpy as np

from luthier.data import health
from luthier.evaluate import plan
from luthier.evaluate.diagnose import diagnose
from luthier.evaluate.intervals import intervals
from luthier.evaluate.loading import loading
from luthier.evaluate.metrics import (
    FIGURES,
    LOWER_IS_BETTER,
    Array,
    confusion,
    majority,
    measure,
    per_class,
    reliability,
)
from luthier.evaluate.records import Records

Facts = dict[str, Any]

POINTS = 200
"""Points kept of a curve that has a value every step."""
SUSPECTS = 10
"""Rows with a suspect label that are shown."""
FEW_ROWS = 100
"""Scored rows below which a warning says how wide the intervals are."""


def run(records: Records) -> Facts:
    """What was trained, how and for how long."""
    resolved, stop = records.resolved, _last(records.log, "stop")
    how = loading(records.folder / "model")
    return {
        "name": records.folder.name,
        "folder": str(records.folder),
        "task": plan.name(records.recipe.get("task")),
        "kind": records.data["target"]["kind"],
        "labels": records.labels,
        "input": records.data["columns"]["text"],
        "target": records.data["columns"]["label"],
        "model": records.recipe["model"],
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
    """Every figure with its interval, beside the majority baseline."""
    if records.scored is None:
        return None
    train = records.data["splits"]["train"]
    counts = [train["labels"].get(label, 0) for label in records.labels]
    figures, ends = measure(*records.scored), intervals(*records.scored, seed=records.recipe.get("seed") or 0)
    baseline = majority(counts, records.scored[0], train["rows"])
    return {
        "split": records.held_out,
        "rows": len(records.scored[0]),
        "main": _main(records, figures),
        "most_frequent": _most_frequent(records, counts, train["rows"]),
        "figures": [
            {
                **_described(name, records.labels),
                "value": value,
                "interval": ends.get(name),
                "baseline": baseline.get(name),
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
    if told is None:
        yield f"The {records.held_out} rows have not been predicted yet: run `luthier evaluate {records.folder}`."
        return
    main = next(one for one in told["figures"] if one["name"] == told["main"])
    if told["rows"] < FEW_ROWS:
        yield f"Only {told['rows']} rows were scored: mind how wide the intervals are."
    if main["baseline"] is not None and main["interval"] and not _beats(main):
        yield (
            f"{main['title']} is not reliably better than always answering {told['most_frequent']}: "
            f"{main['value']:.3f} ({main['interval'][0]:.3f} to {main['interval'][1]:.3f}) against {main['baseline']:.3f}."
        )
    absent = [label for label in records.labels if not records.data["splits"][records.held_out]["labels"].get(label)]
    if absent:
        yield f"No {records.held_out} row has the label {', '.join(absent)}: nothing is known about how well it is found."


def _beats(figure: Facts) -> bool:
    low, high = figure["interval"]
    return bool(high < figure["baseline"] if figure["lower_is_better"] else low > figure["baseline"])


def diagnosis(records: Records) -> Facts:
    """What the curves say."""
    return asdict(diagnose(records.log, records.recipe))


def data(records: Records) -> Facts:
    """What was learned from and scored on."""
    return {
        **{
            key: records.data.get(key) for key in ("files", "split", "columns", "max_length", "bad_rows", "fingerprint")
        },
        "notes": records.data.get("notes", []),
        "health": [vars(one) for one in health.examine(records.data)] if "changes" in records.data else [],
        "suspects": (records.data.get("labels") or {}).get("suspects", [])[:SUSPECTS],
        "changes": records.data.get("changes"),
        "labels": records.labels,
        "multilabel": records.multilabel,
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
    monitor = (records.recipe.get("train") or {}).get("monitor") or "loss"
    lower = monitor in LOWER_IS_BETTER
    watched = _points(evaluations, monitor)
    return {
        "train": _thinned(_points(steps, "loss")),
        "lr": _thinned(_points(steps, "lr")),
        "validation": _points(evaluations, "loss"),
        "monitor": monitor,
        "monitored": watched,
        "best": (min if lower else max)(watched, key=lambda point: point[1]) if watched else None,
        "epochs": steps[-1].get("epoch"),
        "samples_per_second": _median(steps, "samples_per_second"),
        "padding": _median(steps, "padding"),
        "memory_mb": max((one["memory_mb"] for one in steps if one.get("memory_mb")), default=None),
    }


def answers(records: Records) -> Facts | None:
    """Which classes are taken for which."""
    if records.scored is None:
        return None
    counts = confusion(*records.scored)
    return {
        "labels": records.labels,
        "multilabel": records.multilabel,
        "counts": counts.tolist(),
        "pairs": _pairs(records, counts),
    }


def classes(records: Records) -> list[Facts] | None:
    """Precision, recall and F1 a class."""
    return None if records.scored is None else per_class(*records.scored, records.labels)


def calibration(records: Records) -> Facts | None:
    """Confidence against accuracy."""
    if records.scored is None:
        return None
    bins = reliability(*records.scored)
    return {"bins": bins, "error": measure(*records.scored)["ece"], "multilabel": records.multilabel}


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


def _described(name: str, labels: Sequence[str]) -> Facts:
    figure, positive = FIGURES[name], _quoted(labels[-1])
    return {
        "name": name,
        "title": figure.title.format(positive=positive),
        "meaning": figure.meaning.format(positive=positive),
        "lower_is_better": figure.lower_is_better,
    }


def _quoted(label: str) -> str:
    return f"“{label}”"


def _main(records: Records, figures: Mapping[str, float]) -> str:
    """The figure to put first: the monitored one where the scored rows have it."""
    monitor = (records.recipe.get("train") or {}).get("monitor")
    return str(monitor) if monitor in figures else next(iter(figures))


def _most_frequent(records: Records, counts: Sequence[int], rows: int) -> str:
    if records.multilabel:
        common = [label for label, count in zip(records.labels, counts, strict=True) if 2 * count >= rows]
        return " + ".join(map(_quoted, common)) or "no label"
    return _quoted(records.labels[int(np.argmax(counts))])


def _pairs(records: Records, counts: Array) -> list[Facts]:
    """The most frequent confusions of one class for another."""
    if records.multilabel:
        return []
    wrong = counts * (1 - np.eye(len(counts), dtype=counts.dtype))
    order = np.argsort(-wrong, axis=None, kind="stable")[:10]
    places = [divmod(int(place), len(counts)) for place in order]
    return [
        {"truth": records.labels[i], "answer": records.labels[j], "count": int(wrong[i, j]), "of": int(counts[i].sum())}
        for i, j in places
        if wrong[i, j]
    ]


def _last(log: Sequence[Facts], event: str) -> Facts:
    return next((one for one in reversed(log) if one["event"] == event), {})


def _points(records: Sequence[Facts], key: str) -> list[list[float]]:
    return [[one["step"], one[key]] for one in records if one.get(key) is not None]


def _thinned(points: list[list[float]]) -> list[list[float]]:
    """At most `POINTS` points, each the mean of its stretch, so that no spike is dropped and no dot is alone."""
    edges = np.linspace(0, len(points), min(POINTS, len(points)) + 1).astype(int)
    return [np.mean(points[low:high], axis=0).tolist() for low, high in pairwise(edges)]


def _median(records: Sequence[Facts], key: str) -> float | None:
    values = [one[key] for one in records if one.get(key) is not None]
    return float(np.median(values)) if values else None
