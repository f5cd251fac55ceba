"""Calibrating a finished run: fitted on its validation rows, shown on its test rows, and from then on in all its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luthier.errors import DataError, RunError
from luthier.evaluate.bootstrap import percentiles
from luthier.evaluate.calibrate import Goal, temperature, tempered, threshold
from luthier.evaluate.judge import Judge
from luthier.registry import closest
from luthier.run import Run, write_report
from luthier.tasks import Target

if TYPE_CHECKING:
    from luthier.evaluate.bootstrap import Array

MARK = b"luthier.temperature"
"""In the metadata of predictions.parquet: what its probabilities were already divided by."""
SHOWN = ("log_loss", "brier", "ece")
"""Figures that calibration is about, beside the one that picked the epoch."""
FITTED, REPORTED = "validation", "test"


def calibrate(run: Run, goal: Goal | None = None, label: str = "") -> dict[str, Any]:
    """Fit the temperature and, for a goal, thresholds; write predictions.parquet, data.json and the report anew.

    What an earlier call has fitted is replaced.

    Args:
        run: of classes.
        goal: of the thresholds; None for none.
        label: the only one that gets a threshold. By default each of several labels, and of two classes the second.

    Returns:
        What data.json says of it in `calibration`.

    Raises:
        DataError: the rows say nothing, the goal cannot be reached, or there is no such label.
        RunError: the run predicts no classes, or has no validation or no test rows.
    """
    base = run.target.calibrated(1.0, {})
    if base is None:
        raise RunError(f"{run.path} predicts {run.target.about.kind}, which has no probabilities to calibrate.")
    table = _table(run)
    before = _said(base, table, 1 / float((table.schema.metadata or {}).get(MARK, b"1")))
    found = temperature(*before[FITTED])
    after = {split: (true, tempered(scores, found, true.ndim == 2)) for split, (true, scores) in before.items()}
    names = list(base.model_config["id2label"].values())
    watched = _watched(names, label, after[FITTED][0].ndim == 2) if goal else []
    chosen = {one: threshold(*_truth(names, one, *after[FITTED]), goal, one) for one in watched if goal}
    target = base.calibrated(found, chosen)
    assert target is not None
    facts: dict[str, Any] = {
        "temperature": found,
        "rows": {split: len(after[split][0]) for split in (FITTED, REPORTED)},
        "figures": _figures(base.judge, target.judge, before[REPORTED], after[REPORTED], run),
        "better": _better(base.judge, before[REPORTED], after[REPORTED], run.recipe.seed),
        "goal": goal.told if goal else "",
        "thresholds": [
            {
                "label": one,
                "threshold": cut,
                **{split: _reached(*_truth(names, one, *after[split]), cut, goal) for split in (FITTED, REPORTED)},
            }
            for one, cut in chosen.items()
            if goal
        ],
    }
    facts["notes"] = [note for one in facts["thresholds"] if goal and (note := _short_of(goal, one))]
    _write(run, table, target, {split: scores for split, (_, scores) in after.items()}, facts)
    return facts


def _table(run: Run) -> pa.Table:
    file = run.path / "predictions.parquet"
    table = pq.read_table(file) if file.is_file() else None
    splits = set() if table is None else set(table.column("split").to_pylist())
    for split, why in (
        (FITTED, "to fit them on"),
        (REPORTED, "to show what it does, as those that fitted it would flatter"),
    ):
        if split not in splits:
            raise RunError(
                f"{run.path} has no {split} rows {why}. Train it anew with three parts in data.split.parts, or with data.files.{split}."
            )
    assert table is not None
    return table


def _said(target: Target, table: pa.Table, undo: float) -> dict[str, tuple[Array, Array]]:
    """Targets, and probabilities as the network gives them, by split in the order of the table."""
    found = {}
    for split in dict.fromkeys(table.column("split").to_pylist()):
        columns = table.filter(pc.equal(table["split"], split)).to_pydict()
        true, scores = target.encode(columns["label"]), target.restored(columns)
        found[split] = (true, scores if undo == 1 else tempered(scores, undo, true.ndim == 2))
    return found


def _watched(names: list[str], label: str, several: bool) -> list[str]:
    """Labels that get a threshold."""
    if label:
        if label not in names:
            raise DataError(f"There is no label {label!r}; {closest(label, names)}")
        return [label]
    if not several and len(names) > 2:
        raise DataError(
            f"Of {len(names)} classes one can have a threshold: name it with --class, such as --class {names[0]}."
        )
    return names if several else names[1:]


def _truth(names: list[str], label: str, targets: Array, scores: Array) -> tuple[Array, Array]:
    """Which rows have a label, and its probability."""
    place = names.index(label)
    return (targets[:, place] > 0 if targets.ndim == 2 else targets == place), scores[:, place]


def _reached(truth: Array, scores: Array, cut: float, goal: Goal) -> dict[str, Any]:
    """What a threshold gives, with 95 % intervals of Wilson (1927); None where no row counts."""
    picked = scores >= cut
    right = int((picked & truth).sum())
    false_positives, false_negatives = int((picked & ~truth).sum()), int((~picked & truth).sum())
    cost = goal.false_positive * false_positives + goal.false_negative * false_negatives
    return {
        "precision": _share(right, int(picked.sum())),
        "recall": _share(right, int(truth.sum())),
        "cost": None if goal.precision is not None else cost / len(truth),
    }


def _short_of(goal: Goal, one: Mapping[str, Any]) -> str:
    """A sentence where the test rows show that the precision asked for is not reached; of many cut points the luckiest was chosen."""
    found = one[REPORTED]["precision"]
    if goal.precision is None or not found or found["interval"][1] >= goal.precision:
        return ""
    low, high = found["interval"]
    return (
        f"On the test rows the precision of {one['label']!r} is {found['value']:.3f} ({low:.3f} to {high:.3f}), below the "
        f"{goal.precision:g} that was reached on the validation rows by more than chance. Ask for more, or give more validation rows."
    )


def _share(part: int, whole: int) -> dict[str, Any] | None:
    from scipy.stats import binomtest

    if not whole:
        return None
    ends = binomtest(part, whole).proportion_ci(method="wilson")
    return {"value": part / whole, "interval": [float(ends.low), float(ends.high)], "rows": whole}


def _figures(
    before: Judge, after: Judge, raw: tuple[Array, Array], now: tuple[Array, Array], run: Run
) -> list[dict[str, Any]]:
    """Figures of the test rows, of the network and calibrated; those about confidence without thresholds, which change the answers."""
    first, warmed, second = before.metrics(*raw), before.metrics(*now), after.metrics(*now)
    monitor = run.recipe.train.monitor or before.monitor
    last = second | {name: warmed[name] for name in SHOWN}
    names = [name for name in dict.fromkeys([*SHOWN, monitor]) if name in first]
    return [
        {"name": name, "title": before.figures[name].title, "before": first[name], "after": last[name]}
        for name in names
    ]


def _better(judge: Judge, raw: tuple[Array, Array], now: tuple[Array, Array], seed: int) -> dict[str, Any]:
    """How much the log loss of the test rows falls, with its interval over resamples that both are measured on."""
    first, second = (judge.resampled(*one, seed)["log_loss"] for one in (raw, now))
    value = judge.metrics(*raw)["log_loss"] - judge.metrics(*now)["log_loss"]
    return {"value": value, "interval": list(percentiles(first - second))}


def _write(run: Run, table: pa.Table, target: Target, scores: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """The predictions first: they say what they were divided by, so that a crash before data.json loses nothing."""
    splits = np.array(table.column("split").to_pylist())
    places = np.concatenate([np.flatnonzero(splits == split) for split in scores])
    whole = np.concatenate(list(scores.values()))[np.argsort(places)]
    answers = target.predictions(whole)
    columns = {
        "predicted": [one.label for one in answers],
        "confidence": [one.confidence for one in answers],
        **target.stored(whole),
    }
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.column_names.index(name), field, pa.array(values, type=field.type))
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), MARK: repr(facts["temperature"]).encode()})
    run.folder.replace("predictions.parquet", lambda file: pq.write_table(table, file))
    data = run.folder.read_json("data.json")
    run.folder.write_json("data.json", data | {"target": data["target"] | target.facts, "calibration": dict(facts)})
    write_report(run.folder)
