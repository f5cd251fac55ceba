"""The report: facts gathered from the files of a run folder, and a page rendered from the facts. Nothing is written here.

A section is one row of `SECTIONS`: its facts (a function in facts.py, or `Judge.sections` of the task) and its template
(templates/NAME.html). A section whose facts are None is left out, so a task without classes has a report without a confusion
matrix.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from luthier.evaluate import facts as told
from luthier.evaluate import plan, plots, slice_plots, slices
from luthier.evaluate.mistakes import mistakes
from luthier.evaluate.records import Records, read

TABLE_CLASSES = 15
"""Classes up to which the confusion matrix is a table of numbers; more are drawn."""


def large_confusion(facts: Mapping[str, Any]) -> str | None:
    """The confusion matrix drawn, where a table of numbers would not fit."""
    return None if facts["multilabel"] or len(facts["labels"]) <= TABLE_CLASSES else plots.confusion(facts)


@dataclass(frozen=True)
class Section:
    """One section of the page."""

    name: str
    """Key in report.json and name of the template."""
    heading: str
    gather: Callable[[Records], Any]
    plot: Callable[[Any], str | None] | None = None
    """Draws the facts as SVG, where that helps."""


SECTIONS = (
    Section("diagnosis", "What the curves say", told.diagnosis),
    Section("stages", "Stages", plan.stages),
    Section("curves", "Training curves", told.curves, plot=plots.curves),
    Section("data", "Data", told.data),
    Section("numbers", "Predicted against true", told.judged("numbers"), plot=plots.scatter),
    Section("answers", "Which answers are mixed up", told.judged("answers"), plot=large_confusion),
    Section("classes", "Each label", told.judged("classes")),
    Section("calibration", "How far to trust the confidence", told.judged("calibration"), plot=plots.reliability),
    Section("calibrated", "What calibration changed", told.calibrated),
    Section("slices", "Where it is weak", slices.section, plot=slice_plots.slices),
    Section("mistakes", "The worst mistakes", mistakes),
    Section("recipe", "Recipe", told.recipe),
    Section("environment", "Versions and hardware", told.environment),
)


def gather(folder: Path) -> dict[str, Any]:
    """The facts of a run folder, as JSON: what report.json holds and `render` shows.

    Raises:
        RunError: the folder is not a run, or its files do not belong together.
    """
    records = read(Path(folder))
    scores = told.scores(records)
    facts = {"run": told.run(records), "scores": scores, "warnings": told.warnings(records, scores)}
    facts |= {section.name: section.gather(records) for section in SECTIONS}
    known = {name: value for name, value in facts.items() if value is not None}
    return dict(json.loads(json.dumps({"title": title(known), **known}, ensure_ascii=False, allow_nan=False)))


def render(facts: Mapping[str, Any]) -> str:
    """One self-contained page: no network, no script, plots inline."""
    pages = environment()
    sections = [
        {"name": section.name, "heading": section.heading, "body": Markup(_body(pages, section, facts))}
        for section in SECTIONS
        if section.name in facts
    ]
    return pages.get_template("report.html").render(facts=facts, sections=sections)


def title(facts: Mapping[str, Any]) -> str:
    """What the run is, in a line."""
    run = facts["run"]
    target = run["target"] if isinstance(run["target"], str) else "labels"
    return f"{run['name']}: {target} from {' and '.join(run['input'])}, {Path(run['model']).name} fine-tuned ({run['names']})"


def _body(pages: Environment, section: Section, facts: Mapping[str, Any]) -> str:
    plot = section.plot(facts[section.name]) if section.plot else None
    return pages.get_template(f"{section.name}.html").render(facts=facts[section.name], plot=Markup(plot or ""))


def environment() -> Environment:
    """Where templates come from, and how numbers are written in them."""
    pages = Environment(
        loader=PackageLoader("luthier.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {"share": _share, "duration": duration, "count": _count}
    return pages


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _share(part: float, whole: float) -> str:
    share = 100 * part / whole if whole else 0.0
    return f"{share:.2g} %" if share < 10 else f"{share:.0f} %"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
