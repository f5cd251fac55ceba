"""Fixtures of the training tests: one thread (the models are tiny), and a model without dropout."""

from __future__ import annotations

from collections.abc import Iterator
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
