"""What a search has found, as facts (tune.json) and as a page (tune.html): every trial is on it, the failed ones with their reason."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from markupsafe import Markup
from optuna.trial import FrozenTrial, TrialState

from luthier.evaluate.report import environment
from luthier.run import Run
from luthier.search import plots
from luthier.search.best import Difference, difference
from luthier.search.space import said
from luthier.search.study import importance
from luthier.search.tune import FACTS, PAGE, Tuning, reason_of

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "at work",
}
"""What became of a trial, in words."""


def write(search: Tuning) -> Difference:
    """Write tune.json and tune.html; returns how much better the best trial is than the first."""
    found = difference(search, search.best())
    facts = gather(search, found)
    search.folder.write_json(FACTS, facts)
    search.folder.write(PAGE, render(facts))
    return found


def gather(search: Tuning, found: Difference) -> dict[str, Any]:
    """Everything that the page shows, as JSON."""
    trials = [_trial(search, one) for one in search.trials.all()]
    facts = {
        "title": f"{search.folder.path.name}: {len(trials)} trials, the best by {search.monitor} on {search.rows} validation rows",
        "sentence": found.sentence,
        "monitor": search.monitor,
        "lower_is_better": search.judge.lower_is_better(search.monitor),
        "rows": search.rows,
        "best": found.best,
        "difference": asdict(found) | {"gain": found.gain, "noise": found.noise},
        "trials": trials,
        "counts": {name: sum(one["state"] == name for one in trials) for name in STATES.values()},
        "space": {one.name: one.values.written() for one in search.space.dimensions},
        "why": search.space.why,
        "values": said(search.best().user_attrs["values"]),
        "importance": importance(search.study, search.recipe.seed),
        "pruner": search.settings.pruner,
        "study": {"name": search.study.study_name, "storage": "of its own" if search.storage else "study.db"},
        "scored": list(search.study.user_attrs.get("scored", [])),
        "test": _test(search),
    }
    return dict(json.loads(json.dumps(facts, ensure_ascii=False, default=float)))


def render(facts: dict[str, Any]) -> str:
    """The facts as one self-contained page: no network, no script; a table beside each plot."""
    pages = environment()
    drawn = {one.__name__: Markup(one(facts) or "") for one in (plots.history, plots.epochs, plots.parts, plots.slices)}
    return pages.get_template("tune.html").render(facts=facts, plots=drawn)


def _trial(search: Tuning, trial: FrozenTrial) -> dict[str, Any]:
    facts = trial.user_attrs
    return {
        "number": trial.number,
        "state": STATES[trial.state],
        "value": trial.value if trial.state == TrialState.COMPLETE else None,
        "values": facts.get("values", {}),
        "drawn": dict(trial.params),
        "said": said(facts.get("values", {})),
        "epochs": facts.get("epochs"),
        "seconds": facts.get("seconds"),
        "reported": [[step, trial.intermediate_values[step]] for step in sorted(trial.intermediate_values)],
        "reason": "" if trial.state == TrialState.COMPLETE else reason_of(trial),
    }


def _test(search: Tuning) -> dict[str, Any] | None:
    """The figure on the test rows, which nothing was chosen by; None where there are none."""
    run = Run(search.folder.path)
    if run.data["held_out"] != "test":
        return None
    scores = run.evaluate("test")
    return {
        "rows": scores.rows,
        "value": scores.metrics.get(search.monitor),
        "interval": scores.intervals.get(search.monitor),
    }
