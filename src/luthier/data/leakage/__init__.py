"""The leakage certificate: what the splits share that they should not, for every pair of them, however they came to be.

| check | question | mended by |
|---|---|---|
| exact, near | do rows of both have the same text, or nearly? | removing the earlier split's rows |
| image | of rows of an image and a text: do both have the same image? | the same |
| passage | of questions about texts: do both have one about the same text? | the same |
| id | do rows of both have the same id? | the same |
| group | do both have rows of one author, topic or document? | the same |
| time | is a row that trains later than one that is scored? | the same |
| giveaway | does a token, a pattern or a length alone tell the label? | a person: take it out of the texts |

Kapoor & Narayanan 2023, "Leakage and the reproducibility crisis in machine-learning-based science", names these among eight kinds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from luthier.data.leakage import giveaway, pairs
from luthier.data.leakage.certificate import Certificate, Check, Mended, Place, Side, fix, refuse

__all__ = ["Certificate", "Check", "Mended", "Place", "Side", "certify", "fix", "refuse"]

UNCHECKED: Mapping[str, str] = {
    "exact": "Exact duplicates were not looked for.",
    "near": "Near duplicates were not looked for.",
    "id": "Ids were not compared: no column of ids is known.",
    "group": "Groups were not compared: no column of groups is named.",
}
"""What is said where the values for a check are not given."""


def certify(
    splits: Mapping[str, Side],
    shared: Mapping[str, Sequence[Any] | np.ndarray],
    moments: np.ndarray | None = None,
    skipped: Sequence[str] = (),
    giveaways: bool = True,
) -> Certificate:
    """Check every pair of splits, and what gives labels away.

    Args:
        splits: train, validation, test, those that there are, in this order: of two the first leaks into the second.
        shared: for each kind of `pairs.KINDS` that is to be checked one value per row of all splits, one split after the other;
            group numbers (negative: no group) for `exact` and `near`.
        moments: of all rows, from `luthier.data.dates.moments`; None leaves time out.
        skipped: sentences about checks that the caller had to leave out.
        giveaways: look for what gives labels away in the texts; not where they only say where the rows lie.

    Raises:
        ValueError: a kind is unknown, or values are not as many as the rows.
    """
    sizes = {name: len(side.labels) for name, side in splits.items()}
    ends = np.cumsum([0, *sizes.values()])
    spans = {name: slice(ends[place], ends[place + 1]) for place, name in enumerate(sizes)}
    _check_sizes(shared, moments, int(ends[-1]))
    numbered = {kind: pairs.codes(shared[kind]) for kind in pairs.KINDS if kind in shared}
    checks: list[Check] = []
    for pair in combinations(splits, 2):
        sides = {name: splits[name] for name in pair}
        checks += _pair(sides, {kind: [codes[spans[name]] for name in pair] for kind, codes in numbered.items()})
        if moments is not None:
            checks.append(pairs.later(moments[spans[pair[0]]], moments[spans[pair[1]]], sides))
    untold = [sentence for kind, sentence in UNCHECKED.items() if kind not in shared]
    untold += ["The order of time was not checked: no column of dates is named."] if moments is None else []
    told = giveaway.find(splits) if giveaways else ()
    return Certificate((*checks, *told), (*skipped, *untold))


def _check_sizes(shared: Mapping[str, Sequence[Any] | np.ndarray], moments: np.ndarray | None, rows: int) -> None:
    given = {**shared} | ({} if moments is None else {"time": moments})
    for kind, values in given.items():
        if kind not in {*pairs.KINDS, "time"}:
            raise ValueError(f"There is no leakage check {kind!r}; known: {', '.join(pairs.KINDS)}.")
        if len(values) != rows:
            raise ValueError(f"The leakage check {kind!r} got {len(values):,} values for {rows:,} rows.")


def _pair(sides: Mapping[str, Side], codes: Mapping[str, list[np.ndarray]]) -> list[Check]:
    checks: list[Check] = []
    known = np.zeros(len(list(sides.values())[1].labels), dtype=bool)
    for kind, (values, others) in codes.items():
        text = pairs.KINDS[kind].text
        check, hit = pairs.shared(kind, values, others, sides, known & text)
        known |= hit & text
        checks.append(check)
    return checks
