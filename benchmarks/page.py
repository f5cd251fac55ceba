"""Pages of results: each part between markers of its own, which a new measurement replaces; all else stays as people wrote it."""

from __future__ import annotations

from pathlib import Path

START, END = "<!-- measured: {} -->", "<!-- end of {} -->"


def write(file: Path, part: str, measured: str, title: str) -> None:
    """Replace what stands between a part's markers, or add them.

    Args:
        file: the page; made with its title if it is not there.
        part: what is measured, and by which script.
        measured: Markdown.
        title: of a new page.
    """
    start, end = START.format(part), END.format(part)
    before = file.read_text(encoding="utf-8") if file.exists() else f"# {title}\n"
    if start not in before:
        before += f"\n{start}\n{end}\n"
    head, _, rest = before.partition(start)
    file.write_text(f"{head}{start}\n\n{measured}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")
