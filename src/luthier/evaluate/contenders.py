"""What is compared: runs of one or several seeds and their opponents, all measured on the same resamples of the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from luthier.errors import RunError
from luthier.evaluate import costs, plan, same_rows
from luthier.evaluate.bootstrap import Array
from luthier.evaluate.costs import Cost
from luthier.evaluate.diagnosis import diagnose
from luthier.evaluate.judge import Judge
from luthier.evaluate.records import OWN_COLUMNS, Records, read
from luthier.evaluate.same_rows import Ordered, Scored

CHOSEN_ON = "validation"
"""The split by which a model is chosen; the test rows are for nothing but the report."""
OWN_TO_A_RUN = {"seed", "output", "resolved"}
"""Keys of a recipe in which two trainings of the same thing differ."""


@dataclass(frozen=True)
class Entrant:
    """A run that is compared, and what it says of its rows."""

    records: Records
    reported: Scored
    """Of the held-out rows."""
    chosen_on: Scored | None
    """Of the rows that chose its epoch."""


@dataclass(frozen=True)
class Part:
    """The rows of a split on which all are compared."""

    split: str
    rows: Ordered
    targets: Any


@dataclass(frozen=True)
class Ground:
    """What all contenders share."""

    judge: Judge
    monitor: str
    """The figure by which one is chosen."""
    reported: Part
    """The rows that the figures are of."""
    chosen_on: Part | None
    """The rows that the choice is made on; None where there are none that all have."""
    table: pd.DataFrame
    """The reported rows as the first run has them: number, inputs, label."""
    inputs: tuple[str, ...]
    medium: str
    train: Mapping[str, Any]
    """Facts of the training rows of the first run, for one answer to all rows."""
    seed: int
    """Of the resamples."""


@dataclass(frozen=True)
class Measured:
    """How good a contender is; everything holds one entry a seed."""

    figures: list[dict[str, float]]
    resampled: dict[str, Array]
    """Each figure on each resample of the rows, (seeds, resamples)."""
    chosen_by: list[float]
    """The monitored figure on the rows that the choice is made on; none where it is not known."""
    right: list[dict[str, Array]] = field(default_factory=list)
    """As `Judge.right`; none where there are no answers a row."""
    wrong: list[Array] = field(default_factory=list)
    """As `Errors.sizes`, (rows,), where an answer is right or wrong."""


@dataclass(frozen=True)
class Contender:
    """One line of the comparison."""

    name: str
    what: str
    """What it is, in a line."""
    measured: Measured | None = None
    """None where there is nothing to measure, and `failed` says why."""
    cost: Cost = field(default_factory=Cost)
    failed: str = ""
    trained: bool = True
    """Whether it is a run, and no opponent that one should beat."""
    seeds: tuple[int, ...] = ()
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know of its costs."""
    doubts: tuple[str, ...] = ()
    """Why it may be better than it looks."""


def open_runs(folders: Sequence[Path]) -> list[Entrant]:
    """Read finished runs.

    Raises:
        RunError: one is named twice, unfinished, not scored, predicts something else than the first, or was scored on other rows.
    """
    places = [folder.resolve() for folder in folders]
    twice = next((folder for folder, place in zip(folders, places, strict=True) if places.count(place) > 1), None)
    if twice:
        raise RunError(f"{twice} is named twice; a run is as good as itself. Give each run once.")
    found = [read(folder) for folder in folders]
    for records in found:
        if not (records.folder / "model" / "manifest.json").is_file():
            raise RunError(
                f"The run in {records.folder} is not finished: `luthier train {records.folder}/recipe.yaml` goes on with it."
            )
        if not records.held_out:
            raise RunError(
                f"{records.folder} has no held-out rows, so nothing is known about how good it is. Leave it out."
            )
        same_rows.refuse_others(found[0], records)
        _refuse_other_split(found[0], records)
    entrants = [_entrant(records) for records in found]
    for one in entrants:
        same_rows.refuse_other_rows(found[0], one.records, entrants[0].reported.rows, one.reported.rows)
    return entrants


def ground_of(entrants: Sequence[Entrant]) -> Ground:
    """What runs share."""
    first, reported = entrants[0].records, entrants[0].reported
    judge, monitors = first.target.judge, {one.records.monitor for one in entrants}
    named = monitors.pop() if len(monitors) == 1 else judge.monitor
    return Ground(
        judge,
        named if named in judge.figures else judge.monitor,
        Part(first.held_out, reported.rows, reported.targets),
        _shared(entrants),
        reported.table,
        tuple(str(name) for name in reported.table if name not in OWN_COLUMNS),
        str(first.data["columns"].get("medium", "text")),
        first.data["splits"]["train"],
        int(first.recipe.get("seed") or 0),
    )


def contenders_of(entrants: Sequence[Entrant], ground: Ground) -> list[Contender]:
    """Runs as contenders; those that differ in nothing but their seed are one."""
    groups: dict[tuple[str, int], list[Entrant]] = {}
    met: list[tuple[str, Any]] = []
    for one in entrants:
        own = {key: value for key, value in one.records.recipe.items() if key not in OWN_TO_A_RUN}
        same = json.dumps(own, sort_keys=True, default=str), one.records.recipe.get("seed")
        groups.setdefault((same[0], met.count(same)), []).append(one)
        met.append(same)
    names = [_named(group) for group in groups.values()]
    full = [str(group[0].records.folder) for group in groups.values()]
    told = [place if names.count(name) > 1 else name for name, place in zip(names, full, strict=True)]
    return [contender(name, group, ground) for name, group in zip(told, groups.values(), strict=True)]


