"""What was checked for leakage, what was found, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from luthier.data.split import listed, members
from luthier.errors import DataError

CUT = 80
"""Characters shown of a text."""

SHOWN = 5
"""Examples of each leak."""


@dataclass(frozen=True)
class Side:
    """One split."""

    texts: Sequence[str]
    labels: Sequence[Any]
    """One value per row, a list of str for multi-label."""
    numbers: Sequence[int] | np.ndarray
    """Place of each row in its source, from 0."""
    what: str = "text"
    """What rows are, in sentences."""


@dataclass(frozen=True)
class Place:
    """A row as it is shown: its split, its number in the source from 1, and the beginning of its text."""

    split: str
    row: int
    text: str

    @classmethod
    def of(cls, name: str, side: Side, row: int) -> Place:
        """The place of the row at this index of a split."""
        text = " ".join(str(side.texts[row]).split())
        return cls(name, int(side.numbers[row]) + 1, text if len(text) <= CUT else f"{text[: CUT - 3]}...")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"split": self.split, "row": self.row, "text": self.text}


@dataclass(frozen=True)
class Example:
    """Rows that show a leak: one that is held out and the one it leaks from, or rows a feature gives away."""

    places: tuple[Place, ...]
    value: str = ""
    """What they share."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"places": [place.as_dict() for place in self.places]} | ({"value": self.value} if self.value else {})


@dataclass(frozen=True)
class Check:
    """One question asked of the data, and its answer."""

    kind: str
    """A key of `pairs.KINDS`, `time` or `giveaway`."""
    splits: tuple[str, ...]
    """The pair, the one that leaks first; all splits for a giveaway."""
    rows: int
    """How many rows of the last split are concerned, of a giveaway how many rows of the label; 0 is a clean answer."""
    of: int
    """Out of how many; a giveaway looks at a sample."""
    sentence: str
    examples: tuple[Example, ...] = ()
    remove: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Rows without which the leak is gone, as indices into their split; never of the test split."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shown = {"kind": self.kind, "splits": list(self.splits), "rows": self.rows, "of": self.of}
        return shown | {"sentence": self.sentence, "examples": [example.as_dict() for example in self.examples]}


@dataclass(frozen=True)
class Certificate:
    """All checks of a division."""

    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    """What could not be checked, and why: sentences."""

    @property
    def leaks(self) -> tuple[Check, ...]:
        """The checks that found something."""
        return tuple(check for check in self.checks if check.rows)

    @property
    def clean(self) -> bool:
        """Whether none did."""
        return not self.leaks

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        checks = [check.as_dict() for check in self.checks]
        return {"clean": self.clean, "checks": checks, "skipped": list(self.skipped)}


@dataclass(frozen=True)
class Mended:
    """Splits without the rows that leak."""

    kept: dict[str, np.ndarray]
    """Indices of the rows that stay in each split, ascending."""
    removed: list[dict[str, Any]]
    """Each row taken out: `split`, `row` (from 1, in the source) and `reason`."""


def refuse(certificate: Certificate) -> None:
    """Stop where anything leaks.

    Raises:
        DataError: with the sentence and the first example of every leak.
    """
    if certificate.clean:
        return
    lines = [f"- {check.sentence}{_first(check)}" for check in certificate.leaks]
    raise DataError(
        "The splits leak, so scores would flatter:\n"
        + "\n".join(lines)
        + "\nMend the data; or write data.leakage: fix, which removes training and validation rows, or data.leakage: report, which "
        "only says so."
    )


def _first(check: Check) -> str:
    if not check.examples:
        return ""
    shown = " and ".join(f"{place.split} row {place.row} ({place.text!r})" for place in check.examples[0].places)
    return f" For example {shown}."


def fix(certificate: Certificate, splits: Mapping[str, Side]) -> Mended:
    """Take out the training and validation rows that leak into what is scored; test rows stay.

    What a single feature gives away is in all splits and stays as well.

    Raises:
        DataError: training or validation would be left without rows, or training without a label.
    """
    reasons: dict[str, dict[int, str]] = {name: {} for name in splits}
    for check in certificate.checks:
        for name, rows in check.remove.items():
            for row in rows.tolist():
                reasons[name].setdefault(row, f"{check.kind}: leaks into {check.splits[-1]}")
    kept = {name: np.setdiff1d(np.arange(len(side.labels)), list(reasons[name])) for name, side in splits.items()}
    _check_left(kept, splits)
    removed = [
        {"split": name, "row": int(splits[name].numbers[row]) + 1, "reason": reason}
        for name, rows in reasons.items()
        for row, reason in sorted(rows.items())
    ]
    return Mended(kept, removed)


def _check_left(kept: Mapping[str, np.ndarray], splits: Mapping[str, Side]) -> None:
    for name, rows in kept.items():
        if not len(rows) and len(splits[name].labels):
            raise DataError(
                f"data.leakage: fix would remove all {len(splits[name].labels):,} {name} rows, because all of them leak. Divide "
                "the data anew."
            )
    first = next(iter(splits))
    before, after = (
        Counter(str(member) for row in rows for member in members(splits[first].labels[row]))
        for rows in (range(len(splits[first].labels)), kept[first])
    )
    lost = sorted(before.keys() - after.keys())
    if lost:
        raise DataError(
            f"data.leakage: fix would leave training without the label {listed(lost)}, because all its rows leak. Divide the data anew."
        )
