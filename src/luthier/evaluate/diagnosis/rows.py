"""Findings about the rows: labels that nothing explains, and too few to choose an epoch by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from luthier.evaluate.diagnosis.curves import Curves
from luthier.evaluate.diagnosis.finding import Finding
from luthier.evaluate.diagnosis.learning import little_learned
from luthier.evaluate.diagnosis.trend import slope

FEW = 30
"""Validation rows below which one row more or less decides."""
WIDE = 0.5
"""Share of what the score is above that of one answer to all rows, at which its interval is wide."""
BY_HEART = 0.95
"""Share of the lowest validation loss below which the training loss falls by learning rows by heart."""
UNEXPLAINED = 0.88
"""Share of the loss of one answer to all rows above which the lowest validation loss has explained next to nothing."""
EACH = 100
"""Training rows for each answer below which learning by heart is no wonder."""


def validation_too_small(curves: Curves) -> Finding | None:
    """Rows are few, or the interval of the score holds other evaluations than the best and is wide beside what the model has over a
    constant answer.
    """
    score = curves.score
    if score is None or curves.records.validated is None or little_learned(curves):
        return None
    rows = len(curves.records.validated[0])
    width = score.high - score.low
    alike = int((np.abs(curves.monitored - score.value) <= width / 2).sum())
    against = np.ptp(curves.monitored) if curves.constant is None else abs(score.value - curves.constant)
    if rows >= FEW and (alike < 2 or width <= WIDE * against):
        return None
    constant = "" if curves.constant is None else f", and one answer for all rows gets {curves.constant:.3f}"
    return Finding(
        "validation too small to tell",
        f"On the {rows} validation rows {curves.monitor} is {score.value:.3f}, somewhere from {score.low:.3f} to {score.high:.3f}, and "
        f"{alike} of the {len(curves.monitored)} evaluations cannot be told from it, each row being worth {1 / rows:.3f}{constant}.",
        _more(curves),
        {curves.monitor: score, "validation rows": rows, "evaluations that are as good": alike},
    )


def _more(curves: Curves) -> str:
    files = curves.records.recipe["data"]["files"]
    given = isinstance(files, Mapping) and "validation" in files
    return "data.files.validation=MORE_ROWS.csv" if given else "data.split.parts=6:2:2"


def label_noise(curves: Curves) -> Finding | None:
    """Rows are learned by heart that say nothing of others, though there are many of each answer.

    A network learns what rows have in common first and wrong labels last, one by one (Arpit et al. 2017, "A Closer Look at
    Memorization in Deep Networks"): the training loss falls on while the validation loss, never far below that of one answer to all
    rows, rises.
    """
    loss, train = curves.validation, curves.records.data["splits"]["train"]
    lowest = int(loss.argmin())
    rise = slope(curves.epochs[lowest:], loss[lowest:])
    if curves.chance is None or loss[lowest] < UNEXPLAINED * curves.chance or rise is None or rise.low <= 0:
        return None
    if train["rows"] < EACH * len(train["labels"]) or curves.end >= BY_HEART * loss[lowest]:
        return None
    suspects = curves.records.data.get("labels")
    gap = {"validation loss less training loss": curves.gap} if curves.gap else {}
    return Finding(
        "label noise suspected",
        f"The validation loss was never below {loss[lowest]:.3f}, where one answer for all rows has {curves.chance:.3f}, and rose to "
        f"{loss[-1]:.3f}, while the training loss fell on to {curves.end:.3f}: {train['rows']:,} rows were learned by heart and say little "
        f"of others. Their labels are often wrong, or do not follow from what the model reads.{_suspected(suspects)}",
        "data.labels=drop" if suspects else "data.labels=report",
        {"slope of the validation loss since its lowest, an epoch": rise, "loss of one answer": curves.chance, **gap},
    )


def _suspected(found: Mapping[str, Any] | None) -> str:
    return f" {found['sentence']}" if found else ""
