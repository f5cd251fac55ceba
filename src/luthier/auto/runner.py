"""One trial at a time: what it would take, its training up to the end of a rung, and its score."""

from __future__ import annotations

import math
import shutil
from typing import Any

from luthier.auto.clock import Clock, said
from luthier.auto.forecast import Forecast, forecast
from luthier.auto.gain import Scale
from luthier.auto.halving import SHARES
from luthier.auto.ledger import Ledger, Score, Trial, kept
from luthier.auto.leg import SPARED, Leg, paused
from luthier.folder import RunFolder
from luthier.recipe.schema import Recipe
from luthier.search.space import laid_over
from luthier.search.trial import ATTEMPTS, CHOSEN_ON, ENDED, MAY_FAIL, UNSEEN, Bench, Worked, fault, own
from luthier.show import Console
from luthier.training.callbacks import Interrupt
from luthier.training.stages import usual_epochs

LONG = 300
"""Steps to the first score above which a forecast is worth the ten or so that it computes."""
WRITING = 5.0
"""Seconds for writing the model and the report at the end."""
MOST_AT_END = 0.2
"""Share of the time that is kept for the end, at most."""


class Runner:
    """Trains the trials of one search.

    Args:
        recipe: as it stands; its `output` is where the search stands.
        ledger: of this search, from an earlier call or new.
        clock: that began with the search.
        console: hears what is to be said of the rows.

    Raises:
        LuthierError: the recipe, its rows or its model cannot be used.
    """

    def __init__(self, recipe: Recipe, ledger: Ledger, clock: Clock, console: Console) -> None:
        self.recipe, self.ledger, self.clock = recipe, ledger, clock
        self.folder = RunFolder(recipe.output)
        self.bench = Bench(console, "luthier auto")
        began = clock.spent
        self.met = self.bench.met(recipe)
        self._opening = clock.spent - began
        self.bench.console = self.bench.quiet  # other base models have the same to say
        self.judge = self.met.data.target.judge
        self.monitor = recipe.train.monitor or self.judge.monitor
        self.scale = Scale(self.judge.lower_is_better(self.monitor))
        self.loss = self.judge.figures["brier"].title if "brier" in self.judge.figures else "loss"
        self.rows = {name: int(one["rows"]) for name, one in self.met.data.facts["splits"].items()}
        self._per_row = 0.0
        self._known: dict[str, Forecast] = {}

    def folder_of(self, trial: Trial) -> RunFolder:
        """Where a trial stands."""
        return RunFolder(self.folder / "trials" / f"{trial.number:03d}")

    def left(self, trial: Trial | None = None) -> float:
        """Seconds for a trial: those of the clock without what the end takes, and what the recipe as it stands still needs.

        Before it has begun a trial may take a third in any case. Where it cannot end in time it holds nothing up once it has begun, nor
        before anything has come to its end.
        """
        left, default = self.free(), self.ledger.default
        if default is None or default is trial or default.whole or default.out:
            return left
        late, begun = default.rest > left, bool(default.scores)
        if late and (begun or not any(one.whole for one in self.ledger.trials)):
            return left
        return left - default.rest if begun else max(left - default.rest, SPARED * left)

    def free(self) -> float:
        """Seconds of the clock without what the end takes."""
        return self.clock.left - self._end()

    def foresee(self, one: Trial, always: bool = False) -> None:
        """Forecast time and memory of a long training, which no rate changes; one that does not fit, or cannot be, is out.

        A short one is its own forecast: measuring some steps would take as long; unless it is `always` wanted.
        """
        if one.forecast is not None or one.out or not (always or self._steps(one) > LONG):
            return
        key = f"{one.model}|{ {**one.values, 'train.lr': None} }"
        try:
            if key not in self._known:
                self._known[key] = forecast(self.bench, own(self.recipe, one.values, self.folder_of(one)))
        except MAY_FAIL as wrong:
            self._failed(one, fault(wrong))
            return
        found = self._known[key]
        one.forecast, one.memory = round(found.seconds, 3), found.memory or None
        one.out = f"no memory: {found.refused}" if found.refused else ""

    def go(self, one: Trial, rung: int, share: float) -> None:
        """Train a trial on to the end of a rung and score it.

        Raises:
            KeyboardInterrupt: asked to stop.
            LuthierError: what no other values would help against.
        """
        if one.attempts >= ATTEMPTS:
            self._failed(one, ENDED)
            return
        began, folder = self.clock.spent, self.folder_of(one)
        one.attempts += 1
        self.write()
        leg = Leg(share, lambda: self.left(one), self.free, whole=rung == 1 and not one.given)
        try:
            with folder.locked():
                worked = self.bench.work(own(self.recipe, one.values, folder), folder, leg)
                self._obey(one, worked)
                score = None if leg.needed else self._score(worked, folder)
        except MAY_FAIL as wrong:
            self._failed(one, fault(wrong))
            return
        one.attempts = 0
        if score is None:
            one.out = f"no time: its first steps say {said(leg.needed)} to its first score, and {said(self.left(one))} are left for it"
            return
        seconds = self.clock.spent - began
        took = {"seconds": seconds, "pace": leg.pace, "opening": max(0.0, seconds - leg.pace * leg.steps)}
        done = {"rung": rung, "cut": leg.cut, **{name: round(value, 4) for name, value in took.items()}}
        one.scores.append(score.model_copy(update=done))

    def taken(self, best: Trial) -> str:
        """What is taken and by what, for people."""
        told, last = f"Trial {best.number} ({best.said})", best.scores[-1]
        where = f"on {self.rows[CHOSEN_ON]:,} validation rows"
        leader = self.scale.leader(self.ledger.contenders)
        if leader is None or leader is best:
            return f"{told} is the best by {self.monitor} {where}: {last.value:.4f}"
        highest = leader.scores[-1]
        return (
            f"{told} is taken for its {self.loss} of {last.loss:.4f} {where}: by {self.monitor}, {last.value:.4f}, they do not tell it "
            f"from trial {leader.number} ({leader.said}), which has {highest.value:.4f} and a {self.loss} of {highest.loss:.4f}"
        )

    def drop_weights(self, one: Trial) -> None:
        """Free the disk of a trial that goes no further, but for the best."""
        if one.out and not one.waits and one is not self.scale.best(self.ledger.contenders):
            shutil.rmtree(self.folder_of(one) / "checkpoints", ignore_errors=True)

    def write(self) -> None:
        """Write the ledger."""
        self.ledger.spent = self.clock.spent
        self.ledger.write(self.folder)

    def _steps(self, one: Trial) -> float:
        """Steps to the first score of a trial, as far as its recipe tells."""
        recipe = laid_over(self.recipe, one.values)
        stages = recipe.stages if isinstance(recipe.stages, list) else []
        steps = self.rows["train"] / (recipe.train.batch_size * recipe.train.accumulation)
        epochs = (
            sum(stage.epochs or 1 for stage in stages)
            or recipe.train.epochs
            or usual_epochs(recipe.method, math.ceil(steps))
        )
        share = self.ledger.shares[0] if self.ledger.shares else SHARES[1][0]
        return share * epochs * steps

    def _end(self) -> float:
        """Seconds that the end takes: reading the rows again, scoring those that are held out, writing."""
        scoring = self._per_row * (self.rows[CHOSEN_ON] + self.rows.get(UNSEEN, 0))
        return min(MOST_AT_END * 60 * self.clock.minutes, self._opening + scoring + WRITING)

    def _obey(self, one: Trial, worked: Worked) -> None:
        if worked.state.stopped == Interrupt.REASON:
            one.attempts -= 1
            self.write()
            raise KeyboardInterrupt("Stopped. The same command goes on from there.")

    def _score(self, worked: Worked, folder: RunFolder) -> Score:
        """Measure a trial on the validation rows, and keep what the rows say of its sureness."""
        state, job, began = worked.state, worked.job, self.clock.spent
        scored = worked.scored(folder)
        targets = job.work.held[CHOSEN_ON].targets
        self._per_row = max(self._per_row, (self.clock.spent - began) / len(targets))
        figures: dict[str, Any] = {"loss": scored.loss, **self.judge.metrics(targets, scored.per_row)}
        drawn = self.judge.resampled(targets, scored.per_row, self.recipe.seed).get(self.monitor)
        return Score(
            rung=0,
            value=figures[self.monitor],
            loss=found if math.isfinite(found := figures.get("brier", scored.loss)) else None,
            resampled=kept(drawn),
            step=state.step,
            steps=job.steps(state),
            epochs=round(state.step / job.batches.per_epoch, 2),
            seconds=0.0,
            whole=not paused(state),
        )

    def _failed(self, one: Trial, reason: str) -> None:
        """Write the reason down; it is shown, not dropped."""
        one.failed, one.out = True, f"failed: {reason}"
        self.drop_weights(one)
