"""Every task on everything that it reads, with every method: docs/task-grid.md says what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import YES, page, published
from task_cells import INTRODUCTION, KINDS, PAGE, outcome

from luthier.methods import METHODS

QUICK = ("head", "full", "lora", "prompt")
"""Methods that the fast suite tries: a frozen base, the whole network, PEFT, and tokens beside the input."""
CELLS = [
    pytest.param(kind, method, id=f"{kind}: {method}", marks=() if method in QUICK else pytest.mark.slow)
    for kind in KINDS
    for method in METHODS
]


@pytest.mark.parametrize(("kind", "method"), CELLS)
def test_a_cell_is_what_the_page_says(kind: str, method: str, tmp_path: Path) -> None:
    assert outcome(kind, method, tmp_path / "cell") == published(PAGE)[kind, method], "run `make docs`"


def test_the_page_has_every_cell() -> None:
    said = published(PAGE)
    assert list(said) == [(kind, method) for kind in KINDS for method in METHODS], "run `make docs`"
    assert PAGE.read_text(encoding="utf-8") == page(said, list(KINDS), INTRODUCTION)
    assert all(any(said[kind, method] == YES for method in METHODS) for kind in KINDS)
