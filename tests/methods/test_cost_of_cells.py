"""Every task and every method can be forecast, and that the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from task_cells import KINDS, recipe

from luthier.advise.cost import measure
from luthier.advise.fitting import need_of
from luthier.advise.machine import Machine
from luthier.errors import LuthierError
from luthier.methods import METHODS
from luthier.show import Console
from small_jobs import job_of

CELLS = [*((kind, "full") for kind in KINDS), *(("classify text", method) for method in METHODS)]


@pytest.mark.parametrize(("kind", "method"), CELLS)
def test_a_cell_is_forecast(kind: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    found = forecast(kind, method, tmp_path)
    assert found.memory.weights > 0
    assert found.memory.activations > 0
    assert found.seconds is not None
    assert found.seconds > 0
    assert found.disk > 0


def forecast(kind: str, method: str, place: Path) -> Any:
    try:
        _, ready = job_of(recipe(kind, method, place))
    except LuthierError as refused:
        pytest.skip(str(refused))
    assert need_of(ready, "cpu").position > 0
    return measure(ready, Accelerator(cpu=True), Console(quiet=True)).on(Machine("this machine", "cpu", 2**40, 0))
