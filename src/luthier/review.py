"""The way to people and back: rows worth a second look as tasks of a labelling tool, and their answers as data again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luthier.data import cells, media
from luthier.data.exchange.tasks import TOOLS, Form, Question, names
from luthier.errors import DataError
from luthier.registry import closest

if TYPE_CHECKING:
    import datasets

    from luthier.data.columns import Found
    from luthier.data.exchange.replies import Reply
    from luthier.data.source import Source
    from luthier.evaluate.records import Records

LIMIT = 100
CHUNK = 10_000
"""Rows written at a time."""
CHANGES = "changes.jsonl"


@dataclass(frozen=True)
class Written:
    """Tasks for people."""

    files: tuple[Path, ...]
    """The tasks, and for Label Studio the labelling configuration."""
    mistakes: int
    """Tasks that are mistakes of the model on held-out rows."""
    suspects: int
    """Tasks that are suspect labels."""
    next_step: str
    """What to do with the files, in a sentence."""


@dataclass(frozen=True)
class Corrections:
    """What people have said."""

    files: str | dict[str, str]
    """What to write as the next recipe's `data.files`: all rows, the corrected labels in place."""
    changes: tuple[dict[str, Any], ...]
    """`split` and `row` (from 1) in the source, the labels `before` and `after`; also written as changes.jsonl."""
    reviewed: int
    """Rows that were answered, whether the label changed or not."""
    unanswered: int
    """Rows of the export without an answer; their labels stay."""
    notes: tuple[str, ...] = ()
    """What was found while the export was read: annotators, their agreement, ties."""


def write_tasks(
    run_folder: str | Path,
    to: str,
    file: str | Path,
    limit: int = LIMIT,
    suspects: Sequence[Mapping[str, Any]] = (),
) -> Written:
    """Write the model's worst mistakes and suspect rows as tasks with the suggested labels filled in.

    Mistakes are held-out rows with a wrong answer, highest loss first. Where there are both, they take turns with the suspects.

    Args:
        run_folder: a run that training has finished.
        to: a tool of `TOOLS`.
        file: where the tasks go: .json for Label Studio, which gets its labelling configuration beside it as .xml, .jsonl for
            Prodigy.
        limit: at most this many tasks.
        suspects: rows of the source, most suspicious first, as `mislabeled.Suspects.facts` has them: `row` (from 1), `given`,
            `likely`, `probability`, `reason`, and `split`, which is `train` when it is left out.

    Raises:
        DataError: there is no such tool, it cannot show such rows, the file ends otherwise, or there is nothing to ask.
        RunError: it is not a finished run.
    """
    from luthier.evaluate.records import read

    file = Path(file)
    if to not in TOOLS:
        raise DataError(f"Tasks cannot be written for {to!r}; {closest(to, TOOLS)}")
    tool = TOOLS[to]
    if file.suffix.lower() != tool.ending:
        raise DataError(f"Tasks for {to} are written to a file that ends in {tool.ending}; got {file}.")
    records = read(Path(run_folder))
    form = _form(records, to)
    doubted = list(_suspects(records, suspects))
    chosen = _in_turns(doubted, _mistakes(records))[:limit]
    if not chosen:
        raise DataError(
            f"{run_folder} has no mistakes on held-out rows, and no suspect rows were given: there is nothing to ask."
        )
    places = {(one.split, one.row) for one in doubted}
    count = sum((one.split, one.row) in places for one in chosen)
    step = f"{tool.media_step} {tool.next_step}" if form.medium in media.MEDIA else tool.next_step
    return Written(tuple(tool.write(chosen, form, file)), len(chosen) - count, count, step)


def _form(records: Records, to: str) -> Form:
    """What people are asked.

    Raises:
        DataError: answers are no classes, or the tool cannot show the rows.
    """
    if "labels" not in records.data["target"]:
        answer = records.target.about.answer.split(":")[0]
        raise DataError(
            f"A review asks for the class of a row, and {records.folder} predicts {answer}: correct the rows in their own file. "
            "Its report.html shows those that are furthest from right."
        )
    medium = str(records.data["columns"].get("medium", "text"))
    if medium in media.MEDIA and not TOOLS[to].media_step:
        raise DataError(
            f"{to} cannot show files by their paths, and the rows of {records.folder} are files. Take --to label-studio."
        )
    shown = medium if medium in media.MEDIA else "text"
    return Form(records.labels, records.multilabel, records.folder.resolve().name, shown)


def read_corrections(
    export_file: str | Path, run_folder: str | Path, folder: str | Path, ending: str = ".jsonl"
) -> Corrections:
    """Read the answers to tasks of `write_tasks` and write the run's data anew with the corrected labels.

    Args:
        export_file: Label Studio's JSON, JSON-MIN or CSV export, or Prodigy's JSONL; of several annotators the majority counts.
        run_folder: the run that the tasks came from; its source files must still be as they were.
        folder: where the new files go, one per split, and changes.jsonl; nothing else is changed.
        ending: .jsonl, .parquet or .csv.

    Raises:
        DataError: the export is of other tasks, or the run's data have changed.
        RunError: it is not a run folder.
    """
    from luthier.data import source
    from luthier.data.exchange.replies import read_replies
    from luthier.evaluate.records import read
    from luthier.recipe.reading import read as read_recipe

    records = read(Path(run_folder))
    replies = read_replies(Path(export_file))
    origin = source.read(read_recipe(Path(run_folder) / "recipe.yaml").data)
    found = _found(origin, records)
    changes = [change for reply in replies.given if (change := _change(reply, origin, found, records))]
    files = _write(origin, found, changes, Path(folder), ending)
    return Corrections(files, tuple(changes), len(replies.given), replies.unanswered, replies.notes)


