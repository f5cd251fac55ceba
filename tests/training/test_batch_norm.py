"""Frozen BatchNorm stands still, below and above what is kept of a frozen part, and rows stay together where it trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageClassification

import luthier
import perceiving
from small_jobs import job_of, recipe_for

UPPER = {"name": "pattern", "train": [r"stages\.1\..*convolution\.weight"]}
"""Convolutions of the last stage: what lies below is kept, and frozen BatchNorm lies above it."""


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perceiving.images(tmp_path_factory.mktemp("batch_norm") / "colours", 20)


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perceiving.network("resnet", tmp_path_factory.mktemp("batch_norm") / "resnet")


@pytest.mark.parametrize(
    ("method", "cache", "moves"),
    [("head", "off", False), (UPPER, "off", False), (UPPER, "memory", False), ("full", "off", True)],
)
def test_statistics_move_where_their_layer_trains_and_only_there(
    method: Any, cache: str, moves: bool, colours: Path, resnet: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(resnet, colours, tmp_path / "run", {"cache": cache}, method=method)
    run = luthier.train(recipe)
    kept = next(one["text"] for one in run.folder.records() if one["event"] == "frozen")
    assert kept.startswith("Outputs of") == (cache == "memory")
    before, after = (
        dict(AutoModelForImageClassification.from_pretrained(place, ignore_mismatched_sizes=True).named_buffers())
        for place in (resnet, run.path / "model")
    )
    moved = [name for name, value in before.items() if "running" in name and not torch.equal(value, after[name])]
    assert bool(moved) == moves


def test_rows_that_batch_norm_learns_from_stay_together(colours: Path, resnet: Path, tmp_path: Path) -> None:
    together = {}
    for method in ("full", "norm", "head"):
        job, _ = job_of(recipe_for(resnet, colours, tmp_path / method, method=method))
        together[method] = job.work.together
    assert together == {"full": True, "norm": True, "head": False}
