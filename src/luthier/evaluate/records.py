"""The files of a run folder as the report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from luthier.errors import DataError, RunError
from luthier.folder import RunFolder
from luthier.registry import Choice
from luthier.tasks import TASKS, Target, Task

OWN_COLUMNS = (
    *("row", "split", "label", "predicted", "confidence", "probabilities", "scores"),
    *("first vector", "second vector", "image vector", "text vector"),
)
"""Columns of predictions.parquet that luthier adds to the input columns."""

COLUMNS = "columns.parquet"
"""What is known of the rows of predictions.parquet beside what the model reads, in their order."""
ROW, SPLIT = "(row)", "(split)"
"""Names of its columns that say which rows they are; all others are as the data have them."""


@dataclass(frozen=True)
class Records:
    """A run folder, read."""

    folder: Path
    recipe: Mapping[str, Any]
    data: Mapping[str, Any]
    log: list[dict[str, Any]]

    @property
    def resolved(self) -> Mapping[str, Any]:
        """What was measured and decided when the run began: versions, hardware, rates, sizes."""
        return self.recipe.get("resolved") or {}

    @cached_property
    def target(self) -> Target:
        """What the run has learned to predict."""
        task = Choice(TASKS).build(self.recipe["task"])
        assert isinstance(task, Task)
        return task.restore(self.data["target"])

    @property
    def monitor(self) -> str:
        """The metric that picked the best epoch."""
        return str((self.recipe.get("train") or {}).get("monitor") or self.target.judge.monitor)

    @property
    def labels(self) -> list[str]:
        return [str(label) for label in self.data["target"]["labels"]]

    @property
    def multilabel(self) -> bool:
        return bool(self.data["target"]["kind"] == "multilabel")

    @property
    def held_out(self) -> str:
        """The split that is scored."""
        return str(self.data["held_out"])

    @cached_property
    def predictions(self) -> pd.DataFrame | None:
        """The scored rows; None before they are predicted."""
        file = self.folder / "predictions.parquet"
        if not file.exists():
            return None
        rows = pd.read_parquet(file)
        return rows[rows["split"] == self.held_out].reset_index(drop=True)

    @cached_property
    def columns(self) -> pd.DataFrame | None:
        """Other columns of the scored rows, in the order of `predictions`; None where the run has not kept them."""
        file = self.folder / COLUMNS
        if self.predictions is None or not file.exists():
            return None
        rows = pd.read_parquet(file)
        rows = rows[rows[SPLIT] == self.held_out].set_index(ROW)
        return rows.drop(columns=SPLIT).loc[self.predictions["row"].tolist()].reset_index(drop=True)

    @cached_property
    def scored(self) -> tuple[Any, Any] | None:
        """Targets and scores of the scored rows; None when there are none.

        Raises:
            RunError: predictions.parquet holds a label that data.json does not know.
        """
        return self._answered(self.predictions)

    @cached_property
    def validated(self) -> tuple[Any, Any] | None:
        """The same of the validation rows.

        Raises:
            RunError: as `scored`.
        """
        file = self.folder / "predictions.parquet"
        return self._answered(pd.read_parquet(file, filters=[("split", "==", "validation")])) if file.exists() else None

    @cached_property
    def resampled(self) -> Mapping[str, Any]:
        """Each figure on resamples of the validation rows, as `Judge.resampled` gives them; empty where there are none."""
        if self.validated is None:
            return {}
        return self.target.judge.resampled(*self.validated, self.recipe.get("seed") or 0)

    def _answered(self, rows: pd.DataFrame | None) -> tuple[Any, Any] | None:
        if rows is None or rows.empty:
            return None
        columns = {str(name): rows[name].tolist() for name in rows}
        try:
            return self.target.encode(columns["label"]), self.target.restored(columns)
        except DataError as unknown:
            raise RunError(
                f"{self.folder / 'predictions.parquet'} and data.json are from different runs ({str(unknown).partition('. ')[0]}): run "
                f"`luthier evaluate {self.folder}` again."
            ) from None

    @cached_property
    def sections(self) -> Mapping[str, Any]:
        """Facts of the sections that the task has of its own; none before rows are scored."""
        return {} if self.scored is None else self.target.judge.sections(*self.scored)


def read(folder: Path) -> Records:
    """Read a run folder.

    Raises:
        RunError: it is not a run folder, or a file in it cannot be read.
    """
    from ruamel.yaml import YAML

    missing = [name for name in ("recipe.yaml", "data.json") if not (folder / name).is_file()]
    if missing:
        raise RunError(
            f"{folder} has no {' and no '.join(missing)}: expected a run folder as `luthier train` writes it. "
            "Give the folder named by `output` in the recipe, or train first."
        )
    files = RunFolder(folder)
    recipe = YAML(typ="safe", pure=True).load(folder / "recipe.yaml")
    return Records(folder, recipe, files.read_json("data.json"), files.records())