def contender(name: str, entrants: Sequence[Entrant], ground: Ground) -> Contender:
    """Runs that differ in their seeds as one contender."""
    answers = [(one.reported.scores, one.chosen_on and one.chosen_on.scores) for one in entrants]
    runs = [one.records for one in entrants]
    first = runs[0]
    return Contender(
        name=name,
        what=f"{Path(str(first.recipe['model'])).name}, {plan.told(first.recipe, plan.settings)}",
        measured=measured(ground, answers),
        cost=costs.of_seeds([costs.of_run(one) for one in runs]),
        seeds=tuple(int(one.recipe.get("seed") or 0) for one in runs),
        folders=tuple(str(one.folder) for one in runs),
        notes=tuple(
            f"{one.folder.name}: outputs of its frozen part were there from an earlier run, so its training time is without them."
            for one in runs
            if costs.reused(one)
        ),
        doubts=tuple(doubt for one in runs for doubt in _doubts(one)),
    )


def measured(ground: Ground, answers: Sequence[tuple[Any, Any]]) -> Measured:
    """Figures of models.

    Args:
        ground: what they are compared on.
        answers: of each seed the scores of the reported rows and of those that the choice is made on (or None), in the ground's order.
    """
    judge, targets = ground.judge, ground.reported.targets
    drawn = [judge.resampled(targets, scores, ground.seed) for scores, _ in answers]
    errors = [judge.errors(targets, scores) for scores, _ in answers]
    chosen = [
        judge.metrics(ground.chosen_on.targets, scores).get(ground.monitor)
        for _, scores in answers
        if ground.chosen_on is not None and scores is not None
    ]
    return Measured(
        figures=[judge.metrics(targets, scores) for scores, _ in answers],
        resampled={
            name: np.stack([one[name] for one in drawn]) for name in drawn[0] if all(name in one for one in drawn)
        },
        chosen_by=[value for value in chosen if value is not None],
        right=[judge.right(targets, scores) for scores, _ in answers],
        wrong=[one.sizes for one in errors if one.graded],
    )


def constant(ground: Ground) -> Contender | None:
    """One answer to all rows, the best that the training rows suggest; None where the task has none."""
    judge, targets, chosen_on = ground.judge, ground.reported.targets, ground.chosen_on
    found = judge.baseline(targets, ground.train)
    if found is None:
        return None
    answers = [judge.constant(part.targets, ground.train) if part else None for part in (ground.reported, chosen_on)]
    if answers[0] is not None:
        by_row = measured(ground, [(answers[0], answers[1])])
        alike = {name for name, value in by_row.figures[0].items() if np.isclose(value, found.figures[name])}
        known = {name: values for name, values in by_row.resampled.items() if name in alike}
        told = replace(by_row, figures=[found.figures], resampled=known, wrong=[])
    else:
        chosen = judge.baseline(chosen_on.targets, ground.train) if chosen_on else None
        told = Measured([found.figures], {}, [chosen.figures[ground.monitor]] if chosen else [])
    return Contender(
        name=found.name,
        what=f"always answers {found.answer}",
        measured=told,
        cost=Cost(parameters=0, seconds=0, milliseconds=0, bytes=0),
        trained=False,
    )


def _entrant(records: Records) -> Entrant:
    reported = same_rows.scored(records, records.held_out)
    if reported is None:
        raise RunError(f"{records.folder} has not scored its {records.held_out} rows. Train it anew, or leave it out.")
    same = records.held_out == CHOSEN_ON
    return Entrant(records, reported, reported if same else same_rows.scored(records, CHOSEN_ON))


def _refuse_other_split(first: Records, second: Records) -> None:
    if first.held_out != second.held_out:
        raise RunError(
            f"{first.folder} was scored on {first.held_out} rows and {second.folder} on {second.held_out} rows, so they cannot be compared "
            "one by one. Give both the same data.files.test, or the same data.split."
        )


def _doubts(records: Records) -> Iterator[str]:
    """What the curves say against judging a method by this run."""
    found = next((one for one in diagnose(records).findings if one.unfinished), None)
    if found:
        yield f"{records.folder.name} may do better than is seen here, as its curves say {found.name!r}: try {found.suggestion}."


def _shared(entrants: Sequence[Entrant]) -> Part | None:
    """The rows by which the runs chose their epochs, where all have the same."""
    first = entrants[0].chosen_on
    if first is None or any(one.chosen_on is None or one.chosen_on.rows.keys != first.rows.keys for one in entrants):
        return None
    return Part(CHOSEN_ON, first.rows, first.targets)


def _named(group: Sequence[Entrant]) -> str:
    """A run's folder; of several seeds the first one's."""
    name = group[0].records.folder.resolve().name
    return name if len(group) == 1 else f"{name} and {len(group) - 1} more seeds"
