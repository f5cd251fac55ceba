"""The page of a comparison: one file, no network, no script; every plot has a table beside it with the same numbers."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from luthier.evaluate import compare_plots
from luthier.evaluate.compare import main_figure
from luthier.evaluate.costs import COSTS
from luthier.evaluate.report import environment


def render(facts: dict[str, Any]) -> str:
    """The facts of `compare.gather` as HTML."""
    pages = environment()
    pages.filters |= {"cost": lambda value, name: "–" if value is None else COSTS[name].shown(value), "p": said}
    return pages.get_template("compare.html").render(
        facts=facts,
        main=main_figure(facts),
        scores=Markup(compare_plots.scores(facts)),
        fronts=Markup(compare_plots.fronts(facts) or ""),
    )


def said(test: dict[str, Any] | None) -> str:
    """What a test against the reference says."""
    if test is None:
        return "–"
    sign = "worse" if test["worse"] else "better"
    shown = "< 0.001" if test["p_corrected"] < 0.001 else f"{test['p_corrected']:.2g}"
    return f"{sign if test['told_apart'] else 'not told apart'}, p {shown}"
