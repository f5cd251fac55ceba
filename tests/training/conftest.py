"""Fixtures of the training tests: one thread (the models are tiny), and a model without dropout."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def still_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT with dropout 0."""
    from small_jobs import without_dropout

    return without_dropout(tiny_bert, tmp_path_factory.mktemp("models") / "still-bert")


@pytest.fixture(scope="module")
def words_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 rows of the words that tiny models know."""
    from frozen_runs import write_rows

    return write_rows(tmp_path_factory.mktemp("data") / "rows.csv")


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`calm(family)`: a random model without dropout."""
    from frozen_runs import still

    import tiny_models

    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = still(tiny_models.make(family, tmp_path_factory.mktemp("calm") / family))
        return made[family]

    return folder


@pytest.fixture(scope="module")
def garbage_kept() -> Iterator[None]:
    """Each job collects garbage, which takes half of a run here where it goes through all that was imported."""
    gc.freeze()
    yield
    gc.unfreeze()