def _in_turns(first: Sequence[Question], second: Sequence[Question]) -> list[Question]:
    """One of each in turn, every row once."""
    met: dict[tuple[str, int], Question] = {}
    for one in chain.from_iterable(zip_longest(first, second)):
        if one is not None:
            met.setdefault((one.split, one.row), one)
    return list(met.values())


def _mistakes(records: Records) -> list[Question]:
    """Held-out rows with a wrong answer, highest loss first."""
    import numpy as np

    if records.scored is None or records.predictions is None:
        return []
    wrong = np.flatnonzero(records.target.judge.errors(*records.scored).sizes > 0)
    order = wrong[np.argsort(-_losses(*records.scored)[wrong], kind="stable")]
    return [
        _mistake(records.predictions.iloc[int(index)], _origin(records.held_out, records), records) for index in order
    ]


def _losses(targets: Any, probabilities: Any) -> Any:
    """(rows,) cross entropy; for several labels the mean over labels."""
    import numpy as np

    if targets.ndim == 1:
        return -np.log(np.clip(probabilities[np.arange(len(targets)), targets], np.finfo(float).tiny, 1))
    truth = np.where(targets, probabilities, 1 - probabilities)
    return -np.log(np.clip(truth, np.finfo(float).tiny, 1)).mean(axis=1)


def _mistake(row: Any, split: str, records: Records) -> Question:
    given, predicted = names(row["label"]), names(row["predicted"])
    reason = f"The model says {_shown(predicted)} ({row['confidence']:.0%}); the label is {_shown(given)}."
    return Question(split, int(row["row"]), _read(row, records), given, predicted, float(row["confidence"]), reason)


def _read(row: Mapping[str, Any], records: Records) -> str:
    """What the model read of a row, as one text; of a file its path.

    Raises:
        DataError: there are only the bytes of a file.
    """
    read = tuple(row[name] for name in cells.read_by(records.data["columns"]))
    if records.data["columns"].get("medium") not in media.MEDIA:
        return cells.joined(read)
    path = media.path_of(read[0])
    if not path:
        raise DataError(
            f"The data of {records.folder} hold files as bytes, which cannot be shown to people: write them to a folder first."
        )
    return path


def _suspects(records: Records, suspects: Sequence[Mapping[str, Any]]) -> Iterator[Question]:
    from luthier.data import source
    from luthier.recipe.reading import read as read_recipe

    if not suspects:
        return
    origin = source.read(read_recipe(records.folder / "recipe.yaml").data)
    for one in suspects:
        split, row = _origin(str(one.get("split", "train")), records), int(one["row"])
        words = _read(_row(origin, split, row, records), records)
        yield Question(
            split, row, words, names(one["given"]), names(one["likely"]), float(one["probability"]), str(one["reason"])
        )


def _origin(split: str, records: Records) -> str:
    """The split of the source whose row numbers a split of the run has: held-back validation rows are training rows there."""
    from luthier.data.source import UNDIVIDED

    given = records.data["files"]
    return next(name for name in (split, UNDIVIDED, "train") if name in given)


def _shown(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "none"


def _found(origin: Source, records: Records) -> Found:
    from luthier.data import columns

    return columns.again(next(iter(origin.splits.values())), records.data["columns"])


def _row(origin: Source, split: str, row: int, records: Records) -> Mapping[str, Any]:
    rows = origin.splits.get(split)
    if rows is None or not 1 <= row <= len(rows):
        raise DataError(
            f"The data of {records.folder} have no row {row} in {split!r}: they have changed, or the row is of another run."
        )
    found: Mapping[str, Any] = rows[row - 1]
    return found


def _change(answer: Reply, origin: Source, found: Found, records: Records) -> dict[str, Any] | None:
    """What an answer changes, or None when the label was right."""
    from luthier.data.columns import labels

    row = _row(origin, answer.split, answer.row, records)
    said = _read(row, records)
    if said.split() != answer.text.split():
        raise DataError(
            f"Row {answer.row} of {answer.split!r} of {records.folder}'s data is {said[:40]!r}, and the answer is about "
            f"{answer.text[:40]!r}: the data have changed since, or the answers are of another run."
        )
    before = names(labels(origin.splits[answer.split].select([answer.row - 1]), found)[0])
    if sorted(before) == sorted(answer.labels):
        return None
    return {"split": answer.split, "row": answer.row, "before": before, "after": list(answer.labels)}


def _write(
    origin: Source, found: Found, changes: Sequence[Mapping[str, Any]], folder: Path, ending: str
) -> str | dict[str, str]:
    from luthier.data.relabel import relabel
    from luthier.data.source import UNDIVIDED
    from luthier.folder import RunFolder
    from luthier.prediction_file import WRITERS

    if ending not in WRITERS:
        raise DataError(f"Corrected rows are written as {', '.join(sorted(WRITERS))}; got {ending!r}.")
    target = RunFolder(folder)
    target.require_space(0)
    files = {}
    for split, rows in origin.splits.items():
        labels = {int(one["row"]) - 1: one["after"] for one in changes if one["split"] == split}
        corrected = relabel(rows, found, labels)
        name = f"{'corrected' if split == UNDIVIDED else split}{ending}"
        files[split] = str(target.replace(name, lambda place, rows=corrected: WRITERS[ending](place, _chunks(rows))))  # type: ignore[misc]
    target.write(CHANGES, "".join(json.dumps(change, ensure_ascii=False) + "\n" for change in changes))
    return files.get(UNDIVIDED, files)


def _chunks(rows: datasets.Dataset) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), CHUNK):
        yield rows.select(range(start, min(start + CHUNK, len(rows)))).to_list()
