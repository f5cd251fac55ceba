"""`luthier data export --dvc` with the real dvc: `DVC_PYTHON=dvc/bin/python pytest -m slow tests/test_dvc.py`, where
`python -m venv dvc && dvc/bin/pip install dvc` has made it a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.slow
PYTHON = os.environ.get("DVC_PYTHON", "")
BINARIES = Path(sys.executable).parent


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if not PYTHON:
        pytest.skip("set DVC_PYTHON to the Python of an environment with dvc")
    rows = [(f"text number {number} about {['rain', 'wind'][number % 2]}", "xy"[number % 2]) for number in range(40)]
    pd.DataFrame(rows, columns=["text", "label"]).to_csv(tmp_path / "rows.csv", index=False)
    (tmp_path / "recipe.yaml").write_text("data: {files: rows.csv, similarity: null, split: {by: content}}\n")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, PYTHON, "-m", "dvc", "init", "-q")
    return tmp_path


def run(folder: Path, *command: str) -> str:
    paths = os.pathsep.join([str(BINARIES), str(Path(PYTHON).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": paths}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_repro_exports_anew_when_the_rows_have_changed_and_not_otherwise(repository: Path) -> None:
    run(repository, "luthier", "data", "export", "recipe.yaml", "--output", "cleaned", "--dvc")
    assert "Running stage 'cleaned'" in run(repository, PYTHON, "-m", "dvc", "repro")
    assert "Running stage" not in run(repository, PYTHON, "-m", "dvc", "repro")
    table = pd.read_csv(repository / "rows.csv")
    table.iloc[:30].to_csv(repository / "rows.csv", index=False)
    assert "Running stage 'cleaned'" in run(repository, PYTHON, "-m", "dvc", "repro")
    left = sum(len(pd.read_parquet(file)) for file in (repository / "cleaned").glob("*.parquet"))
    assert left == 30
