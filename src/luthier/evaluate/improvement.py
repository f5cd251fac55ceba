"""Which evaluation is the best: one rule for the training that keeps its weights and the report that marks it."""

from __future__ import annotations

from typing import NamedTuple


class Evaluated(NamedTuple):
    """What an evaluation found."""

    value: float
    """Of the figure that is monitored."""
    loss: float


def improves(now: Evaluated, best: Evaluated | None, lower_is_better: bool, min_delta: float = 0.0) -> bool:
    """Whether an evaluation counts as better than the best before it.

    It does where its figure is better by more than `min_delta`, and where the figures are equal and its loss is lower: F1 can stand
    still while the model learns.
    """
    if best is None:
        return True
    gain = best.value - now.value if lower_is_better else now.value - best.value
    return gain > min_delta or (now.value == best.value and now.loss < best.loss)
