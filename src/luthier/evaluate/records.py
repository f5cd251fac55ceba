"""The files of a run folder as the report reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from luthier.errors import RunError
from luthier.evaluate.metrics import Array
from luthier.folder import RunFolder

OWN_COLUMNS = ("row", "split", "label", "predicted", "confidence", "probabilities")
"""Columns of predictions.parquet that luthier adds to the input columns."""


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
    def scored(self) -> tuple[Array, Array] | None:
        """Targets and probabilities of the scored rows; None when there are none.

        Raises:
            RunError: predictions.parquet holds a label that data.json does not know.
        """
        if self.predictions is None or self.predictions.empty:
            return None
        place = {label: index for index, label in enumerate(self.labels)}
        try:
            if self.multilabel:
                targets = np.array([_marked(one, place) for one in self.predictions["label"]])
            else:
                targets = np.array([place[str(one)] for one in self.predictions["label"]])
        except KeyError as unknown:
            raise RunError(
                f"{self.folder / 'predictions.parquet'} holds the label {unknown.args[0]!r}, and data.json knows only "
                f"{', '.join(self.labels)}. The two are from different runs: run `luthier evaluate {self.folder}` again."
            ) from None
        return targets, np.stack(self.predictions["probabilities"].to_list())


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


def _marked(labels: Array, place: Mapping[str, int]) -> Array:
    marks = np.zeros(len(place), dtype=np.int64)
    marks[[place[str(label)] for label in labels]] = 1
    return marks
