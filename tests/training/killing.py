"""Run the real command in a process of its own, forked from one that has done the imports, and kill it where wanted.

A moment is a file operation inside the run folder: Python's audit events tell of every one before it happens, and the hook sends the
process SIGKILL, after which nothing of it runs: no `finally`, no flush.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMPORTS = [
    "luthier.commands",
    "luthier.pipeline",
    "luthier.suggest",
    "matplotlib.figure",
    "pandas",
    "sklearn.metrics",
    "killing",
]
CALLS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "shutil.copyfile")


@dataclass(frozen=True)
class Moment:
    """Before the `nth` operation (from 1) whose text, such as `os.rename checkpoints/last.tmp`, contains `text`."""

    text: str
    nth: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code (-9 when killed), what it printed, and its file operations."""

    code: int
    out: str
    err: str
    operations: list[str]


def luthier(*arguments: str, notes: Path, folder: Path | None = None, at: Sequence[tuple[Moment, int]] = ()) -> Outcome:
    """`luthier ARGUMENTS` in a forked process.

    Args:
        arguments: of the command line.
        notes: a folder for the process' output.
        folder: the run folder that is watched.
        at: moments, and the signal that the process gets there: SIGKILL, or SIGINT as from Ctrl-C.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTS)
    notes.mkdir(exist_ok=True)
    process = context.Process(target=_run, args=(arguments, list(at), folder, notes))
    process.start()
    process.join()
    read = [(notes / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err", "operations")]
    assert process.exitcode is not None
    return Outcome(process.exitcode, read[0], read[1], read[2].splitlines())


def _run(arguments: tuple[str, ...], signals: list[tuple[Moment, int]], folder: Path | None, notes: Path) -> None:
    import torch

    from luthier import folder as run_folder
    from luthier.__main__ import main

    torch.set_num_threads(1)
    run_folder.WAIT = -1  # a line at a time, so that a moment can be named by its line
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(notes / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    operations = os.open(notes / "operations", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if folder:
        sys.addaudithook(_hook(folder.resolve(), signals, operations))
    sys.argv = ["luthier", *arguments]
    main()


def _hook(folder: Path, signals: list[tuple[Moment, int]], operations: int) -> Any:
    inside = str(folder) + os.sep
    met = [0] * len(signals)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CALLS or not arguments or not str(arguments[0]).startswith(inside):
            return
        mode = f" {arguments[1]}" if event == "open" else ""
        text = f"{event} {str(arguments[0]).removeprefix(inside)}{mode}"
        os.write(operations, f"{text}\n".encode())
        for place, (moment, number) in enumerate(signals):
            met[place] += moment.text in text
            if moment.text in text and met[place] == moment.nth:
                os.kill(os.getpid(), number)

    return hook
