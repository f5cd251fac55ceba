"""`luthier check --models`: which of several base models suits the rows; results are printed on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luthier.errors import ModelError, RecipeError
from luthier.show import Console, print_table

if TYPE_CHECKING:
    from luthier.advise.transfer import Sample, Suited

LIMITS = (
    "These scores are of the models as they stand, read by a straight line: fine-tuning changes vectors, most where many weights train "
    "on many rows, and may change the order of models that are near each other. Speed, licence and languages are not in them."
)


def check_models(path: Path, overrides: Sequence[str], models: str, beside: Sequence[str] = ()) -> None:
    """`luthier check RECIPE --models A,B`.

    Args:
        path: the recipe.
        overrides: laid over it.
        models: names, comma-separated.
        beside: other options that were given, which ask something else.

    Raises:
        RecipeError: another option is given, no model is named, or the task has no answer to a whole row.
        ModelError: none of them can read the rows.
    """
    from luthier.advise.ranked import ranked, short_names
    from luthier.advise.transfer import Suited, examine, sample
    from luthier.prepare import prepare
    from luthier.recipe.reading import read

    if beside:
        raise RecipeError(
            f"--models stands alone: leave out {' and '.join(beside)}, or call luthier check once more for it."
        )
    names = list(dict.fromkeys(name.strip() for name in models.split(",") if name.strip()))
    if not names:
        raise RecipeError(
            "--models wants names of models, as `model` in a recipe has them: --models FOLDER,demo/minilm-en."
        )
    recipe, console = read(path, overrides), Console()
    rows = sample(prepare(recipe, console), recipe)
    examined = [examine(name, rows, console) for name in names]
    suited = ranked([one for one in examined if isinstance(one, Suited)])
    short = short_names(names)
    if suited:
        _print(suited, rows, short)
    for one in examined:
        if not isinstance(one, Suited):
            print(f"{one.name}: {one.why}")
    if not suited:
        raise ModelError("None of these models can read the rows; why is said above.")
    print(*_told(suited, rows, short), LIMITS, sep="\n")


def _print(suited: Sequence[Suited], rows: Sample, short: dict[str, str]) -> None:
    """A line for each model, and no column that says nothing."""
    judge = rows.target.judge
    columns = {
        f"probe, {judge.figures[judge.monitor].title}": [_figure(one) for one in suited],
        "LogME": [f"{one.logme:.3f}" for one in suited],
        "H-score": ["" if one.h_score is None else f"{one.h_score:.3f}" for one in suited],
        "weights": [f"{one.weights / 1e6:.3g} M" for one in suited],
        "unknown": ["" if one.unknown is None else f"{one.unknown:.1%}" for one in suited],
        "seconds": [f"{one.seconds:.0f}{', kept' if one.kept else ''}" for one in suited],
    }
    shown = {name: cells for name, cells in columns.items() if any(cells)}
    lines = [[short[one.name], *cells] for one, *cells in zip(suited, *shown.values(), strict=True)]
    print_table(f"Base models on {len(rows.table.labels):,} training rows", ["model", *shown], lines)
    if rows.truth.questions == ():
        print("The H-score is of classes, and these labels are numbers.")


def _figure(one: Suited) -> str:
    low, high = one.probed.interval
    return f"{one.probed.value:.3f} ({low:.2f} to {high:.2f})"


def _told(suited: Sequence[Suited], rows: Sample, short: dict[str, str]) -> list[str]:
    """Which is suited, in words."""
    from luthier.advise.ranked import ALPHA, by_chance, logme_gap, probe_gap

    best, name = suited[0], short[suited[0].name]
    p_value = by_chance(best)
    if p_value > ALPHA:
        return [
            f"None is suited as it stands: the answers of {name} may as well be dealt out by chance (p = {p_value:.2g})."
        ]
    if len(suited) == 1:
        return [
            f"{name} tells these rows apart better than chance (p = {p_value:.2g}); name other models too to see what is usual."
        ]
    gaps = {one.name: probe_gap(best, one) for one in suited[1:]}
    near = [one for one in suited[1:] if not gaps[one.name].sure]
    if not near:
        told = [
            f"{name} is suited best: {gaps[suited[1].name]} beside {short[suited[1].name]}, more than noise of the rows."
        ]
    else:
        equal = "; ".join(f"{short[one.name]} {gaps[one.name]}" for one in near)
        small = short[min([best, *near], key=lambda one: one.weights).name]
        told = [f"{name} is ahead, but by no more than noise of {equal}: the smallest of them is {small}."]
    first = max(suited, key=lambda one: one.logme)
    if first is not best:
        gap = logme_gap(first, best, rows)
        told.append(f"LogME puts {short[first.name]} first, {gap}{'' if gap.sure else ': no more than noise'}.")
    return told
