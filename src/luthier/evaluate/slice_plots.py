"""The slices that are answered worse than the rest, drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from luthier.evaluate.plots import DARK, MIDDLE, as_svg, page_style

NAME = 40
"""Characters of a slice's name that are drawn."""


def slices(facts: Mapping[str, Any]) -> str | None:
    """How much worse each slice is than the rest, with intervals; filled where it is by more than chance."""
    shown = facts["shown"][::-1]
    if not shown:
        return None
    names = [f"{one['column']}: {one['value']}" for one in shown]
    heights = np.arange(len(shown))
    with page_style():
        figure = Figure(figsize=(8, 1.1 + 0.32 * len(shown)))
        axes = figure.subplots()
        axes.axvline(0, color="black", linestyle="--", linewidth=1)
        for height, one in zip(heights, shown, strict=True):
            sure = one["p"] < facts["level"]
            axes.plot(one["interval"], [height, height], color=MIDDLE if sure else DARK)
            axes.plot(one["difference"], height, "D" if sure else "o", color=MIDDLE if sure else DARK)
        axes.set_yticks(heights, [name if len(name) <= NAME else name[: NAME - 1] + "…" for name in names])
        axes.set(title=_seen(facts), xlabel=_unit(facts), ylim=(-0.6, len(shown) - 0.4))
        if facts["graded"]:
            axes.xaxis.set_major_formatter("{x:.0%}")
        figure.tight_layout()
        return as_svg(figure, "slices", f"The slice that stands out most: {names[-1]}.")


def _seen(facts: Mapping[str, Any]) -> str:
    worse = sum(one["p"] < facts["level"] for one in facts["shown"])
    return f"Worse than the other rows by more than chance: {worse} of {len(facts['shown'])}"


def _unit(facts: Mapping[str, Any]) -> str:
    return (
        "difference of the shares that are wrong"
        if facts["graded"]
        else f"difference of means: {facts['error'].lower()}"
    )
