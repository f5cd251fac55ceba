"""What a search has found, as facts (auto.json) and as a page (auto.html): every trial is on it, with why it went on or out."""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup

from luthier.auto import FACTS, PAGE, plots
from luthier.auto.candidates import METHODS_TRIED
from luthier.auto.clock import said
from luthier.auto.ledger import Ledger, Probed, Score, Trial, interval, short
from luthier.auto.runner import Runner
from luthier.evaluate.report import environment
from luthier.run import Run
from luthier.search.trial import CHOSEN_ON, UNSEEN


def write(runner: Runner) -> dict[str, Any]:
    """Write auto.json and auto.html of a search that has ended; returns what auto.json holds."""
    facts = gather(runner)
    runner.folder.write_json(FACTS, facts)
    runner.folder.write(PAGE, render(facts))
    return facts


def gather(runner: Runner) -> dict[str, Any]:
    """Everything that the page shows, as JSON."""
    ledger = runner.ledger
    trials = [_trial(one, ledger) for one in ledger.trials]
    chosen = f"chosen by {runner.monitor} and {runner.loss} on {runner.rows[CHOSEN_ON]} validation rows"
    facts = {
        "title": f"{runner.folder.path.name}: {len(trials)} trials, {chosen}",
        "sentence": sentence(runner),
        "monitor": runner.monitor,
        "loss": runner.loss,
        "lower_is_better": runner.scale.lower_is_better,
        "rows": runner.rows,
        "minutes": ledger.minutes,
        "spent": round(ledger.spent, 1),
        "stopped": ledger.stopped,
        "winner": ledger.winner,
        "methods": list(METHODS_TRIED),
        "shares": ledger.shares,
        "probes": [_probe(one) for one in ledger.probes],
        "trials": trials,
        "waves": ledger.waves,
        "chosen_on": chosen_on(runner),
        "test": _test(runner),
    }
    return dict(json.loads(json.dumps(facts, ensure_ascii=False, default=float)))


def render(facts: dict[str, Any]) -> str:
    """The facts as one self-contained page: no network, no script; a table beside the plot."""
    return environment().get_template("auto.html").render(facts=facts, race=Markup(plots.race(facts)), said=said)


def sentence(runner: Runner) -> str:
    """The result in words."""
    ledger, scale = runner.ledger, runner.scale
    best, default = ledger.trials[ledger.winner or 0], ledger.default
    told = runner.taken(best)
    if default is None or best is default:
        return f"{told}. It is the recipe as it stood, of {len(ledger.trials)} trials."
    if default.failed or default.last is None:
        return f"{told}. The recipe as it stood has no figure to compare it with ({default.out})."
    gain = scale.gain(best.scores[-1], default.last)
    told += f". The recipe as it stood has {default.last.value:.4f}: a gain of {gain.said}"
    if not gain.sure:
        return (
            f"{told}, which so few rows cannot tell from none."
            if gain.interval
            else f"{told}; how sure that is, is not known."
        )
    return f"{told}. Chosen among {len(ledger.trials)} on these rows, it looks better than it is."


def chosen_on(runner: Runner) -> list[tuple[str, str]]:
    """Each choice, and the rows that it was made on."""
    probed = max((one.rows for one in runner.ledger.probes), default=0)
    held, training = f"{runner.rows[CHOSEN_ON]:,} validation rows", f"{runner.rows['train']:,} training rows"
    base = (
        f"{probed:,} training rows, no two alike, each answered by a probe that had not seen it"
        if probed
        else "none was made"
    )
    return [
        ("which base models go on", base),
        ("which trials go on, and when the search is over", held),
        ("the best epoch of a trial", held),
        ("the winner", held),
        ("the weights", training),
        (
            "nothing",
            f"{runner.rows.get(UNSEEN, 0):,} test rows: encoded and scored once, at the end, for the winner alone",
        ),
    ]


def _probe(one: Probed) -> dict[str, Any]:
    return {
        **one.model_dump(exclude={"resampled"}),
        "short": short(one.model),
        "interval": interval(one.resampled),
    }


def _trial(one: Trial, ledger: Ledger) -> dict[str, Any]:
    return {
        **one.model_dump(exclude={"scores", "attempts"}),
        "said": one.said,
        "given": one.given,
        "short": short(one.model),
        "scores": [_score(score) for score in one.scores],
        "after": [_after(one, rung, len(ledger.shares)) for rung in range(1, len(ledger.shares) + 1)],
        "seconds": round(one.seconds, 1),
        "state": _state(one, ledger.winner),
    }


def _after(one: Trial, rung: int, last: int) -> str:
    """The figure at the end of a rung: one that went on to its end at once stands in the last, one that was cut says how far it came."""
    found = [score for score in one.scores if rung == (last if score.whole else score.rung)]
    if not found:
        return "–"
    return f"{found[-1].value:.4f}" + (f" at {found[-1].share:.0%}" if found[-1].cut else "")


def _state(one: Trial, winner: int | None) -> str:
    """What became of a trial, in words."""
    if one.number == winner:
        return "the winner" if one.whole else "the winner, cut by the clock"
    if one.out:
        return one.out
    last = one.last
    return "to its end" if one.whole else "cut by the clock" if last is not None and last.cut else "no time was left"


def _score(one: Score) -> dict[str, Any]:
    return {
        **one.model_dump(exclude={"resampled"}),
        "share": one.share,
        "interval": interval(one.resampled),
    }


def _test(runner: Runner) -> dict[str, Any] | None:
    """The figure on the test rows, which nothing was chosen by; None where there are none."""
    run = Run(runner.folder.path)
    if run.data["held_out"] != UNSEEN:
        return None
    scores = run.evaluate(UNSEEN)
    found = {"value": scores.metrics.get(runner.monitor), "interval": scores.intervals.get(runner.monitor)}
    return {"rows": scores.rows, **found}
