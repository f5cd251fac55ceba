"""Small models for the methods: random ones of every family, and real ones where they are at hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import tiny_models

if TYPE_CHECKING:
    from cells import Shelf


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """The models of the grid."""
    from cells import Shelf

    assets = os.environ.get("LUTHIER_ASSETS")
    return Shelf(tmp_path_factory.mktemp("shelf"), Path(assets) if assets else None)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Models this small are slower with more threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Callable[[str], Path]:
    """`base(name)`: the folder of a random model of that family, or of a real one."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name in tiny_models.REAL:
            return Path(request.getfixturevalue("assets"), "models", name)
        if name == "tiny-bert":
            return Path(request.getfixturevalue("tiny_bert"))
        if name not in made:
            made[name] = tiny_models.make(name, tmp_path_factory.mktemp("bases") / name)
        return made[name]

    return folder
