"""What the curves of a run say: findings by trend and not by one epoch, each with its numbers and one line of the recipe to try.

A finding is a function from `Curves` to a `Finding` or None, and a row of `RULES`. The readings are those of Goodfellow et al. 2016,
"Deep Learning", sections 5.2 and 11.3 to 11.4; the thresholds are ours, checked by benchmarks/diagnosis.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from luthier.evaluate.diagnosis import learning, rates, rows
from luthier.evaluate.diagnosis.curves import Curves
from luthier.evaluate.diagnosis.finding import Diagnosis, Finding
from luthier.evaluate.records import Records


@dataclass(frozen=True)
class Rule:
    """One thing that curves may say."""

    find: Callable[[Curves], Finding | None]
    alone: bool = False
    """Whether nothing else can be read from curves that say this."""


RULES = (
    Rule(rates.not_a_number, alone=True),
    Rule(rates.climbing, alone=True),
    Rule(learning.too_little, alone=True),
    Rule(rates.swinging, alone=True),
    Rule(rates.stuck, alone=True),
    Rule(rates.too_low, alone=True),
    Rule(learning.capacity, alone=True),
    Rule(learning.under_fitting, alone=True),
    Rule(rows.label_noise),
    Rule(learning.over_fitting),
    Rule(rows.validation_too_small),
    Rule(learning.improving),
)
"""The most important first."""


def diagnose(records: Records) -> Diagnosis:
    """Read the curves of a run."""
    curves, found = Curves(records), []
    for rule in RULES:
        finding = rule.find(curves)
        if finding:
            found.append(finding)
            if rule.alone:
                break
    return Diagnosis(tuple(found) or (learning.settled(curves),))
