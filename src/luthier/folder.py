"""The run folder on disk: the only module that writes into it.

Files appear whole or not at all: they are written beside their place, flushed to the disk and renamed. A folder that is
published so carries a manifest with the hash of every file, written last.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from luthier.errors import CheckpointError, DiskFullError, RunError

MANIFEST = "manifest.json"
WASTE = ".removed"
"""Name of what is being removed."""
WRITTEN = (
    *("checkpoints", "model", "model.tmp", "model.old", "tensorboard", "wandb", "log.jsonl", "predictions.parquet"),
    *("columns.parquet", "trackers.json", "changes.csv", "rows.parquet", "data.json"),
    *("report.html", "report.json", "README.md", "recipe.yaml"),
)
"""Everything that a run puts into its folder, in the order in which `clear` deletes it."""

WAIT = 0.5
"""Seconds that a line of the log may wait for others."""
RESERVE = 16 * 2**20
"""Bytes left free beside what is written, for logs and the file system itself."""


class RunFolder:
    """Reads and writes one run folder; every path is relative to it."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines: list[str] = []
        self._written = 0.0

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock goes with the process, however it ends.

        Raises:
            RunError: another process holds it.
        """
        from filelock import FileLock, Timeout

        holder = self.path / ".lock.pid"
        lock = FileLock(self.path / ".lock", timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            pid = holder.read_text() if holder.exists() else "unknown"
            raise RunError(
                f"{self.path} is in use by another luthier (process {pid}). Wait for it, stop it, or give another output=..."
            ) from None
        except OSError as wrong:
            raise RunError(f"{self.path} cannot be written: {wrong.strerror}. Give another output=...") from wrong
        try:
            holder.write_text(str(os.getpid()))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def require_space(self, needed: int) -> None:
        """Raise `DiskFullError` unless `needed` bytes can be written here."""
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < needed + RESERVE:
            raise DiskFullError(
                f"{self.path} needs {_mb(needed + RESERVE)} and the disk has {_mb(free)} free. Nothing was lost: free some space "
                "and run the same command again, or give an output= on another disk."
            )

    def write(self, name: str, text: str) -> Path:
        """Write a text file atomically."""
        target = self.path / name
        self.require_space(len(text))
        temporary = target.with_name(f".{target.name}.tmp")
        with _disk_errors(self.path):
            temporary.write_text(text, encoding="utf-8")
            _flush(temporary)
            temporary.replace(target)
            _flush(target.parent)
        return target

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file atomically; NaN is refused, as JSON has none."""
        return self.write(name, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """The content of a JSON file."""
        return json.loads((self.path / name).read_text(encoding="utf-8"))

    def replace(self, name: str, fill: Callable[[Path], None]) -> Path:
        """Write one file by `fill(temporary path)`, then put it in its place."""
        target = self.path / name
        temporary = target.with_name(f".{target.name}.tmp")
        with _disk_errors(self.path):
            fill(temporary)
            _flush(temporary)
            temporary.replace(target)
        return target

    def publish(self, name: str, fill: Callable[[Path], None], needed: int = 0) -> Path:
        """Write a folder by `fill(temporary folder)`, seal it with a manifest and put it in its place.

        The folder that was there stays as `NAME.old` until the new one stands, so one complete folder always exists.
        """
        self.require_space(needed)
        target = self.path / name
        temporary, old = target.with_name(f"{target.name}.tmp"), target.with_name(f"{target.name}.old")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with _disk_errors(self.path):
                temporary.mkdir(parents=True)
                fill(temporary)
                seal(temporary)
                _let_read(temporary)
                _swap(temporary, target, old)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return target

    def standing(self, name: str) -> Path:
        """Where a published folder stands: at its place, or as `NAME.old` if a crash came between the two renames."""
        target = self.path / name
        old = target.with_name(f"{target.name}.old")
        return old if old.is_dir() and not target.is_dir() else target

    def remove(self, name: str) -> None:
        """Remove a published folder: first from its place, so that a crash leaves it whole or not at all."""
        target = self.path / name
        waste = target.with_name(WASTE)
        shutil.rmtree(waste, ignore_errors=True)
        target.rename(waste)
        shutil.rmtree(waste)

    def tidy(self, name: str) -> None:
        """Remove what a crash has left beside a published folder, and undo an exchange that it cut in two."""
        target = self.path / name
        old = self.standing(name)
        if old != target:
            old.rename(target)
        shutil.rmtree(target.with_name(WASTE), ignore_errors=True)
        shutil.rmtree(target.with_name(f"{target.name}.tmp"), ignore_errors=True)
        shutil.rmtree(target.with_name(f"{target.name}.old"), ignore_errors=True)

    def duplicate(self, name: str, copy: str) -> None:
        """Publish a copy of a published folder: a real one, as damage to a hard link would be damage to both."""
        files = [file for file in (self.path / name).iterdir() if file.name != MANIFEST]

        def fill(temporary: Path) -> None:
            for file in files:
                shutil.copyfile(file, temporary / file.name)

        self.publish(copy, fill, needed=sum(file.stat().st_size for file in files))

    def clear(self) -> None:
        """Delete what a run has written and nothing else; recipe.yaml goes last, as it marks the folder as luthier's."""
        for name in WRITTEN:
            one = self.path / name
            if one.is_dir():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)

    def log(self, record: Mapping[str, Any], soon: bool = False) -> None:
        """Append a line to log.jsonl.

        Args:
            record: the line.
            soon: it may wait for the next line that may not, but no longer than `WAIT`.
        """
        self._lines.append(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
        if not soon or time.monotonic() - self._written > WAIT:
            self._write_lines()

    def flush_log(self) -> None:
        """Force log.jsonl onto the disk, so that after a power cut it reaches as far as the checkpoint that follows."""
        self._write_lines()
        if (self.path / "log.jsonl").exists():
            _flush(self.path / "log.jsonl")

    def _write_lines(self) -> None:
        if self._lines:
            with _disk_errors(self.path), (self.path / "log.jsonl").open("a", encoding="utf-8") as stream:
                stream.write("".join(self._lines))
            self._lines.clear()
        self._written = time.monotonic()

    def records(self) -> list[dict[str, Any]]:
        """The lines of log.jsonl; a line that a crash has cut short is left out."""
        self._write_lines()
        log = self.path / "log.jsonl"
        lines = log.read_bytes().splitlines() if log.exists() else []
        return [record for record in map(_record, lines) if record]

    def rewind(self, step: int) -> None:
        """Take back what the log says of steps after `step`, which will be run again."""
        kept = [line for line in self.records() if line.get("step", 0) <= step and line["event"] != "stop"]
        self.write("log.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept))


def seal(folder: Path) -> None:
    """Write the manifest with the hash of every file, after all of them are on the disk."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in files:
        _flush(file)
    hashes = {str(file.relative_to(folder)): sha256(file) for file in files}
    (folder / MANIFEST).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    _flush(folder / MANIFEST)
    _flush(folder)


def verify(folder: Path) -> None:
    """Check a published folder against its manifest.

    Raises:
        CheckpointError: the manifest or a file is missing or altered.
    """
    manifest = folder / MANIFEST
    try:
        hashes = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise CheckpointError(f"{folder} is damaged: its {MANIFEST} is missing or unreadable.") from None
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} is damaged: {name} is missing.")
        if sha256(folder / name) != expected:
            raise CheckpointError(f"{folder} is damaged: {name} does not have the content that was written.")


def sha256(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads(line)
    except ValueError:
        return None  # cut short
    return record


def _let_read(folder: Path) -> None:
    """Give all files of a sealed folder the permissions of a new one: safetensors writes for the owner alone."""
    for file in filter(Path.is_file, folder.rglob("*")):
        file.chmod((folder / MANIFEST).stat().st_mode)


def _swap(temporary: Path, target: Path, old: Path) -> None:
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    temporary.rename(target)
    _flush(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    """Force a file or a folder's list of names onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk into a sentence; safetensors reports it as its own error with the system's text."""
    try:
        yield
    except Exception as wrong:
        full = isinstance(wrong, OSError) and wrong.errno in {errno.ENOSPC, errno.EDQUOT}
        if not full and "No space left" not in str(wrong):
            raise
        raise DiskFullError(
            f"The disk of {folder} is full. What was complete is kept: free some space and run the same command again."
        ) from wrong


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f} MB"
