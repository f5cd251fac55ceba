"""What a comparison says, as plain JSON: what compare.json holds and compare.html shows.

One contender is chosen by its figure on the validation rows, and by nothing else. The figures of the test rows, their intervals and the
tests of each contender against the chosen one are reported and choose nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from luthier.evaluate.agreement import agreement
from luthier.evaluate.bootstrap import Array, percentiles
from luthier.evaluate.contenders import Contender, Ground, Measured
from luthier.evaluate.costs import COSTS
from luthier.evaluate.paired import front, holm, mcnemar, over_seeds, two_sided

Facts = dict[str, Any]

LEVEL = 0.05
"""Corrected p value below which two contenders are told apart."""


def gather(ground: Ground, contenders: Sequence[Contender], notes: Sequence[str] = ()) -> Facts:
    """The facts of a comparison, as JSON.

    Args:
        ground: what is compared on.
        contenders: in the order of the table; names are unique.
        notes: what else a reader should know.
    """
    chosen = _chosen(ground, contenders)
    reference = chosen or next(one for one in contenders if one.measured)
    drawn = {one.name: _drawn(one.measured, seed) for seed, one in enumerate(contenders) if one.measured}
    lines = [_line(ground, one, reference, drawn) for one in contenders]
    _correct(lines)
    _mark_fronts(ground, lines)
    facts = {
        "rows": len(ground.reported.rows.keys),
        "split": ground.reported.split,
        "chosen_on": _chosen_on(ground),
        "monitor": ground.monitor,
        "figures": [{"name": name, **asdict(figure)} for name, figure in ground.judge.figures.items()],
        "costs": [{"name": name, "title": kind.title, "meaning": kind.meaning} for name, kind in COSTS.items()],
        "contenders": lines,
        "chosen": chosen.name if chosen else None,
        "reference": reference.name,
        "agreement": agreement(ground, contenders, reference),
        "notes": [*notes, *(note for one in contenders for note in one.notes)],
    }
    facts |= {"title": title(facts), "verdict": verdict(facts), "warnings": warnings(facts)}
    return dict(json.loads(json.dumps(facts, ensure_ascii=False, allow_nan=False)))


def title(facts: Facts) -> str:
    """What is compared, in a line."""
    runs = sum(one["trained"] for one in facts["contenders"])
    return f"{runs} model{'' if runs == 1 else 's'} compared on {facts['rows']:,} {facts['split']} rows"


def verdict(facts: Facts) -> str:
    """Which to take and what it was chosen on, and how it does on rows that had no say in it."""
    figure, by = main_figure(facts), facts["chosen_on"]
    if facts["chosen"] is None:
        return (
            f"None is chosen: {'the runs have different' if facts['split'] != 'validation' else 'there are no'} validation rows, and test "
            f"rows are not for choosing. All are tested against {facts['reference']}, the first."
        )
    line = _of(facts, facts["chosen"])
    value = line["figures"][facts["monitor"]]
    start = (
        f"Take {line['name']}" if line["trained"] else f"None of the runs is worth its training: take {line['name']}"
    )
    ends = f" ({value['interval'][0]:.3f} to {value['interval'][1]:.3f})" if value["interval"] else ""
    told = f"{start}, the best by {figure['title']} on the {by['rows']:,} {by['split']} rows ({line['chosen_by']['value']:.3f})"
    if by["split"] == facts["split"]:
        return f"{told}. There are no other held-out rows, so what follows leans to the good side."
    reported = f"On the {facts['rows']:,} {facts['split']} rows it gets {value['value']:.3f}{ends}."
    return f"{told}; no test row had a say in it. {reported}{_alike(facts)}"


def _alike(facts: Facts) -> str:
    """Those that the test rows do not tell apart from the chosen one."""
    tests = {one["name"]: one["figures"].get(facts["monitor"], {}).get("test") for one in facts["contenders"]}
    names = [name for name, test in tests.items() if test and not test["told_apart"]]
    return f" Not told apart from it there: {', '.join(names)}." if names else ""


def main_figure(facts: Facts) -> Facts:
    """The figure by which one is chosen."""
    found: Facts = next(one for one in facts["figures"] if one["name"] == facts["monitor"])
    return found


def warnings(facts: Facts) -> list[str]:
    """What a reader should know before trusting the table."""
    told = ("failed", "is not measured")
    found = [
        f"{one['name']} {told[not one['trained']]}: {one['failed']}" for one in facts["contenders"] if one["failed"]
    ]
    return [*found, *_unproved(facts), *(doubt for one in facts["contenders"] for doubt in one["doubts"])]


def _unproved(facts: Facts) -> list[str]:
    """Opponents that the chosen one is not shown to beat."""
    found: list[str] = []
    chosen = facts["chosen"] and _of(facts, facts["chosen"])
    if not chosen or not chosen["trained"]:
        return found
    monitor, title = facts["monitor"], main_figure(facts)["title"]
    for one in facts["contenders"]:
        test = one["figures"].get(monitor, {}).get("test")
        if not one["trained"] and test and not (test["told_apart"] and test["worse"]):
            found.append(
                f"{chosen['name']} is not reliably better than {one['name']} on the {facts['split']} rows: {title} "
                f"{chosen['figures'][monitor]['value']:.3f} against {one['figures'][monitor]['value']:.3f} (p = {test['p_corrected']:.2g})."
            )
    return found


def _of(facts: Facts, name: str) -> Facts:
    found: Facts = next(one for one in facts["contenders"] if one["name"] == name)
    return found


def _chosen(ground: Ground, contenders: Sequence[Contender]) -> Contender | None:
    """The best on the validation rows; of equals the one that trains less."""
    known = [one for one in contenders if one.measured and one.measured.chosen_by]
    if not known:
        return None
    sign = 1 if ground.judge.lower_is_better(ground.monitor) else -1

    def rank(one: Contender) -> tuple[float, float]:
        assert one.measured
        parameters = one.cost.parameters
        return sign * float(np.mean(one.measured.chosen_by)), np.inf if parameters is None else parameters

    return min(known, key=rank)


def _chosen_on(ground: Ground) -> Facts | None:
    part = ground.chosen_on
    return {"split": part.split, "rows": len(part.rows.keys)} if part else None


def _drawn(one: Measured, seed: int) -> dict[str, Array]:
    """Each figure of each resample of rows and, where there are several, of seeds: (resamples,)."""
    return {name: over_seeds(values, seed) for name, values in one.resampled.items()}


def _line(ground: Ground, one: Contender, reference: Contender, drawn: dict[str, dict[str, Array]]) -> Facts:
    """One contender as JSON."""
    by = one.measured.chosen_by if one.measured else []
    return {
        "name": one.name,
        "what": one.what,
        "trained": one.trained,
        "failed": one.failed,
        "seeds": list(one.seeds),
        "folders": list(one.folders),
        "chosen_by": {"value": float(np.mean(by)), "each": by} if by else None,
        "figures": _figures(ground, one, reference, drawn) if one.measured else {},
        "cost": asdict(one.cost),
        "fronts": [],
        "doubts": list(one.doubts),
    }


def _figures(
    ground: Ground, one: Contender, reference: Contender, drawn: dict[str, dict[str, Array]]
) -> dict[str, Facts]:
    """Every figure with its interval, its spread over seeds, and the test against the reference."""
    assert one.measured
    found = {}
    for name in ground.judge.figures:
        each = [figures[name] for figures in one.measured.figures if name in figures]
        if each:
            own = drawn[one.name].get(name)
            found[name] = {
                "value": float(np.mean(each)),
                "each": each,
                "spread": float(np.std(each, ddof=1)) if len(each) > 1 else None,
                "interval": None if own is None else percentiles(own),
                "test": None if one is reference else _test(ground, name, one, reference, drawn),
            }
    return found


def _test(
    ground: Ground, name: str, one: Contender, reference: Contender, drawn: dict[str, dict[str, Array]]
) -> Facts | None:
    """Whether the figure differs from the reference's; None where it has no interval in both."""
    own, other = drawn[one.name].get(name), drawn[reference.name].get(name)
    if own is None or other is None or one.measured is None or reference.measured is None:
        return None
    differences = own - other
    if not np.isfinite(differences).any():
        return None
    difference = float(
        np.mean([each[name] for each in one.measured.figures])
        - np.mean([each[name] for each in reference.measured.figures])
    )
    exact = _exact(name, one.measured, reference.measured)
    return {
        "difference": difference,
        "interval": percentiles(differences),
        "worse": difference > 0 if ground.judge.lower_is_better(name) else difference < 0,
        "p": two_sided(differences) if exact is None else exact,
        "by": "bootstrap" if exact is None else "McNemar",
    }


def _exact(name: str, one: Measured, other: Measured) -> float | None:
    """The exact p value of a share of right rows, of which every row is in one training of each; None for other figures."""
    sides = [side.right[0].get(name) for side in (one, other) if len(side.right) == 1]
    known = [side for side in sides if side is not None]
    return mcnemar(*known) if len(known) == 2 else None


def _correct(lines: Sequence[Facts]) -> None:
    """Holm's correction of all tests of a figure, of which there is one for each contender but the reference."""
    names = dict.fromkeys(name for line in lines for name in line["figures"])
    for name in names:
        tests = [line["figures"][name]["test"] for line in lines if line["figures"].get(name, {}).get("test")]
        for test, corrected in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test |= {"p_corrected": corrected, "told_apart": corrected < LEVEL}


def _mark_fronts(ground: Ground, lines: Sequence[Facts]) -> None:
    """Which are on the Pareto front of the validation figure over each cost."""
    quality = [line["chosen_by"]["value"] if line["chosen_by"] else None for line in lines]
    for name in COSTS:
        marks = front(quality, [line["cost"][name] for line in lines], ground.judge.lower_is_better(ground.monitor))
        for line, mark in zip(lines, marks, strict=True):
            line["fronts"] += [name] if mark else []
