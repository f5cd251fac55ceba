"""Which trials go on from a rung, by the ledger alone: the same scores decide the same, in whatever call they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from luthier.auto.gain import Scale
from luthier.auto.ledger import Ledger, Score, Trial

KEEP = 3
"""One of so many goes on from a rung: the eta of successive halving."""
SHARES = ((1.0,), (1 / 3, 1.0), (1 / 9, 1 / 3, 1.0))
"""How much of a training is done at the end of each rung; the first for which the time seems enough. Without need nothing is halved: in
the midst of a training what begins slowly looks worse than it is. Nor where the time is not enough even for the last: then one is trained
after the other, as far as the time goes.
"""


def shares_for(trials: int, alone: float, left: float) -> tuple[float, ...]:
    """How long rungs are so that the time is enough, if all trials take as long as the recipe as it stands.

    Args:
        trials: that are entered.
        alone: seconds of the recipe as it stands.
        left: seconds there are.
    """
    for shares in SHARES:
        going = [max(1, ceil(trials / KEEP**rung)) for rung in range(len(shares))]
        steps = [after - before for before, after in zip((0.0, *shares), shares, strict=False)]
        if alone * sum(step * many for step, many in zip(steps, going, strict=True)) <= left:
            return shares
    return SHARES[0]


def entrants(scale: Scale, rung: int, trials: Sequence[Trial]) -> list[Trial]:
    """What is in the race: at first as it was entered, later the best first."""
    if rung == 1:
        return [one for one in trials if not one.out]
    return [one for one, _ in scale.ranked(trials, rung - 1) if not one.out]


def halve(scale: Scale, ledger: Ledger, wave: int, rung: int) -> None:
    """Take out all but the best third of what is not at its end; the recipe as it stands stays in, whatever it scored.

    In later waves what is behind the best of those before at the same point of its training goes, too.
    """
    if [wave, rung] in ledger.halved:
        return
    ranked = [pair for pair in scale.ranked(ledger.of(wave), rung) if not pair[0].out and not pair[0].whole]
    going = max(1, ceil(len(ranked) / KEEP))
    best = scale.best([one for one in ledger.trials if one.wave < wave])
    there = best.at(rung) if best else None
    for place, (one, score) in enumerate(ranked):
        if not one.given and place >= going:
            went = "the best one went on" if going == 1 else f"the best {going} went on"
            one.out, one.waits = f"{score.value:.4f} is place {place + 1} of {len(ranked)}: {went}", True
        elif best is not None and there is not None and not there.whole and scale.gain(score, there).value < 0:
            one.out = f"{score.value:.4f} where trial {best.number} had {there.value:.4f}"
    ledger.halved.append([wave, rung])


def hopeless(scale: Scale, ledger: Ledger, one: Trial, last: Score) -> str:
    """Why a trial cannot come before the best that is at its end, even if it gained what the luckiest did; empty where it may.

    Args:
        scale: which way the figure goes.
        ledger: all trials.
        one: that would go on.
        last: its score.
    """
    best = scale.best([other for other in ledger.trials if other.whole and other is not one])
    hope = scale.hope(ledger.trials, last.rung)
    if best is None or hope is None:
        return ""
    gain = scale.gain(last, best.scores[-1], hope)
    if not gain.hopeless:
        return ""
    return (
        f"nothing to gain: with the most that a trial gained from here to its end ({hope:.4f}) it would be behind trial {best.number} by "
        f"{gain.said}"
    )
