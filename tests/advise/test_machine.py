"""Descriptions of machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from luthier import hardware
from luthier.advise.machine import CONTEXT, described
from luthier.errors import RecipeError

GIB = 2**30


@pytest.mark.parametrize(
    ("text", "kind", "room", "process"),
    [("gpu 24GB", "cuda", 24 * GIB, CONTEXT), ("CPU 7.5 gb", "cpu", int(7.5 * GIB), 123)],
)
def test_a_description(text: str, kind: str, room: int, process: int) -> None:
    found = described(text, 123)
    assert (found.kind, found.room, found.process, found.here) == (kind, room, process, False)


@pytest.mark.parametrize("text", ["24GB", "gpu", "gpu 0GB", "gpu 24 apples", "tpu 8GB"])
def test_what_is_not_understood(text: str) -> None:
    with pytest.raises(
        RecipeError, match=r"--machine is .*; give cpu or gpu and its memory, such as 'gpu 24GB' or 'cpu 8GB'"
    ):
        described(text, 0)


@pytest.mark.parametrize("group", hardware.CGROUPS, ids=["version 2", "version 1"])
def test_the_limit_of_a_container_counts(
    group: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, used, reclaimable = group
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text("1000000\n")
    (tmp_path / used).write_text("700000\n")
    (tmp_path / used).with_name("memory.stat").write_text(f"anon 5\n{reclaimable} 200000\n")
    monkeypatch.setattr(hardware, "CGROUP", tmp_path)
    assert hardware.available_memory() == 500_000
    (tmp_path / limit).write_text("max\n")
    assert hardware.available_memory() > 1_000_000
