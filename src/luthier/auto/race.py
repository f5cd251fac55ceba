"""The search: rung 0, then waves of trials that are halved rung by rung, until the time is over or nothing is gained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from luthier.auto import candidates, halving, probing
from luthier.auto.candidates import Candidate
from luthier.auto.clock import said
from luthier.auto.ledger import Probed, Trial, short
from luthier.auto.runner import Runner
from luthier.errors import LuthierError, RunError
from luthier.search.space import laid_over
from luthier.search.trial import CHOSEN_ON
from luthier.show import Console

PROBING = 0.25
"""Share of the time that vectors for rung 0 may take."""


class Race:
    """One search.

    Args:
        runner: of its trials.
        console: where it speaks.
    """

    def __init__(self, runner: Runner, console: Console) -> None:
        self.runner, self.console = runner, console
        self.ledger, self.scale, self.recipe = runner.ledger, runner.scale, runner.recipe
        self.own = runner.met.base.name

    def run(self, models: Sequence[str], methods: Sequence[str]) -> None:
        """Search until it is over.

        Args:
            models: base models beside the recipe's own.
            methods: names.

        Raises:
            KeyboardInterrupt: asked to stop; the same call goes on.
            RunError: not even one trial has ended with a score.
        """
        if not self.ledger.stopped:
            going = [one.model for one in self._probe(models)]
            default = candidates.as_it_stands(self.recipe, self.own)
            others = list(candidates.first(self.recipe, self.own, going, methods))
            self._wave(1, [*others[:2], default, *others[2:]])  # where minutes are few, the cheapest have been tried
            while not self.ledger.stopped:
                self._next(len(self.ledger.waves) + 1)
        self.ledger.winner = self.best().number
        self.runner.write()

    def best(self) -> Trial:
        """The best of all so far.

        Raises:
            RunError: there is none.
        """
        best = self.scale.best(self.ledger.contenders)
        if best is None:
            told = "".join(f"\n  {one.said}: {one.out or 'no time was left'}" for one in self.ledger.trials)
            raise RunError(
                f"No trial has ended with a {self.runner.monitor}, so there is nothing to choose from.{told}"
            )
        return best

    def _probe(self, models: Sequence[str]) -> list[Probed]:
        """Rung 0; returns the base models that go on."""
        names, clock = [self.own, *models], self.runner.clock
        self.console.say(
            f"Rung 0: a linear probe on frozen vectors of {_many(len(names), 'base model')}; training rows only"
        )
        until = (1 - PROBING) * 60 * clock.minutes
        for model in names[len(self.ledger.probes) :]:
            began = clock.spent
            found = self._probed(model, lambda: clock.left - until)
            self.ledger.probes.append(
                found.model_copy(update={"model": model, "seconds": round(clock.spent - began, 2)})
            )
            self.runner.write()
        going = probing.choose(self.ledger.probes, self.scale)
        for one in self.ledger.probes:
            self.console.say(f"  {_probe_told(one)}")
        return going

    def _probed(self, model: str, left: Callable[[], float]) -> Probed:
        """Probe a model, or say why it cannot be used; the recipe's own has shown that it can."""
        if model == self.own:
            return probing.probed(self.runner.met, self.recipe, True, left, self.console)
        values = {**candidates.with_model(self.recipe, model), "output": str(self.runner.folder.path)}
        try:
            met = self.runner.bench.met(laid_over(self.recipe, values))
        except LuthierError as wrong:
            return Probed(model=model, own=False, unprobed=str(wrong), out="it cannot be used")
        return probing.probed(met, self.recipe, False, left, self.console)

    def _next(self, wave: int) -> None:
        """Another wave around the best, or the reason why there is none."""
        best, ledger = self.best(), self.ledger
        alike = [
            one.rate for one in ledger.trials if one.model == best.model and one.method == best.method and one.rate
        ]
        needed = ledger.shares[0] * best.seconds / max(best.scores[-1].share, 1e-9)
        begun = bool(ledger.of(wave))
        found = [] if begun else list(candidates.around(self.recipe, best.model, best.values, alike))
        left = self.runner.left()
        if not begun and left <= 0:
            self._stop("the time is over")
        elif not begun and left <= needed:
            self._stop(
                f"the time is over: another rate takes {said(needed)} to its first score, and {said(max(0.0, left))} are left"
            )
        elif not begun and not found:
            self._stop("no other rate is left to try around the best")
        else:
            self._wave(wave, found)

    def _wave(self, wave: int, found: Iterable[Candidate]) -> None:
        """Try candidates, rung by rung; ends the search where nothing is gained."""
        ledger = self.ledger
        if wave <= len(ledger.waves):
            return
        before = self.scale.best([one for one in ledger.trials if one.wave < wave])
        if not ledger.of(wave):
            self._enter(wave, found)
        for rung, share in enumerate(ledger.shares, start=1):
            self._rung(wave, rung, share)
        self._call_back(wave)
        ledger.waves.append(self._brought(wave, before))
        self.runner.write()
        self.console.say(ledger.waves[-1])

    def _enter(self, wave: int, found: Iterable[Candidate]) -> None:
        """Write down what is tried, and how long each rung is."""
        trials = self.ledger.trials
        for one in found:
            told = {"model": one.model, "method": one.method, "rate": one.rate, "values": one.values}
            trials.append(Trial.model_validate({"number": len(trials), "wave": wave, **told}))
        if not self.ledger.shares:
            default = self.ledger.default or trials[0]
            self.runner.foresee(default, always=True)
            shares = halving.shares_for(len(trials), default.forecast or 0.0, self.runner.left(default))
            self.ledger.shares = list(shares)
        self.runner.write()

    def _rung(self, wave: int, rung: int, share: float) -> None:
        """Train what is in the race up to a share of its steps, then say what goes no further."""
        last = rung == len(self.ledger.shares)
        entrants = halving.entrants(self.scale, rung, self.ledger.of(wave))
        waiting = [one for one in entrants if one.at(rung) is None]
        if waiting:
            how = "to the end" if last else f"1/{round(1 / share)} of each training"
            rows = f"judged on the {self.runner.rows[CHOSEN_ON]:,} validation rows"
            self.console.say(f"Wave {wave}, rung {rung}: {how}, {_many(len(entrants), 'trial')}, {rows}")
        for one in waiting:
            self._leave_out(one, rung, share)
            if not one.out:
                self.runner.go(one, rung, share)
            self.runner.write()
            self.console.say(f"  {self._line(one)}")
        if not last:
            halving.halve(self.scale, self.ledger, wave, rung)
            self.runner.write()
            for one in self.ledger.of(wave):
                self.runner.drop_weights(one)

    def _call_back(self, wave: int) -> None:
        """Train to their end what is out by its place alone, the best first, where time is left: it may have begun slowly."""
        waiting = [one for one in self.ledger.of(wave) if one.waits and one.scores]
        for one in sorted(waiting, key=lambda one: -self.scale.sign * one.scores[-1].value):
            if self.runner.left(one) > one.rest:
                one.out, one.waits = "", False
                self.runner.go(one, len(self.ledger.shares), 1.0)
                self.runner.write()
                self.console.say(f"  called back, as time is left: {self._line(one)}")

    def _leave_out(self, one: Trial, rung: int, share: float) -> None:
        """Say so where it is not worth beginning: no memory, no time, or no hope; the recipe as it stands goes on while there is time."""
        left, score = self.runner.left(one), one.last
        if rung == 1 and left > 0:
            self.runner.foresee(one)
        if one.out or (one.given and (score is None or left > 0)):
            return
        if score is None:
            needed = share * (one.forecast or 0.0)
            if left <= 0:
                one.out = "no time was left to begin it"
            elif needed > left:
                one.out = (
                    f"no time: about {said(needed)} to its first score, and {said(max(0.0, left))} are left for it"
                )
            return
        one.out = halving.hopeless(self.scale, self.ledger, one, score)
        if not one.out and left <= 0:
            one.out = f"no time to go on: it counts as it stands after step {score.step} of {score.steps}"

    def _brought(self, wave: int, before: Trial | None) -> str:
        """What a wave has brought; ends the search where that is nothing."""
        best = self.best()
        last = best.scores[-1]
        loss = (
            ""
            if best is self.scale.leader(self.ledger.trials)
            else f" and the lowest {self.runner.loss} of its like, {last.loss:.4f}"
        )
        lead = f"Wave {wave}: trial {best.number} ({best.said}) leads, {self.runner.monitor} {last.value:.4f}{loss}"
        if before is None:
            return f"{lead}."
        if best is before:
            tried = any(one.scores for one in self.ledger.of(wave))
            why = "nothing is gained: no other rate came before the best"
            self._stop(why if tried else "the time is over: no other rate could be begun")
            return f"{lead}, as before."
        gain = self.scale.gain(best.scores[-1], before.scores[-1])
        if not gain.sure:
            self.ledger.unproven.append(wave)
            self._stop(
                f"nothing is gained that the validation rows can show: {gain.said} over trial {before.number}, which is kept"
            )
        return f"{lead}: {gain.said} over trial {before.number}."

    def _line(self, one: Trial) -> str:
        told, last = f"{one.number:2d}  {one.said}", one.last
        if last is not None:
            cut = ", cut by the clock" if last.cut else ""
            told += f": {self.runner.monitor} {last.value:.4f} after {last.epochs:g} epochs, {said(one.seconds)}{cut}"
        return f"{told}: {one.out}" if one.out else told

    def _stop(self, why: str) -> None:
        self.ledger.stopped = why
        self.runner.write()


def _probe_told(one: Probed) -> str:
    figure = (
        f"{one.figure} {one.value:.4f}, {said(one.seconds)}" if one.value is not None else f"not probed: {one.unprobed}"
    )
    return f"{short(one.model)}: {figure}" + (f"; out: {one.out}" if one.out else "")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
