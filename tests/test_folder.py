"""The run folder: locks, atomic writes, manifests, the log."""

from __future__ import annotations

import json
import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from luthier.errors import CheckpointError, DiskFullError, RunError
from luthier.folder import WRITTEN, RunFolder, verify


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def secretive(place: Path) -> None:
    """Files as safetensors writes them, for the owner alone."""
    (place / "deep").mkdir()
    for name in ("a.txt", "deep/b.txt"):
        (place / name).write_text("one")
        (place / name).chmod(0o600)


def test_published_files_have_the_permissions_of_new_ones(folder: RunFolder, tmp_path: Path) -> None:
    folder.publish("model", secretive)
    (tmp_path / "new.txt").write_text("one")
    usual = (tmp_path / "new.txt").stat().st_mode
    assert {file.stat().st_mode for file in (folder / "model").rglob("*") if file.is_file()} == {usual}


def fill(text: str) -> Any:
    def write(place: Path) -> None:
        (place / "a.txt").write_text(text)
        (place / "deep").mkdir()
        (place / "deep" / "b.txt").write_text(text)

    return write


def content(place: Path) -> str:
    verify(place)
    return (place / "a.txt").read_text() + (place / "deep" / "b.txt").read_text()


class Killed(BaseException):
    """Stands for the end of the process: nothing that was meant to follow is done."""


def crash_at(patch: pytest.MonkeyPatch, owner: Any, name: str, nth: int) -> None:
    real, calls = getattr(owner, name), [0]

    def call(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] >= nth:
            raise Killed
        return real(*arguments, **options)

    patch.setattr(owner, name, call)


POINTS = [
    *[(os, "fsync", nth) for nth in range(1, 6)],
    (Path, "mkdir", 2),
    (Path, "rename", 1),
    (Path, "rename", 2),
    (shutil, "rmtree", 2),
    (shutil, "rmtree", 3),
]


@pytest.mark.parametrize(("owner", "name", "nth"), POINTS)
def test_a_crash_while_publishing_leaves_one_complete_folder(
    owner: Any, name: str, nth: int, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.publish("sub/thing", fill("old"))
    with monkeypatch.context() as patch:
        crash_at(patch, owner, name, nth)
        with pytest.raises(Killed):
            folder.publish("sub/thing", fill("new"))
    assert content(folder.standing("sub/thing")) in {"oldold", "newnew"}
    folder.publish("sub/thing", fill("next"))
    assert content(folder / "sub/thing") == "nextnext"
    assert [one.name for one in (folder / "sub").iterdir()] == ["thing"]


def test_what_fails_while_it_is_filled_leaves_nothing(folder: RunFolder) -> None:
    folder.publish("thing", fill("old"))

    def fail(place: Path) -> None:
        (place / "a.txt").write_text("half")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        folder.publish("thing", fail)
    assert content(folder / "thing") == "oldold"
    assert [one.name for one in folder.path.iterdir()] == ["thing"]


@pytest.mark.parametrize(("owner", "name", "nth"), [(Path, "rename", 1), (shutil, "rmtree", 2)])
def test_a_crash_while_removing_leaves_it_whole_or_not_at_all(
    owner: Any, name: str, nth: int, folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.publish("sub/thing", fill("x"))
    with monkeypatch.context() as patch:
        crash_at(patch, owner, name, nth)
        with pytest.raises(Killed):
            folder.remove("sub/thing")
    if (folder / "sub/thing").exists():
        assert content(folder / "sub/thing") == "xx"
        folder.remove("sub/thing")
    folder.tidy("sub/thing")
    assert list((folder / "sub").iterdir()) == []


def test_tidying_undoes_an_exchange_cut_in_two(folder: RunFolder) -> None:
    folder.publish("thing", fill("old"))
    (folder / "thing").rename(folder / "thing.old")
    (folder / "thing.tmp").mkdir()
    folder.tidy("thing")
    assert [one.name for one in folder.path.iterdir()] == ["thing"]
    assert content(folder / "thing") == "oldold"
    folder.publish("thing", fill("new"))
    (folder / "thing.old").mkdir()
    folder.tidy("thing")
    assert [one.name for one in folder.path.iterdir()] == ["thing"]


def test_a_copy_is_a_copy(folder: RunFolder) -> None:
    def flat(place: Path) -> None:
        (place / "a.txt").write_text("content")

    folder.publish("one", flat)
    folder.duplicate("one", "two")
    (folder / "one/a.txt").write_text("damage")
    verify(folder / "two")
    with pytest.raises(CheckpointError, match=r"one is damaged: a\.txt does not have the content that was written\."):
        verify(folder / "one")


def test_verify_names_what_is_wrong(folder: RunFolder) -> None:
    place = folder.publish("thing", fill("x"))
    (place / "deep/b.txt").unlink()
    with pytest.raises(CheckpointError, match=r"thing is damaged: deep/b\.txt is missing\."):
        verify(place)
    (place / "manifest.json").write_text('{"a.txt": ')
    with pytest.raises(CheckpointError, match=r"thing is damaged: its manifest\.json is missing or unreadable\."):
        verify(place)


def test_a_second_process_is_turned_away(folder: RunFolder) -> None:
    with folder.locked():
        expected = rf"run is in use by another luthier \(process {os.getpid()}\)\. Wait for it, stop it, or give another output=\.\.\."
        with pytest.raises(RunError, match=expected), RunFolder(folder.path).locked():
            pass
        assert (folder / ".lock.pid").exists()
    with folder.locked():
        pass


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RunError, match=r"file/run cannot be written: Not a directory\. Give another output=\.\.\."),
        RunFolder(tmp_path / "file/run").locked(),
    ):
        pass


