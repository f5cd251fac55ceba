"""The plots of a search, as SVG with titles that say what is seen."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from luthier.evaluate.plots import DARK, LIGHT, MIDDLE, as_svg, page_style
from luthier.search.space import tell

Facts = dict[str, Any]
BESIDE = 3
"""Slices beside one another."""


def history(facts: Facts) -> str:
    """The figure of each trial in their order, the best so far as a line; pruned and failed ones stand below."""
    done = _done(facts)
    with page_style():
        figure = Figure(figsize=(9, 3.4))
        axes = figure.add_axes((0.08, 0.16, 0.9, 0.72))
        axes.plot([one["number"] for one in done], [one["value"] for one in done], "o", color=DARK, label="complete")
        axes.step(*_best_so_far(facts, done), where="post", color=LIGHT, linewidth=2, label="best so far")
        for state, marker in (("pruned", "|"), ("failed", "x")):
            numbers = [one["number"] for one in facts["trials"] if one["state"] == state]
            if numbers:
                axes.plot(
                    numbers,
                    [0.05] * len(numbers),
                    marker,
                    color=MIDDLE,
                    transform=axes.get_xaxis_transform(),
                    label=state,
                    markersize=9,
                    markeredgewidth=2,
                )
        best = next(one for one in done if one["number"] == facts["best"])
        axes.plot(best["number"], best["value"], "D", color=MIDDLE, markersize=9, label=f"trial {facts['best']}")
        axes.set(xlabel="trial", ylabel=f"validation {facts['monitor']}")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.margins(y=0.15)
        axes.legend(loc="best", ncols=2)
        told = _seen(facts, done)
        axes.set_title(told)
        return as_svg(figure, "history", told)


def epochs(facts: Facts) -> str | None:
    """The figure after each epoch, a line a trial, pruned ones dashed; None where there was one epoch."""
    shown = [one for one in facts["trials"] if one["reported"]]
    if max((len(one["reported"]) for one in shown), default=0) < 2:
        return None
    with page_style():
        figure = Figure(figsize=(9, 3.4))
        axes = figure.add_axes((0.08, 0.16, 0.9, 0.72))
        for one in shown:
            best, pruned = one["number"] == facts["best"], one["state"] == "pruned"
            color, width = MIDDLE if best else DARK if pruned else LIGHT, 2.5 if best else 1.0
            axes.plot(
                *zip(*one["reported"], strict=True), linestyle="--" if pruned else "-", color=color, linewidth=width
            )
            axes.plot(*one["reported"][-1], "|" if pruned else "o", color=color, markersize=6)
        early = facts["counts"]["pruned"]
        saved = f"{early} of {len(facts['trials'])} trials ended early (dashed)" if early else "No trial ended early"
        told = f"{saved}; trial {facts['best']} stands out"
        axes.set(xlabel="epoch", ylabel=f"validation {facts['monitor']}", title=told)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return as_svg(figure, "epochs", told)


def parts(facts: Facts) -> str | None:
    """How much of the variance each key explains; None where that is not known."""
    found = sorted(facts["importance"].items(), key=lambda item: item[1])
    if not found:
        return None
    with page_style():
        height = 1.2 + 0.4 * len(found)
        figure = Figure(figsize=(8, height))
        axes = figure.add_axes((0.28, 0.6 / height, 0.68, 1 - 1.0 / height))
        axes.barh([name for name, _ in found], [share for _, share in found], color=LIGHT, edgecolor=DARK)
        name, share = found[-1]
        told = f"{name} explains most of the differences: {share:.0%}"
        axes.set_title(told, x=-0.38)
        axes.set_xlabel("share of the variance (fANOVA)")
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter("{x:.0%}")
        return as_svg(figure, "parts", told)


def slices(facts: Facts) -> str:
    """The figure over each key that was tried, a panel a key."""
    names = list(facts["space"])
    columns = min(BESIDE, len(names))
    rows = ceil(len(names) / columns)
    with page_style():
        figure = Figure(figsize=(3 * columns, 2.9 * rows))
        places = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, name in zip(places, names, strict=False):
            _slice(axes, facts, name)
        for axes in places[len(names) :]:
            axes.set_axis_off()
        figure.tight_layout()
        best = next(one for one in facts["trials"] if one["number"] == facts["best"])
        return as_svg(figure, "slices", f"The best trial has {best['said']}.")


def _slice(axes: Axes, facts: Facts, name: str) -> None:
    values, done = facts["space"][name], [one for one in _done(facts) if name in one["drawn"]]
    if "among" in values:
        order = [tell(value) for value in values["among"]]
        across: list[Any] = [order.index(str(one["drawn"][name])) for one in done]
        axes.set_xticks(range(len(order)), [value if len(value) < 14 else f"{value[:13]}…" for value in order])
        axes.set_xlim(-0.5, len(order) - 0.5)
    else:
        across = [one["drawn"][name] for one in done]
        axes.set_xscale("log" if values["log"] else "linear")
        axes.set_xlim(*_widened(values))
    axes.plot(across, [one["value"] for one in done], "o", color=DARK, alpha=0.7)
    for place, one in zip(across, done, strict=True):
        if one["number"] == facts["best"]:
            axes.plot(place, one["value"], "D", color=MIDDLE, markersize=9)
    axes.set(title=name, ylabel=facts["monitor"])


def _widened(values: Facts) -> tuple[float, float]:
    """The ends of a range with room for a marker."""
    low, high = values["from"], values["to"]
    if values["log"]:
        room = (high / low) ** 0.06
        return low / room, high * room
    return low - 0.06 * (high - low), high + 0.06 * (high - low)


def _done(facts: Facts) -> list[Facts]:
    return [one for one in facts["trials"] if one["value"] is not None]


def _best_so_far(facts: Facts, done: Sequence[Facts]) -> tuple[list[int], list[float]]:
    better = min if facts["lower_is_better"] else max
    found: list[float] = []
    for one in done:
        found.append(better([*found[-1:], one["value"]]))
    last = facts["trials"][-1]["number"]
    return [*(one["number"] for one in done), last], [*found, *found[-1:]]


def _seen(facts: Facts, done: Sequence[Facts]) -> str:
    best = facts["best"]
    later = sum(one["number"] > best for one in facts["trials"])
    if best == 0:
        return f"No trial was better than the first, the recipe as it stood ({done[0]['value']:.3f})"
    value = next(one["value"] for one in done if one["number"] == best)
    return f"Trial {best} is the best with {value:.3f}; {later} trials after it were no better"
