"""The picture of a search, as SVG with a title that says what is seen."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from luthier.evaluate.plots import DARK, LIGHT, MIDDLE, as_svg, page_style

Facts = dict[str, Any]


def race(facts: Facts) -> str:
    """The figure of each trial over the share of its training that was done: the winner thick, the recipe as it stood dashed."""
    shown = [one for one in facts["trials"] if one["scores"]]
    with page_style():
        figure = Figure(figsize=(9, 3.8))
        axes = figure.add_axes((0.08, 0.14, 0.9, 0.76))
        for one in shown:
            across = [score["share"] for score in one["scores"]]
            axes.plot(across, [score["value"] for score in one["scores"]], **_look(one, facts["winner"]))
        best = next(one for one in shown if one["number"] == facts["winner"])
        last = best["scores"][-1]
        if last["interval"]:
            axes.vlines(last["share"], *last["interval"], color=MIDDLE, linewidth=1.5, label="its 95 % interval")
        axes.set(xlabel="share of its training that was done", ylabel=f"validation {facts['monitor']}")
        axes.xaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axes.set_xlim(0, 1.03)
        axes.legend(loc="upper left", ncols=3)
        ended = sum(one["scores"][-1]["whole"] for one in shown)
        many = f"{ended} of {len(facts['trials'])} trials were trained to their end"
        told = f"{many}; trial {facts['winner']} is taken, with {last['value']:.3f}"
        axes.set_title(told)
        return as_svg(figure, "race", told)


def _look(one: Facts, winner: int) -> dict[str, Any]:
    """How the line of a trial is drawn: apart in marker and dash, so that it stays apart in grey."""
    if one["number"] == winner:
        return {
            "color": MIDDLE,
            "linewidth": 2.5,
            "marker": "D",
            "markersize": 8,
            "label": f"trial {winner}, the winner",
            "zorder": 3,
        }
    if one["given"]:
        return {
            "color": DARK,
            "linewidth": 1.8,
            "linestyle": "--",
            "marker": "s",
            "label": "the recipe as it stood",
            "zorder": 2,
        }
    return {"color": LIGHT, "linewidth": 1.2, "marker": "x" if one["out"] else "o", "markeredgecolor": DARK}
