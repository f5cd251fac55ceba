"""The plots of a comparison: who is how good, and what it costs. Contenders are named by the numbers that the tables give them too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor, log10
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from luthier.evaluate.costs import COSTS
from luthier.evaluate.plots import DARK, LIGHT, MIDDLE, as_svg, page_style

Facts = dict[str, Any]

LONG = 28
"""Letters of a name that stand beside a plot."""
SPREAD = 20
"""How many times the least cost is the largest, where powers of ten show more."""
TICKS = 4
BESIDE = 3
"""Plots of costs beside one another."""


def scores(facts: Facts) -> str:
    """The figure of each contender with its interval, a line each, the chosen one filled."""
    name = facts["monitor"]
    shown = [(number, one) for number, one in enumerate(facts["contenders"], start=1) if name in one["figures"]]
    with page_style():
        figure = Figure(figsize=(8, 1.1 + 0.34 * len(shown)))
        axes = figure.add_axes((0.34, 0.55 / figure.get_figheight(), 0.63, 1 - 1.0 / figure.get_figheight()))
        for place, (_, one) in enumerate(shown):
            _line(axes, place, one, name, one["name"] == facts["reference"])
        axes.set_yticks(range(len(shown)), [f"{number}  {_short(one['name'])}" for number, one in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        title, told = _seen(facts, [one for _, one in shown])
        axes.set_title(title, x=-0.5)
        axes.set_xlabel(f"{_main(facts)['title']} on the {facts['split']} rows, 95 % interval")
        return as_svg(figure, "scores", told)


def fronts(facts: Facts) -> str | None:
    """Quality on the validation rows over each cost, the Pareto front joined; None where there is nothing to draw."""
    known = [(number, one) for number, one in enumerate(facts["contenders"], start=1) if one["chosen_by"]]
    drawn = [cost for cost in COSTS if sum(bool(one["cost"][cost]) for _, one in known) > 1]
    if not drawn:
        return None
    with page_style():
        rows = ceil(len(drawn) / BESIDE)
        figure = Figure(figsize=(11, 2.9 * rows))
        places = figure.subplots(rows, BESIDE, squeeze=False).ravel()
        for axes, cost in zip(places, drawn, strict=False):
            _front(axes, facts, cost, known)
        for axes in places[len(drawn) :]:
            axes.set_axis_off()
        figure.tight_layout(h_pad=2)
        told = [f"{COSTS[cost].title}: {', '.join(_members(known, cost)) or 'none'}." for cost in drawn]
        return as_svg(figure, "fronts", f"On the Pareto front, by cost. {' '.join(told)}")


def _line(axes: Axes, place: int, one: Facts, name: str, reference: bool) -> None:
    value = one["figures"][name]
    colour = DARK if one["trained"] else MIDDLE
    if value["interval"]:
        axes.plot(
            value["interval"],
            [place, place],
            color=colour,
            linewidth=2,
            linestyle="-" if one["trained"] else (0, (2, 1.5)),
        )
    marker = "D" if reference else ("o" if one["trained"] else "s")
    axes.plot(
        value["value"], place, marker, color=colour, markersize=8, markerfacecolor=colour if reference else "white"
    )


def _front(axes: Axes, facts: Facts, cost: str, known: Sequence[tuple[int, Facts]]) -> None:
    points = [(number, one) for number, one in known if one["cost"][cost] is not None]
    members = sorted((one["cost"][cost], one["chosen_by"]["value"]) for _, one in points if cost in one["fronts"])
    _scale(axes, [one["cost"][cost] for _, one in points], COSTS[cost].shown)
    axes.step(*zip(*members, strict=True), where="post", color=LIGHT, linewidth=2, zorder=1)
    for number, one in points:
        at = one["cost"][cost], one["chosen_by"]["value"]
        marker, colour = ("o", DARK) if one["trained"] else ("s", MIDDLE)
        axes.plot(*at, marker, color=colour, markerfacecolor=colour if cost in one["fronts"] else "white", zorder=2)
        axes.annotate(str(number), at, xytext=(6, 4), textcoords="offset points")
    axes.margins(y=0.18)
    axes.set_title(f"{COSTS[cost].title}: {len(members)} {'is' if len(members) == 1 else 'are'} on the front")
    axes.set_ylabel(f"{_main(facts)['title']}, {facts['chosen_on']['split']}")


def _scale(axes: Axes, costs: Sequence[float], shown: Callable[[float], str]) -> None:
    """A cost from left to right: by powers of ten where it is nothing or differs greatly, with few ticks."""
    least, most = min((value for value in costs if value > 0), default=1.0), max(costs)
    if min(costs) > 0 and most < SPREAD * least:
        room = 0.15 * (most - least) or 0.1 * most
        axes.set_xlim(least - room, most + room)
        ticks = [least, most] if most > least else [most]
    else:
        powers = range(ceil(log10(least)), floor(log10(max(most, least))) + 1)
        inner = [10.0**power for power in powers]
        axes.set_xscale("symlog", linthresh=least)
        axes.set_xlim(left=0, right=3 * max(most, least))
        ticks = [0.0, *(inner[:: 1 + len(inner) // TICKS] or [least])]
    axes.set_xticks(ticks, [shown(tick) for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _members(known: Sequence[tuple[int, Facts]], cost: str) -> list[str]:
    return [f"{number} {one['name']}" for number, one in known if cost in one["fronts"]]


def _seen(facts: Facts, shown: Sequence[Facts]) -> tuple[str, str]:
    """What the plot of scores shows: as its title, and whole for those who do not see it."""
    tests = [one["figures"][facts["monitor"]]["test"] for one in shown]
    apart = sum(bool(test and test["told_apart"]) for test in tests)
    others = sum(test is not None for test in tests)
    title = f"{apart} of {others} are told apart from {_short(facts['reference'])} (filled)"
    values = ", ".join(f"{one['name']} {one['figures'][facts['monitor']]['value']:.3f}" for one in shown)
    return title, f"{_main(facts)['title']} of each with its 95 % interval: {values}. {title}."


def _main(facts: Facts) -> Facts:
    found: Facts = next(one for one in facts["figures"] if one["name"] == facts["monitor"])
    return found


def _short(name: str) -> str:
    return name if len(name) <= LONG else f"{name[: LONG - 1]}…"
