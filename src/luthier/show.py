"""What a person sees while luthier works: sentences, warnings, progress bars. Results go to stdout, all this to stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console as Terminal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table


class Console:
    """Speaks on stderr; silent in all processes but the first."""

    def __init__(self, quiet: bool = False) -> None:
        self._out = Terminal(stderr=True, quiet=quiet, highlight=False, soft_wrap=True)
        self._live: Progress | None = None

    def say(self, text: str) -> None:
        """A sentence."""
        self._out.print(text, markup=False)

    def warn(self, text: str) -> None:
        """A sentence that should not be missed."""
        self._out.print(f"warning: {text}", style="yellow", markup=False)

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """A spinner beside work of unknown length."""
        if self._live or not self._out.is_terminal:
            yield
            return
        with self._out.status(text):
            yield

    @contextmanager
    def bar(self, text: str, total: int) -> Iterator[Callable[[int], None]]:
        """A progress bar; yields a function that is told how much more is done."""
        if self._live:
            task = self._live.add_task(text, total=total, note="")
            yield lambda done: self._live.advance(task, done) if self._live else None
            self._live.remove_task(task)
            return
        with self._progress() as progress:
            task = progress.add_task(text, total=total, note="")
            yield lambda done: progress.advance(task, done)

    @contextmanager
    def training(self) -> Iterator[Progress]:
        """The bars of a training run; sentences are printed above them."""
        with self._progress() as self._live:
            yield self._live
        self._live = None

    def _progress(self) -> Progress:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        rest = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
        return Progress(*columns, *rest, console=self._out, transient=True, disable=not self._out.is_terminal)


def print_table(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    """A table on stdout; numbers to the right."""
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    Terminal(highlight=False).print(table)


def answer(label: Any) -> str:
    """What a model answers, in a line: numbers to four digits, entities as their words with their type."""
    if isinstance(label, dict) and {"text", "type"} <= set(label):
        return f"{label['text']} ({label['type']})"
    if isinstance(label, dict) and set(label) == {"text", "start"}:
        return str(label["text"]) or "(none)"
    if isinstance(label, dict):
        return ", ".join(f"{name} {answer(value)}" for name, value in label.items())
    if isinstance(label, list):
        return ", ".join(map(answer, label)) or "(none)"
    return f"{label:.4g}" if isinstance(label, float) else str(label)