def test_files_are_replaced_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.json", "old")
    with monkeypatch.context() as patch:
        crash_at(patch, Path, "replace", 1)
        with pytest.raises(Killed):
            folder.write("a.json", "new")
    assert (folder / "a.json").read_text() == "old"


def test_a_disk_with_too_little_room_is_noticed_before_writing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(1 << 30, 0, 100 << 20))
    folder.require_space(84 << 20)
    with pytest.raises(DiskFullError) as caught:
        folder.require_space(85 << 20)
    assert str(caught.value) == (
        f"{folder.path} needs 101 MB and the disk has 100 MB free. Nothing was lost: free some space and run the same command again, "
        "or give an output= on another disk."
    )


def test_the_log_forgets_what_will_be_run_again(folder: RunFolder) -> None:
    folder.path.mkdir()
    for step in (1, 2, 3):
        folder.log({"event": "step", "step": step})
    folder.log({"event": "evaluate", "step": 3})
    folder.log({"event": "stop", "step": 3})
    folder.rewind(2)
    assert folder.records() == [{"event": "step", "step": 1}, {"event": "step", "step": 2}]


@pytest.mark.parametrize("torn", ['{"event": "step", "st', '{"event": "step", "more": {}', "\0\0\0\0"])
def test_a_line_that_a_crash_has_cut_is_left_out(torn: str, folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.log({"event": "step", "step": 1})
    with (folder / "log.jsonl").open("a") as stream:
        stream.write(torn)
    assert folder.records() == [{"event": "step", "step": 1}]
    folder.rewind(1)
    assert json.loads((folder / "log.jsonl").read_text()) == {"event": "step", "step": 1}


def test_the_log_refuses_what_json_does_not_have(folder: RunFolder) -> None:
    folder.path.mkdir()
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.log({"loss": float("nan")})


def test_clearing_leaves_the_mark_of_a_run_to_the_end(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("log.jsonl", "recipe.yaml", "data.json", ".lock"):
        folder.write(name, "")
    with monkeypatch.context() as patch:
        crash_at(patch, Path, "unlink", len(WRITTEN))
        with pytest.raises(Killed):
            folder.clear()
    assert {one.name for one in folder.path.iterdir()} == {".lock", "recipe.yaml"}
    folder.clear()
    assert {one.name for one in folder.path.iterdir()} == {".lock"}
