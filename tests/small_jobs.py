"""Recipes for the tiny model, and jobs made of them by the pipeline's own functions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from luthier.build import Ready, get_ready, make_accelerator, make_job
from luthier.folder import RunFolder
from luthier.prepare import prepare
from luthier.recipe.reading import dump, read
from luthier.show import Console
from luthier.training.job import Job


def recipe_for(
    model: Path, data: Path, output: Path, train: Mapping[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """A recipe of 3 epochs in batches of 16, in fp32."""
    settings = {"epochs": 3, "batch_size": 16, "lr": 1e-3, "precision": "fp32", **(train or {})}
    return {"model": str(model), "data": {"files": str(data)}, "train": settings, "output": str(output), **keys}


def write_recipe(recipe: Mapping[str, Any], file: Path) -> Path:
    file.write_text(dump(dict(recipe)), encoding="utf-8")
    return file


def job_of(recipe: Mapping[str, Any]) -> tuple[Job, Ready]:
    """Everything that the loop needs."""
    settled = read(dict(recipe), (), {})
    folder = RunFolder(settled.output)
    accelerator = make_accelerator(settled, folder)
    ready = get_ready(settled, prepare(settled), accelerator, Console(quiet=True))
    return make_job(ready, accelerator), ready


def without_dropout(model: Path, copy: Path) -> Path:
    """The same model folder with dropout 0."""
    shutil.copytree(model, copy)
    config = json.loads((copy / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in model.state_dict().items()}
