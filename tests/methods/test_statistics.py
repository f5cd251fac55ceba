"""What BatchNorm has counted stands still wherever its layer is frozen, below and above what trains, kept outputs or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import OWN, Shelf, lay, settings
from resuming import Trial

import tiny_models
from luthier.folder import RunFolder

COUNTING = ("resnet", OWN, "efficientnet-lite0")
"""The models of the grid that have BatchNorm."""
SELECTING = ("top", "bias", "norm", "head", "pattern")
RANDOM = tuple(model for model in COUNTING if model not in tiny_models.REAL)
CELLS = [
    *((model, method, "off") for model in COUNTING for method in SELECTING),
    *((model, method, "memory") for model in RANDOM for method in SELECTING),
]


@pytest.mark.parametrize(("model", "method", "cache"), CELLS)
def test_statistics_move_where_their_layer_trains_and_nothing_else_does(
    model: str, method: str, cache: str, shelf: Shelf, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """In the mode that the loop trains in."""
    if model in tiny_models.REAL:
        request.getfixturevalue("assets")
    trial = Trial(lay(shelf, model, settings(method)), RunFolder(tmp_path), cache)
    trial.run()
    buffers = {name for name, _ in trial.laid.model.named_buffers()}
    assert trial.moved() & buffers == trial.counted()
    assert trial.moved() - buffers <= trial.job.trained
    assert trial.moved() & trial.job.trained
