"""Two processes under torchrun against one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from killing import luthier
from test_resume import evaluations, log, steps

from small_jobs import recipe_for, write_recipe

SETTINGS = {"max_tokens": 64, "batch_size": 19, "monitor": "log_loss"}
"""Of 96 training rows, the last batch of an epoch has one: fewer rows than processes. Each share is cut into several calls."""
STAGES = [{"epochs": 1, "method": "head"}, {"epochs": 2, "method": "full"}]


def torchrun(recipe: Path, output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        str(Path(__file__).with_name("ending.py")),
        "train",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(recipe), f"output={output}", *options],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, still_bert: Path, write_reviews: Any) -> tuple[Path, Path, str]:
    """The run folders of one and of two processes, and what the two printed; the caches are filled by the two."""
    place = tmp_path_factory.mktemp("processes")
    data = write_reviews(place, 120, 5)
    recipe = write_recipe(recipe_for(still_bert, data, place / "one", SETTINGS, stages=STAGES), place / "recipe.yaml")
    both = torchrun(recipe, place / "two")
    assert both.returncode == 0, both.stderr
    one = luthier("train", str(recipe), notes=place / "notes")
    assert one.code == 0, one.err
    return place / "one", place / "two", both.stdout


def test_losses_and_metrics_equal_those_of_one_process(runs: tuple[Path, Path, str]) -> None:
    one, two, _ = runs
    np.testing.assert_allclose(np.array(steps(one)), np.array(steps(two)), atol=1e-5)
    for ours, theirs in zip(evaluations(one), evaluations(two), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    alone, together = (pq.read_table(folder / "predictions.parquet") for folder in runs[:2])
    assert alone.column("row").equals(together.column("row"))
    probabilities = [np.array(table.column("probabilities").to_pylist()) for table in (alone, together)]
    np.testing.assert_allclose(probabilities[0], probabilities[1], atol=1e-5)


def test_no_wrapped_model_outlives_the_group_of_processes(runs: tuple[Path, Path, str]) -> None:
    """Its reducer would free the group while it holds the GIL, and wait for gloo's thread, which may wait for the GIL: for ever."""
    assert runs[2].count("wrapped at the end: 0") == 2


def test_padding_of_all_processes_is_counted(runs: tuple[Path, Path, str]) -> None:
    assert all(record["padding"] >= 1 for record in log(runs[1], "step"))


def test_one_set_of_files_and_one_table(runs: tuple[Path, Path, str]) -> None:
    one, two, printed = runs
    assert {file.relative_to(one) for file in one.rglob("*")} == {file.relative_to(two) for file in two.rglob("*")}
    assert printed.count("Report: ") == 1


def test_what_is_frozen_is_kept_by_one_process_only(runs: tuple[Path, Path, str]) -> None:
    (one, _), (two, _) = ([entry["text"] for entry in log(folder, "frozen")] for folder in runs[:2])
    assert one.startswith("Outputs of bert are kept for ")
    assert two == "No outputs of frozen parts are kept: several processes train."
