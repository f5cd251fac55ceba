"""A run: what training leaves behind, to predict with, to evaluate and to report on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from luthier.data import cells
from luthier.errors import DataError, RunError
from luthier.evaluate import card, report
from luthier.evaluate.judge import Baseline
from luthier.folder import RunFolder
from luthier.recipe.reading import read
from luthier.recipe.schema import Recipe
from luthier.registry import closest
from luthier.settled import data_of
from luthier.tasks import Prediction, Target

if TYPE_CHECKING:
    from luthier.model import Model
    from luthier.prepare import Prepared


@dataclass(frozen=True)
class Evaluation:
    """Scores of a run on some rows."""

    rows: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    """95 % bootstrap interval of the headline figures."""
    baseline: Baseline | None
    """One answer to all rows, the best that the training rows suggest, and its figures."""


class Run:
    """A run folder that training has finished.

    Raises:
        RunError: there is no finished run in the folder.
    """

    def __init__(self, path: str | Path) -> None:
        self.folder = RunFolder(path)
        if not (self.folder / "recipe.yaml").is_file():
            raise RunError(
                f"There is no run in {str(path)!r}: expected a folder that `luthier train` wrote.{_runs_near(Path(path))}"
            )
        if not (self.folder / "model" / "manifest.json").is_file():
            raise RunError(
                f"The run in {str(path)!r} is not finished: `luthier train {path}/recipe.yaml` goes on with it."
            )

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @cached_property
    def recipe(self) -> Recipe:
        """The resolved recipe."""
        return read(self.path / "recipe.yaml")

    @cached_property
    def data(self) -> dict[str, Any]:
        """What data.json says of the rows.

        Raises:
            RunError: it is damaged, or of an older luthier.
        """
        return data_of(self.folder)

    @cached_property
    def target(self) -> Target:
        """The labels that the run has learned."""
        return self.recipe.task.restore(self.data["target"])

    @cached_property
    def model(self) -> Model:
        """The saved model, ready to predict."""
        from luthier.model import Model

        data, recipe = self.data, self.recipe
        return Model(
            self.path / "model",
            self.target,
            data["max_length"],
            recipe.train.device,
            self.target.reads or data["columns"]["medium"],
            recipe.trust_remote_code,
        )

    def predict(self, rows: Any) -> list[Prediction]:
        """Predict rows, in their order; a single one gives a list of one.

        Args:
            rows: texts, or paths of images or recordings; a row to tag is a text or a list of its words, and one of a model of pairs
                a tuple of two texts.

        Raises:
            DataError: a row is of another type, or its file cannot be read.
        """
        modality = self.model.modality
        return self._answers([modality.given(row) for row in modality.rows(rows)])

    def predict_file(self, file: str | Path, output: str | Path) -> int:
        """Predict every row of a file and write them with `predicted` and, where there is one, `confidence` beside their own columns.

        Rows that cannot be read, as a blank text or a damaged image, have an empty prediction; stderr says which and why.

        Args:
            file: any data file that a recipe can name, or a folder of images or recordings.
            output: a .csv, .jsonl or .parquet file.

        Returns:
            How many rows were written.

        Raises:
            DataError: no row can be read, a column is missing, or `output` has another ending.
        """
        from luthier.prediction_file import Answering, tables, write

        rows = tables(str(file), self.data["columns"])
        columns = self._input_columns(rows[0].column_names, str(file))
        return write(Path(output), rows, Answering(self.model.modality, self._answers), columns)

    def evaluate(self, on: str | Path = "") -> Evaluation:
        """Score the run.

        Args:
            on: `validation` or `test` as divided at training (default: the held-out rows), `train`, or a file of labelled rows.
        """
        on = str(on) or self.data["held_out"]
        targets, scores = self._stored(on) if on in self._scored_splits else self._scored(on)
        judge = self.target.judge
        return Evaluation(
            rows=len(targets),
            metrics=judge.metrics(targets, scores),
            intervals=judge.intervals(targets, scores, seed=self.recipe.seed),
            baseline=judge.baseline(targets, self.data["splits"]["train"]),
        )

    def report(self) -> Path:
        """Write report.html, report.json and README.md anew; returns the path of report.html."""
        write_report(self.folder)
        return self.path / "report.html"

    def _answers(self, given: Sequence[Any]) -> list[Prediction]:
        """Predictions of what `Modality.given` gave."""
        answers = self.target.predictions(self.model.score(given)) if given else []
        return [self.target.told(answer, row) for answer, row in zip(answers, given, strict=True)]

    @cached_property
    def _scored_splits(self) -> set[str]:
        file = self.path / "predictions.parquet"
        return set(pq.read_table(file, columns=["split"]).column("split").to_pylist()) if file.is_file() else set()

    def _stored(self, split: str) -> tuple[Any, Any]:
        columns = pq.read_table(self.path / "predictions.parquet", filters=[("split", "=", split)]).to_pydict()
        return self.target.encode(columns["label"]), self.target.restored(columns)

    def _scored(self, on: str) -> tuple[Any, Any]:
        from luthier.judged import prepare_judged
        from luthier.prepare import labelled_rows

        if on in self.data["splits"]:
            prepared = prepare_judged(self.recipe)
            table = prepared.tables[on]
            values, labels = cells.values(table.rows, prepared.found.encoded), table.labels
        elif re.fullmatch(r"\w+", on) and not Path(on).exists():
            known = f"{', '.join(self.data['splits'])}, or a file of labelled rows"
            raise DataError(f"There are no rows called {on!r} to evaluate on; there are {known}.")
        else:
            values, labels = labelled_rows(on, self.data["columns"], self.recipe.data)
        return self.target.encode(labels), self.model.score(values)

    def _input_columns(self, columns: Sequence[str], file: str) -> tuple[str, ...]:
        names = cells.read_by(self.data["columns"])
        for name in names:
            if name not in columns:
                raise DataError(
                    f"{file} has no column {name!r}, which the run was trained on; {closest(name, columns)}"
                )
        return names


def write_predictions(folder: RunFolder, data: Prepared, scores: Mapping[str, Any]) -> None:
    """Write predictions.parquet: the held-out rows with label, prediction and scores (`Target.stored`)."""
    tables = [_predicted(data, name, one) for name, one in scores.items()]
    if tables:
        whole = pa.concat_tables(tables, promote_options="permissive")
        folder.require_space(whole.nbytes)
        folder.replace("predictions.parquet", lambda place: pq.write_table(whole, place))


def write_report(folder: RunFolder) -> None:
    """Write report.json, report.html and README.md from the other files of the run."""
    facts = report.gather(folder.path)
    folder.write_json("report.json", facts)
    folder.write("report.html", report.render(facts))
    folder.write("README.md", card.card(facts))


def _predicted(data: Prepared, split: str, scores: Any) -> pa.Table:
    rows = data.rows[split]
    table = data.tables[split]
    answers = data.target.predictions(scores)
    sure = {"confidence": [answer.confidence for answer in answers]} if answers[0].confidence is not None else {}
    return pa.table(
        {
            "row": pa.array(rows.numbers + 1),
            "split": pa.array([split] * len(rows)),
            **{name: pa.array(table.rows[name][:]) for name in data.found.told},
            "label": pa.array(data.target.decode(rows.targets)),
            "predicted": pa.array([answer.label for answer in answers]),
            **{name: pa.array(values) for name, values in (sure | data.target.stored(scores)).items()},
        }
    )


def _runs_near(path: Path) -> str:
    parent = path.parent
    found = sorted(str(one.parent) for one in parent.glob("*/recipe.yaml")) if parent.is_dir() else []
    return f" Runs beside it: {', '.join(found[:5])}." if found else ""


def open(path: str | Path) -> Run:
    """Open a finished run folder.

    Raises:
        RunError: there is no finished run.
    """
    return Run(path)
