"""Rung 0: how well a straight line through the frozen vectors of each base model tells training rows apart.

No validation row is looked at, so that the choice of the base model does not wear out the rows of the later choices.
"""

from __future__ import annotations

from collections.abc import Callable

from luthier.advise.linear_probe import probe
from luthier.advise.transfer import ROWS
from luthier.auto.gain import Scale
from luthier.auto.ledger import Probed, kept, short
from luthier.build import Met
from luthier.embed import embed
from luthier.errors import DataError, ModelError, TrainError
from luthier.recipe.schema import Recipe
from luthier.show import Console

MOST = 3
"""Base models that go on, at most, beside the recipe's own."""


class LateError(Exception):
    """The time for vectors is over."""


def probed(met: Met, recipe: Recipe, own: bool, left: Callable[[], float], console: Console) -> Probed:
    """Probe a base model.

    Args:
        met: its rows, the vectors of which are kept for later calls.
        recipe: its device and seed.
        own: whether it is the recipe's.
        left: tells how many seconds there are.
        console: to show progress.
    """
    found = Probed(model=met.base.name, own=own)
    table = met.data.tables["train"].some(ROWS, recipe.seed)

    def advance(rows: int) -> None:
        shown(rows)
        if left() <= 0:
            raise LateError

    try:
        with console.bar(f"Vectors of {short(met.base.name)}", len(table.labels)) as shown:
            vectors = embed(met.base, table.rows, met.data.found, met.data.limit, recipe.train.device, advance)
        answered = probe(met.data.target, vectors, table.labels, None, recipe.seed)
    except LateError:
        found.unprobed = "its vectors would take more than their share of the time"
    except (DataError, ModelError, TrainError) as wrong:
        found.unprobed = str(wrong)
    else:
        found.figure, found.value, found.rows = answered.figure, answered.value, len(table.labels)
        found.resampled = kept(answered.resampled)
    return found


def choose(probes: list[Probed], scale: Scale) -> list[Probed]:
    """Say which base models go no further; returns those that do, the best first and those that could not be probed last.

    Out is what the rows show to be worse than the best, and all but the best `MOST`. The recipe's own model stays in the race by the
    recipe as it stands, whatever is said here.
    """
    known = sorted((one for one in probes if one.value is not None), key=lambda one: -scale.sign * (one.value or 0.0))
    for place, one in enumerate(known):
        gain = scale.gain(one, known[0])
        if gain.hopeless:
            one.out = f"worse than {short(known[0].model)} by {gain.said}"
        elif place >= MOST:
            one.out = f"not among the best {MOST}"
    others = [one for one in probes if one.value is None and not one.out]
    return [one for one in known if not one.out] + others
