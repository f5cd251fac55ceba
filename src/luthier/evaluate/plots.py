"""Plots as SVG text to stand inside a page: deterministic, readable in grey, their words left to the page's fonts."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "luthier",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555",
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
DARK, MIDDLE, LIGHT = "#0b3c5d", "#c0561a", "#9db8cc"
"""Far apart in lightness, so that they stay apart in grey; lines differ in marker and dash as well."""
PANELS = 6
"""Scatter plots drawn beside each other; of more outputs the first."""
NAMED = 40
"""Classes up to which the confusion plot names each."""


def curves(facts: Mapping[str, Any]) -> str:
    """Losses, the monitored metric and the learning rate over the steps, side by side."""
    with page_style():
        figure = Figure(figsize=(10, 3.3))
        losses, watched, rates = figure.subplots(1, 3)
        _losses(losses, facts)
        _monitored(watched, facts)
        rates.plot(*_columns(facts["lr"]), color=DARK)
        rates.set_title(f"Learning rate: at most {max((rate for _, rate in facts['lr']), default=0):.2g}")
        rates.yaxis.set_major_formatter("{x:.3g}")
        for axes in (losses, watched, rates):
            axes.set_xlabel("step")
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        figure.subplots_adjust(left=0.05, right=0.985, bottom=0.17, top=0.9, wspace=0.34)
        return as_svg(figure, "curves", _told(facts))


def reliability(facts: Mapping[str, Any]) -> str:
    """Accuracy over confidence, with the share of rows in each bin below."""
    bins = facts["bins"]
    middle = [(one["low"] + one["high"]) / 2 for one in bins]
    width = [one["high"] - one["low"] for one in bins]
    total = sum(one["rows"] for one in bins)
    with page_style():
        figure = Figure(figsize=(5, 5))
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        above.bar(middle, [one["accuracy"] for one in bins], width=width, color=LIGHT, edgecolor=DARK, label="accuracy")
        above.plot([0, 1], [0, 1], color="black", linestyle="--", label="perfectly calibrated")
        above.plot(
            [one["confidence"] for one in bins],
            [one["accuracy"] for one in bins],
            "o",
            color=DARK,
            label="mean of a bin",
        )
        above.set(title=_sureness(bins, total), ylabel="share that is right", ylim=(0, 1.02), xlim=(0, 1))
        above.legend(loc="upper left")
        below.bar(middle, [one["rows"] / total for one in bins], width=width, color=LIGHT, edgecolor=DARK)
        below.set(xlabel="confidence", ylabel="of answers")
        below.yaxis.set_major_formatter("{x:.0%}")
        figure.subplots_adjust(left=0.13, right=0.97, bottom=0.1, top=0.94, hspace=0.12)
        return as_svg(figure, "reliability", f"Reliability diagram; expected calibration error {facts['error']:.3f}.")


def scatter(facts: Sequence[Mapping[str, Any]]) -> str:
    """Predicted over true numbers, a panel an output; the dashed line is where both are the same."""
    shown = facts[:PANELS]
    with page_style():
        figure = Figure(figsize=(1 + 3.2 * len(shown), 3.8))
        for axes, one in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
            points = np.asarray(one["points"])
            ends = points.min(), points.max()
            axes.plot(ends, ends, color="black", linestyle="--", linewidth=1)
            axes.plot(*points.T, "o", color=DARK, alpha=0.35, markersize=4, markeredgewidth=0)
            axes.set(title=one["name"] if len(facts) > 1 else "", xlabel="true", ylabel="predicted", aspect="equal")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        figure.tight_layout()
        fit = ", ".join(f"{one['name']} R2 {one['figures']['r2']:.3f}" for one in shown if "r2" in one["figures"])
        return as_svg(figure, "numbers", f"Predicted against true numbers; {fit or 'R2 is not defined'}.")


def confusion(facts: Mapping[str, Any]) -> str:
    """Share of each true class (row) that got each answer (column), dark for many; the diagonal is right."""
    labels = facts["labels"]
    table = np.asarray(facts["counts"], dtype=float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    names = [name if len(name) <= 20 else name[:19] + "…" for name in labels]
    margin = 0.3 + max(map(_inches, names)) if len(labels) <= NAMED else 0.6
    side = min(8.0, max(3.0, 0.35 * len(labels)))
    with page_style():
        width, height = margin + side + 0.1, margin + side + 0.3
        figure = Figure(figsize=(width, height))
        axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
        axes.imshow(shares, cmap="Greys", norm=PowerNorm(0.5, vmin=0, vmax=1), aspect="auto")
        axes.grid(visible=False)
        axes.set(title=f"{_right(table):.0%} right, on the diagonal", xlabel="answer", ylabel="truth")
        if len(labels) <= NAMED:
            axes.set_xticks(range(len(names)), names, rotation=90, rotation_mode="anchor", ha="right", va="center")
            axes.set_yticks(range(len(names)), names)
        return as_svg(
            figure, "confusion", f"Confusion matrix of {len(labels)} classes; share right in all: {_right(table):.3f}."
        )


def _sureness(bins: Sequence[Mapping[str, Any]], total: int) -> str:
    """Confidence beside accuracy over all answers."""
    sure, right = (sum(one[key] * one["rows"] for one in bins) / total for key in ("confidence", "accuracy"))
    return f"On average {sure:.0%} sure and {right:.0%} right"


def _losses(axes: Axes, facts: Mapping[str, Any]) -> None:
    axes.plot(*_columns(facts["train"]), color=LIGHT, linewidth=0.8, label="training, each step")
    axes.plot(*_columns(facts["smooth"]), color=MIDDLE, linestyle="--", linewidth=1.6, label="training, smoothed")
    if facts["validation"]:
        axes.plot(*_columns(facts["validation"]), color=DARK, marker="o", markersize=4, label="validation")
        lowest = min(facts["validation"], key=lambda point: point[1])
        axes.set_title(f"Loss: lowest on validation at step {lowest[0]:.0f}")
    else:
        axes.set_title("Loss while training")
    _mark(axes, facts)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)


def _monitored(axes: Axes, facts: Mapping[str, Any]) -> None:
    if not facts["monitored"]:
        axes.set_title(f"Validation {facts['monitor']}")
        axes.text(0.5, 0.5, "not evaluated", ha="center", transform=axes.transAxes)
        return
    axes.set_title(f"Validation {facts['monitor']}: best {facts['best'][1]:.3f}")
    axes.plot(*_columns(facts["monitored"]), color=DARK, marker="o", markersize=4)
    axes.plot(*facts["best"], "D", color=MIDDLE, markersize=8, label=f"best, step {facts['best'][0]:.0f}")
    if facts["score"]:
        band = f"95 % interval of {facts['score']['value']:.3f}"
        axes.axhspan(facts["score"]["low"], facts["score"]["high"], color=LIGHT, alpha=0.35, linewidth=0, label=band)
    _mark(axes, facts)
    axes.margins(y=0.2)
    axes.legend(loc="upper right" if facts["lower_is_better"] else "lower right", fontsize=8)


def _mark(axes: Axes, facts: Mapping[str, Any]) -> None:
    """A line at the best evaluation."""
    if facts["best"]:
        axes.axvline(facts["best"][0], color="#555", linestyle=":", linewidth=1)


def _told(facts: Mapping[str, Any]) -> str:
    """The curves in words, for those who do not see them."""
    train = facts["smooth"]
    told = f"Training loss from {train[0][1]:.3f} to {train[-1][1]:.3f} over {train[-1][0]:.0f} steps."
    if facts["validation"]:
        lowest = min(facts["validation"], key=lambda point: point[1])
        told += f" Validation loss lowest, {lowest[1]:.3f}, at step {lowest[0]:.0f} and {facts['validation'][-1][1]:.3f} at the end."
    if facts["best"]:
        told += f" Best validation {facts['monitor']} {facts['best'][1]:.3f} at step {facts['best'][0]:.0f}."
    return told


def _columns(points: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    table = np.asarray(points, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _right(table: Any) -> float:
    return float(np.trace(table) / max(table.sum(), 1))


def _inches(text: str) -> float:
    """Width at 10 points: Chinese characters are as wide as high, others about half; no font need be at hand."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return (wide + 0.6 * (len(text) - wide)) * 10 / 72


@contextmanager
def page_style() -> Iterator[None]:
    """Our settings. Glyphs that matplotlib's own font lacks are drawn by the page's, so it need not warn of them."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def as_svg(figure: Figure, name: str, told: str) -> str:
    """The figure as an element: named for screen readers, ids unique in the page, fonts and size the page's own."""
    text = StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    drawing = text.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    for pattern, replacement in (
        (r"<metadata>.*?</metadata>|<style.*?</style>", ""),
        (r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-"),
        (r"font-family: [^;\"]+;? ?", ""),
    ):
        drawing = re.sub(pattern, replacement, drawing, flags=re.DOTALL)
    head, body = drawing.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    style = f"max-width: {figure.get_figwidth():.1f}in; stroke-linejoin: round; stroke-linecap: butt"
    return f'{head} role="img" aria-label="{escape(told)}" style="{style}">{body.strip()}'
