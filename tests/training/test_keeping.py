"""Where outputs of frozen parts are kept, found again, deleted; full disks, killed and rival writers."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from luthier import hardware
from luthier.errors import TrainError
from luthier.training import keeping

SIZES = [(6, torch.float32), (0, torch.float32), (5, torch.bfloat16)]
MB = 2**20


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the files go."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    (tmp_path / "frozen").mkdir()
    return tmp_path / "frozen"


def fill(value: float) -> Callable[[Sequence[Tensor]], None]:
    return lambda tensors: [one.fill_(value) for one in tensors] and None


def values(tensors: Sequence[Tensor] | None) -> list[list[float]]:
    assert tensors is not None
    return [one.tolist() for one in tensors]


@pytest.mark.parametrize(
    ("choice", "size", "expected"),
    [
        ("auto", 40, "memory"),
        ("auto", 41, "disk"),
        ("memory", 40, "memory"),
        ("disk", 1, "disk"),
        ("disk", 200, "disk"),
    ],
)
def test_memory_first_and_the_disk_where_it_would_not_do(
    choice: keeping.Choice, size: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "available_memory", lambda: 100 * MB)
    monkeypatch.setattr(keeping, "LIMIT", 200 * MB)
    assert keeping.place(choice, size * MB) == expected


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ("auto", "they take 300.0 MB, and it may use 40.0 MB of memory and 200.0 MB of disk"),
        ("memory", "they take 300.0 MB, and it may use 40.0 MB of memory"),
        ("disk", "they take 300.0 MB, and it may use 200.0 MB of disk"),
    ],
)
def test_where_there_is_no_room(choice: keeping.Choice, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "available_memory", lambda: 100 * MB)
    monkeypatch.setattr(keeping, "LIMIT", 200 * MB)
    with pytest.raises(TrainError) as refused:
        keeping.place(choice, 300 * MB)
    assert str(refused.value) == said


def free_on_disk(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(total=4 * size, used=3 * size, free=size))


def test_never_more_than_half_of_the_free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    free_on_disk(100 * MB, monkeypatch)
    monkeypatch.setattr(hardware, "available_memory", lambda: 10 * MB)
    assert keeping.place("disk", 50 * MB) == keeping.place("auto", 50 * MB) == "disk"
    with pytest.raises(TrainError) as refused:
        keeping.place("auto", 50 * MB + 1)
    assert str(refused.value) == "they take 50.0 MB, and it may use 4.0 MB of memory and 50.0 MB of disk"


@pytest.mark.parametrize(("free", "written"), [(67, False), (68, True)])
def test_what_is_in_memory_is_written_for_later_runs_where_half_of_the_free_disk_holds_it(
    free: int, written: bool, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_on_disk(free, monkeypatch)
    keeping.make("key", SIZES, "memory", fill(2))  # 34 bytes
    assert (place / "key").is_dir() == written


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0.0 kB"), (1536, "1.5 kB"), (MB // 8, "0.1 MB"), (1000 * MB, "1,000.0 MB"), (1300 * MB, "1.3 GB")],
)
def test_sizes_for_people(size: int, text: str) -> None:
    assert keeping.said(size) == text


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_what_is_made_is_found_again(where: str, place: Path) -> None:
    assert keeping.find("key", SIZES) is None
    made = keeping.make("key", SIZES, where, fill(2))
    assert values(made) == [[2.0] * 6, [], [2.0] * 5]
    assert values(keeping.find("key", SIZES)) == values(made)
    assert [one.dtype for one in keeping.find("key", SIZES) or ()] == [dtype for _, dtype in SIZES]
    assert keeping.find("other", SIZES) is None
    assert keeping.find("key", [(7, torch.float32), *SIZES[1:]]) is None
    assert sorted(file.stat().st_size for file in (place / "key").glob("*.bin")) == [0, 10, 24]


def test_large_things_in_memory_are_not_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SHARED", 30)
    keeping.make("key", SIZES, "memory", fill(2))
    assert not list(place.iterdir())


def test_a_damaged_folder_is_made_anew(place: Path) -> None:
    keeping.make("key", SIZES, "disk", fill(1))
    (place / "key" / "0.bin").write_bytes(b"short")
    assert keeping.find("key", SIZES) is None
    keeping.make("key", SIZES, "disk", fill(3))
    assert values(keeping.find("key", SIZES))[0] == [3.0] * 6


def test_what_another_process_deletes_at_that_moment_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    keeping.make("key", SIZES, "disk", fill(1))

    def gone(file: Path) -> None:
        raise FileNotFoundError(file)

    monkeypatch.setattr(os, "utime", gone)
    assert keeping.find("key", SIZES) is None


def test_files_lie_on_the_disk_before_they_count(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda number: counted.append(any(place.glob("*/manifest.json"))))
    keeping.make("key", SIZES, "disk", fill(1))
    assert counted == [False] * len(SIZES)


def test_what_was_used_longest_ago_goes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LIMIT", 110)  # three of 34 bytes and their manifests of 2
    for age, key in enumerate(("a", "b", "c")):
        keeping.make(key, SIZES, "disk", fill(1))
        os.utime(place / key / "manifest.json", (1000 + age, 1000 + age))
    keeping.find("a", SIZES)  # which makes it the newest
    keeping.make("d", SIZES, "disk", fill(1))
    assert {folder.name for folder in place.iterdir()} == {"a", "c", "d"}


def test_a_full_disk_leaves_no_half_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TrainError) as refused:
        keeping.make("key", SIZES, "disk", fill(1))
    assert str(refused.value) == f"{place} cannot be written: No space left on device"
    assert values(keeping.make("key", SIZES, "memory", fill(1)))[0] == [1.0] * 6
    assert not list(place.iterdir())


def test_where_blocks_cannot_be_reserved_zeros_are_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(keeping, "CHUNK", 10)
    keeping.make("key", SIZES, "disk", fill(2))
    assert values(keeping.find("key", SIZES)) == [[2.0] * 6, [], [2.0] * 5]


def test_an_error_while_filling_leaves_nothing(place: Path) -> None:
    def wrong(tensors: Sequence[Tensor]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        keeping.make("key", SIZES, "disk", wrong)
    assert not list(place.iterdir())


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(place: Path) -> None:
    def die(tensors: Sequence[Tensor]) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(target=keeping.make, args=("key", SIZES, "disk", die))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert [folder.name for folder in place.iterdir()] == [f"key.{child.pid}.tmp"]
    assert keeping.find("key", SIZES) is None
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (place / f"rival.{living.pid}.tmp").mkdir()
    keeping.make("key", SIZES, "disk", fill(1))
    assert {folder.name for folder in place.iterdir()} == {"key", f"rival.{living.pid}.tmp"}
    living.communicate(b"\n")


def test_two_writers_of_the_same_do_not_break_each_other(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rival's folder appears just before this process puts its own there, and again where it has made room."""
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        rival = multiprocessing.get_context("fork").Process(target=keeping.make, args=("key", SIZES, "disk", fill(5)))
        rival.start()
        rival.join()
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", late)
    mine = keeping.make("key", SIZES, "disk", fill(5))
    assert values(mine) == values(keeping.find("key", SIZES)) == [[5.0] * 6, [], [5.0] * 5]
    assert [folder.name for folder in place.iterdir()] == ["key"]
