"""What the diagnosis is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from luthier.evaluate.diagnosis.trend import Measured


@dataclass(frozen=True)
class Finding:
    """Something that the curves say."""

    name: str
    """In two to four words, such as `over-fitting`."""
    evidence: str
    """A sentence with the numbers."""
    suggestion: str
    """The recipe line to try, as on the command line: `train.epochs=6`."""
    numbers: Mapping[str, float | Measured] = field(default_factory=dict)
    """What the evidence rests on."""
    severity: Literal["serious", "advice"] = "serious"
    """Whether the scores are worth little as they are, or could be better."""
    unfinished: bool = False
    """Whether the method could do more than this run shows."""


@dataclass(frozen=True)
class Diagnosis:
    """A reading of the curves: all findings, the most important first, and the first one's words."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]
