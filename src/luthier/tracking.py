"""TensorBoard, MLflow and Weights & Biases through Accelerate, when the recipe asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration

from luthier import extras
from luthier.folder import RunFolder
from luthier.recipe.schema import Recipe
from luthier.settled import may_change

PACKAGES = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}
"""Tracker to the package that it needs; the extra has the tracker's name."""

IDS = "trackers.json"
"""File with the run's name at each tracker."""

RUN_IDS: dict[str, Callable[[Any], str]] = {"mlflow": lambda run: run.info.run_id, "wandb": lambda run: run.id}
"""How a tracker's own object tells that name."""


def check(recipe: Recipe) -> None:
    """Make sure the packages of the recipe's trackers are there.

    Raises:
        ExtraError: one is missing.
    """
    for name in recipe.train.track:
        extras.need(PACKAGES[name], extra=name)


def project(folder: RunFolder) -> ProjectConfiguration:
    """Where trackers that write files put them: inside the run folder."""
    return ProjectConfiguration(project_dir=str(folder.path), logging_dir=str(folder / "tensorboard"))


def start(accelerator: Accelerator, recipe: Recipe, folder: RunFolder, step: int) -> None:
    """Open the trackers with the recipe as their configuration; a run that goes on continues what it has told them.

    Args:
        accelerator: made with `log_with` and `project`.
        recipe: its `train.track`, and the values to show.
        folder: of the run.
        step: from which it goes on.
    """
    if not recipe.train.track:
        return
    ids = folder.read_json(IDS) if (folder / IDS).is_file() else {}
    options = {
        "tensorboard": {"purge_step": step + 1},  # what was told of later steps will be told again
        "mlflow": {"run_id": ids.get("mlflow")},
        "wandb": {"id": ids.get("wandb"), "resume": "allow", "dir": str(folder.path)},
    }
    values = {key: value for key, value in _flat(recipe.model_dump(mode="json")).items() if not may_change(key)}
    accelerator.init_trackers(folder.path.name, values, options)
    named = {one.name: RUN_IDS[one.name](one.tracker) for one in accelerator.trackers if one.name in RUN_IDS}
    if named and accelerator.is_main_process:
        folder.write_json(IDS, named)


def _flat(document: dict[str, Any]) -> dict[str, Any]:
    """Trackers take plain values: nested keys become dotted, everything else its text."""
    plain: dict[str, Any] = {}
    for key, value in document.items():
        if isinstance(value, dict):
            plain |= {f"{key}.{inner}": one for inner, one in _flat(value).items()}
        else:
            plain[key] = value if isinstance(value, int | float | str | bool) else str(value)
    return plain
