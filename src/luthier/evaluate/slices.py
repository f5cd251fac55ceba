"""Where the model is weak: groups of rows, by column, length and language, that are answered worse than the rest.

Every group of enough rows is looked at, so some look bad by chance. Each is tested against all other rows, and the p values are
corrected for the number of looks (Holm 1979): among groups that are all alike, one table in twenty shows any.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from luthier.errors import DataError, RunError
from luthier.evaluate.bootstrap import Array, draw, percentiles
from luthier.evaluate.judge import Errors
from luthier.evaluate.paired import holm
from luthier.evaluate.records import COLUMNS, Records
from luthier.registry import closest

ENOUGH = 30
"""Rows that a slice needs, and the rest as well."""
FEW = 6
"""Different numbers up to which each is a slice; more are cut at their quartiles."""
PARTS = 4
"""Parts of about the same number of rows into which numbers and times are cut."""
LISTED = 10
"""Slices that the report shows."""
LEVEL = 0.05
"""Corrected p value below which a slice is worse than the rest by more than chance."""


@dataclass(frozen=True)
class Slice:
    """Rows that have something in common."""

    column: str
    value: str
    """What they have there, for people."""
    rows: Array
    """(rows,) bool."""


def cut(name: str, values: pd.Series) -> Iterator[Slice]:
    """The slices of a column that have enough rows, and leave enough; rows without a value are a slice of their own.

    Args:
        name: of the column.
        values: of the rows, in their order.
    """
    for value, rows in _parts(values):
        if min(rows.sum(), (~rows).sum()) >= ENOUGH:
            yield Slice(name, value, rows)


def _parts(values: pd.Series) -> Iterator[tuple[str, Array]]:
    missing = values.isna().to_numpy()
    yield "(empty)", missing
    known = values[~missing]
    ordered = not pd.api.types.is_bool_dtype(known) and (
        pd.api.types.is_numeric_dtype(known) or pd.api.types.is_datetime64_any_dtype(known)
    )
    if ordered and known.nunique() > FEW:
        places = pd.qcut(known, PARTS, duplicates="drop", labels=False)
        groups = {place: known[places == place] for place in sorted(places.unique())}
        for part in groups.values():
            yield f"{_said(part.min())} to {_said(part.max())}", values.index.isin(part.index)
    else:
        for value in sorted(known.unique()):
            yield _said(value), (values == value).to_numpy(dtype=bool, na_value=False)


def _said(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.4g}" if abs(float(value)) < 1000 else f"{value:.0f}"
    return str(value).removesuffix(" 00:00:00")


def p_worse(errors: Array, rows: Array, graded: bool) -> float:
    """One-sided p value of the rows being no worse than the rest.

    Args:
        errors: of all rows, (rows,); 1 for wrong and 0 for right where they are `graded`.
        rows: (rows,) bool.
        graded: takes the exact test of Fisher (1935); sizes of errors take the ranks of Mann and Whitney (1947).
    """
    from scipy.stats import hypergeom, mannwhitneyu

    if graded:
        return float(hypergeom.sf(errors[rows].sum() - 1, len(errors), errors.sum(), rows.sum()))
    return float(mannwhitneyu(errors[rows], errors[~rows], alternative="greater").pvalue)


def differences(errors: Array, rows: Array, seed: int) -> Array:
    """Mean error of some rows less that of the rest on each of the resamples of `bootstrap.draw`.

    Args:
        errors: (rows,).
        rows: the slices, (rows, slices) of 0 and 1.
        seed: of the resamples.

    Returns:
        (resamples, slices); NaN where a resample has no row of one or of the other.
    """
    inside = rows.astype(np.float64)
    sides = [np.concatenate([one, errors[:, None] * one], axis=1) for one in (inside, 1 - inside)]
    blocks = [_means(weights, sides) for weights in draw(len(errors), seed)]
    return np.concatenate(blocks)


def _means(weights: Array, sides: Sequence[Array]) -> Array:
    counts, sums = zip(*(np.split(weights @ side, 2, axis=1) for side in sides), strict=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(sums[0] / counts[0] - sums[1] / counts[1])


def weigh(errors: Errors, slices: Sequence[Slice], seed: int) -> list[dict[str, Any]]:
    """Each slice against the rest, surest first.

    Returns:
        For each its `place` among the slices given, `column`, `value`, `rows`, `error` and `rest` (mean errors; of graded ones the
        shares that are wrong), their `difference` with its bootstrap `interval`, and `p`, corrected for all slices.
    """
    if not slices:
        return []
    sizes = (errors.sizes > 0).astype(np.float64) if errors.graded else errors.sizes
    masks = np.stack([one.rows for one in slices], axis=1)
    drawn = differences(sizes, masks, seed)
    tests = [p_worse(sizes, one.rows, errors.graded) for one in slices]
    found = [
        {
            "place": place,
            "column": one.column,
            "value": one.value,
            "rows": int(one.rows.sum()),
            "error": float(sizes[one.rows].mean()),
            "rest": float(sizes[~one.rows].mean()),
            "difference": float(sizes[one.rows].mean() - sizes[~one.rows].mean()),
            "interval": list(percentiles(drawn[:, place])),
            "p": p,
        }
        for place, (one, p) in enumerate(zip(slices, holm(tests), strict=True))
    ]
    return sorted(found, key=lambda one: (tests[one["place"]], -one["difference"]))


def slices_of(records: Records) -> list[Slice]:
    """All slices of the scored rows; none where the run has not kept their columns."""
    columns = records.columns
    return [] if columns is None else [one for name in columns for one in cut(str(name), columns[name])]


def section(records: Records) -> dict[str, Any] | None:
    """Facts of the report: the slices that are worse than the rest, first those that are so by more than chance."""
    slices = slices_of(records)
    if records.scored is None or not slices:
        return None
    told = _told(records, slices)
    worse = [one for one in told if one["difference"] > 0]
    return _facts(records) | {
        "looked_at": len(slices),
        "columns": list(dict.fromkeys(one.column for one in slices)),
        "sure": sum(one["p"] < LEVEL for one in worse),
        "shown": [one | {"figures": _figures(records, slices[one["place"]])} for one in worse[:LISTED]],
    }


def by_column(records: Records, column: str) -> dict[str, Any]:
    """The same of one column, in the order of its values: all its slices with every figure, corrected for all slices of the run.

    Args:
        records: of the run.
        column: as the data have it, or `length` or `language`.

    Raises:
        RunError: the run has no scored rows, or has not kept their columns.
        DataError: there is no such column, or no value of it has enough rows.
    """
    columns = records.columns
    if records.scored is None or columns is None:
        raise RunError(
            f"{records.folder} has no {COLUMNS}, so its rows cannot be grouped: it has no held-out rows, or an older luthier made it. "
            "Train it anew with rows to test on."
        )
    names = [str(name) for name in columns]
    name = next((one for one in names if column in (one, one.partition(" (")[0])), None)
    if name is None:
        raise DataError(
            f"There is no column {column!r} to group the rows by; {closest(column, names)} Kept are numbers, times, and texts of few "
            "different values."
        )
    slices = slices_of(records)
    found = sorted((one for one in _told(records, slices) if one["column"] == name), key=lambda one: one["place"])
    if not found:
        raise DataError(
            f"No value of {name!r} has {ENOUGH} rows and leaves {ENOUGH}, which is too few to say anything of."
        )
    shown = [one | {"figures": _figures(records, slices[one["place"]])} for one in found]
    return _facts(records) | {"looked_at": len(slices), "column": name, "shown": shown}


def _told(records: Records, slices: Sequence[Slice]) -> list[dict[str, Any]]:
    assert records.scored is not None
    return weigh(records.target.judge.errors(*records.scored), slices, records.recipe.get("seed") or 0)


def _figures(records: Records, one: Slice) -> dict[str, float]:
    assert records.scored is not None
    return records.target.judge.of_part(*records.scored, np.flatnonzero(one.rows))


def _facts(records: Records) -> dict[str, Any]:
    """What the numbers of slices mean."""
    assert records.scored is not None
    errors, judge = records.target.judge.errors(*records.scored), records.target.judge
    return {
        "error": "Wrong" if errors.graded else errors.heading,
        "graded": errors.graded,
        "enough": ENOUGH,
        "level": LEVEL,
        "monitor": records.monitor,
        "title": judge.figures[records.monitor].title if records.monitor in judge.figures else "",
    }
