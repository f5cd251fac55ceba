"""What goes on, what goes out and when the search is over, decided from scores alone."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from autos import ledger_of, score, trial

from luthier import hardware, suggested_model
from luthier.auto import candidates, halving, probing, report
from luthier.auto.clock import Clock, said
from luthier.auto.gain import Gain, Scale
from luthier.auto.ledger import Probed, Score, Trial, kept
from luthier.auto.leg import Leg, paused
from luthier.auto.runner import Runner
from luthier.demo import MODELS
from luthier.errors import RecipeError
from luthier.recipe.reading import read
from luthier.suggested_model import SUGGESTED
from luthier.training.job import State

UP, DOWN = Scale(lower_is_better=False), Scale(lower_is_better=True)
DATA = {"data": {"files": "reviews.csv"}}


def test_the_gain_is_that_of_the_same_resamples() -> None:
    draw = np.random.default_rng(0)
    ours, theirs = draw.normal(0.8, 0.05, 1000), draw.normal(0.7, 0.05, 1000)
    one, other = (
        score(1, float(values.mean())).model_copy(update={"resampled": list(values)}) for values in (ours, theirs)
    )
    found = UP.gain(one, other)
    assert found.value == pytest.approx(ours.mean() - theirs.mean())
    assert found.interval == pytest.approx(tuple(np.percentile(ours - theirs, [2.5, 97.5])))
    turned = DOWN.gain(one, other)
    assert turned.value == -found.value
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert UP.gain(one, other, more=0.5).interval == pytest.approx(
        tuple(np.percentile(ours - theirs + 0.5, [2.5, 97.5]))
    )


def test_what_is_not_known_is_neither_sure_nor_hopeless() -> None:
    nothing = score(1, 0.9).model_copy(update={"resampled": []})
    found = UP.gain(nothing, score(1, 0.1))
    assert (found.interval, found.sure, found.hopeless) == (None, False, False)
    assert found.said == "+0.8000"
    assert Gain(0.1, (0.05, 0.2)).said == "+0.1000 (95 % interval +0.0500 to +0.2000)"
    assert kept(np.array([0.5, np.nan])) == [0.5, None]
    assert kept(np.array([np.nan])) == kept(None) == []


def ended(number: int, value: float, loss: float | None, width: float = 0.1, whole: bool = True) -> Trial:
    """A trial at its end; of another width than others it is not told from them."""
    found = trial(number, value)
    found.scores = [score(1, value, whole=whole, width=width).model_copy(update={"loss": loss})]
    return found


def test_of_trials_that_the_rows_do_not_tell_apart_the_lowest_loss_is_taken() -> None:
    leader, level = ended(0, 0.80, 0.9), ended(1, 0.78, 0.5, width=0.5)
    assert UP.gain(level.scores[0], leader.scores[0]).interval[1] > 0
    assert UP.leader([leader, level]) is leader
    assert UP.best([leader, level]) is level
    assert UP.best([leader, ended(1, 0.78, 0.95, width=0.5)]) is leader
    assert UP.best([leader, ended(1, 0.78, 0.5)]) is leader, "the rows show that it is worse"
    assert UP.best([leader, ended(1, 0.78, None, width=0.5)]) is leader
    assert UP.best([ended(0, 0.80, None), level]).number == 0
    near, far = (ended(1, 0.80 - apart, 0.5, width=0.3) for apart in (0.18, 0.20))
    ends = (np.percentile(np.array(one.scores[0].resampled) - leader.scores[0].resampled, 97.5) for one in (near, far))
    assert [end > 0 for end in ends] == [True, False]
    assert UP.best([leader, near]) is near
    assert UP.best([leader, far]) is leader
    cut = ended(1, 0.78, 0.5, width=0.5, whole=False)
    assert UP.best([leader, cut]) is cut, "its weights are as good as they are, wherever it was cut"
    level.failed = True
    assert UP.best([leader, level]) is leader
    lowest = ended(2, 0.3, 0.2, width=0.5)
    assert DOWN.best([ended(0, 0.25, 0.4), lowest]) is lowest


def test_a_choice_by_the_loss_says_so() -> None:
    leader, level = ended(0, 0.80, 0.9), ended(1, 0.78, 0.5, width=0.5)
    runner: Any = SimpleNamespace(
        scale=UP, ledger=ledger_of(leader, level), monitor="f1_macro", loss="Brier score", rows={"validation": 200}
    )
    assert Runner.taken(runner, level) == (
        "Trial 1 (full, lr 1) is taken for its Brier score of 0.5000 on 200 validation rows: by f1_macro, 0.7800, they do not tell it "
        "from trial 0 (full, lr 1), which has 0.8000 and a Brier score of 0.9000"
    )
    assert Runner.taken(runner, leader) == "Trial 0 (full, lr 1) is the best by f1_macro on 200 validation rows: 0.8000"


def test_the_best_third_and_the_recipe_as_it_stands_go_on() -> None:
    values = [0.1, 0.9, 0.5, 0.6, 0.8, 0.2]
    ledger = ledger_of(*(trial(number, value) for number, value in enumerate(values)))
    halving.halve(UP, ledger, 1, 1)
    assert [one.number for one in ledger.trials if not one.out] == [0, 1, 4]
    assert ledger.trials[3].out == "0.6000 is place 3 of 6: the best 2 went on"
    assert [one.number for one in halving.entrants(UP, 2, ledger.trials)] == [1, 4, 0]
    before = ledger.model_copy(deep=True)
    halving.halve(UP, ledger, 1, 1)
    assert ledger == before, "a search that was killed decides once"


def test_a_figure_stands_in_the_column_of_what_was_done() -> None:
    def shown(one: Trial) -> list[str]:
        told = report._trial(one, ledger_of(one))["after"]
        assert isinstance(told, list)
        return told

    assert shown(trial(1, 0.5, 0.75, whole=True)) == ["0.5000", "0.7500"]
    assert shown(trial(1, 0.5)) == ["0.5000", "–"]
    assert shown(trial(1)) == ["–", "–"]
    assert shown(trial(1, 0.75, whole=True)) == ["–", "0.7500"], "it went on to its end at once"
    cut = trial(1, 0.5, 0.625)
    cut.scores[-1].cut = True
    assert shown(cut) == ["0.5000", "0.6250 at 67%"]


def test_what_is_at_its_end_takes_no_place() -> None:
    ledger = ledger_of(trial(0, 0.1), trial(1, 0.5), trial(2, 0.9, whole=True), trial(3, 0.4))
    halving.halve(UP, ledger, 1, 1)
    assert {one.number: one.out for one in ledger.trials if one.out} == {
        3: "0.4000 is place 2 of 3: the best one went on"
    }


def test_where_less_is_better_the_least_go_on() -> None:
    ledger = ledger_of(*(trial(number, value) for number, value in enumerate([0.9, 0.1, 0.5, 0.6])))
    halving.halve(DOWN, ledger, 1, 1)
    assert [one.number for one in ledger.trials if not one.out] == [0, 1, 2]


def test_failed_trials_are_not_ranked_and_stay_in_the_ledger() -> None:
    broken = trial(2, 0.99)
    broken.failed, broken.out = True, "failed: out of memory"
    ledger = ledger_of(trial(0, 0.5), trial(1, 0.6), broken)
    halving.halve(UP, ledger, 1, 1)
    assert ledger.trials[2].out == "failed: out of memory"
    assert UP.best(ledger.trials).number == 1
    assert len(ledger.trials) == 3


def test_a_later_wave_must_not_be_behind_the_best_at_the_same_point() -> None:
    others = [trial(number, value, wave=2) for number, value in ((1, 0.7), (2, 0.5), (3, 0.55))]
    ahead = ledger_of(trial(0, 0.6, 0.8, whole=True), *others)
    halving.halve(UP, ahead, 2, 1)
    assert [one.number for one in ahead.of(2) if not one.out] == [1]
    assert ahead.trials[3].out == "0.5500 is place 2 of 3: the best one went on"
    behind = ledger_of(trial(0, 0.6, 0.8, whole=True), trial(1, 0.59, wave=2))
    halving.halve(UP, behind, 2, 1)
    assert behind.trials[1].out == "0.5900 where trial 0 had 0.6000"
    at_once = ledger_of(trial(0, 0.8, whole=True), trial(1, 0.59, wave=2))
    halving.halve(UP, at_once, 2, 1)
    assert at_once.trials[1].out == "", "the best had come to its end in the first rung: that is another point"


def test_no_hope_is_told_by_the_interval() -> None:
    default, good = trial(0, 0.5, 0.55, whole=True), trial(1, 0.7, 0.8, whole=True)
    bad, near = trial(2, 0.3), trial(3, 0.65)
    bad.scores[0] = score(
        1, 0.3, width=0.2
    )  # its resamples differ from those of the best, so that there is an interval
    ledger = ledger_of(default, good, bad, near)
    assert UP.hope(ledger.trials, 1) == pytest.approx(0.1)
    told = halving.hopeless(UP, ledger, bad, bad.scores[0])
    ends = np.percentile(np.array(bad.scores[0].resampled) - np.array(good.scores[-1].resampled) + 0.1, [2.5, 97.5])
    assert told == (
        "nothing to gain: with the most that a trial gained from here to its end (0.1000) it would be behind trial 1 by "
        f"-0.4000 (95 % interval {ends[0]:+.4f} to {ends[1]:+.4f})"
    )
    at_once = trial(4, 0.8, whole=True)
    assert UP.hope([at_once], 1) is None
    assert halving.hopeless(UP, ledger_of(bad, at_once), bad, bad.scores[0]) == "", (
        "none was measured here and at its end"
    )
    wide = score(1, 0.65, width=0.5)
    assert halving.hopeless(UP, ledger, near, wide) == "", "what could come before the best goes on"
    assert halving.hopeless(UP, ledger_of(bad, near), bad, bad.scores[0]) == "", (
        "nothing is known before one is at its end"
    )


def test_rungs_are_shorter_where_the_time_is() -> None:
    assert halving.shares_for(9, alone=10, left=90) == (1.0,), "nothing is halved without need"
    assert halving.shares_for(9, alone=10, left=60) == (1 / 3, 1.0)
    assert halving.shares_for(9, alone=10, left=40) == (1 / 9, 1 / 3, 1.0)
    assert halving.shares_for(9, alone=10, left=1) == (1.0,), "one after the other, where the time is not enough"


def test_base_models_that_the_rows_show_to_be_worse_go_out() -> None:
    def probe(name: str, value: float, width: float) -> Probed:
        drawn = score(0, value, width=width).resampled
        return Probed(model=name, own=name == "own", figure="f1", value=value, resampled=drawn, rows=100)

    probes = [probe("own", 0.5, 0.1), probe("best", 0.9, 0.2), probe("near", 0.88, 0.3), Probed(model="odd", own=False)]
    going = probing.choose(probes, UP)
    assert [one.model for one in going] == ["best", "near", "odd"]
    assert probes[0].out.startswith("worse than best by -0.4000 (95 % interval ")
    many = [probe(str(number), 0.5, 0.1 * number) for number in range(1, 6)]
    assert [one.model for one in probing.choose(many, UP)] == ["1", "2", "3"]
    assert many[4].out == "not among the best 3"


def test_each_method_has_its_own_rate_and_epochs() -> None:
    recipe = read({**DATA, "model": "demo/minilm-en", "method": "full", "train": {"lr": 1e-4, "epochs": 7}})
    found = list(candidates.first(recipe, "demo/minilm-en", ["other/model", "demo/minilm-en"], ("head", "full")))
    assert [(one.model, one.method, one.rate) for one in found] == [
        *(("other/model", "head", 1e-2), ("other/model", "full", 5e-5)),
        *(("demo/minilm-en", "head", 1e-2), ("demo/minilm-en", "full", 5e-5)),
    ]
    assert {one.recipe.train.epochs for one in found} == {None}
    assert found[0].recipe.model == "other/model"
    plain = read({**DATA, "model": "demo/minilm-en", "method": "full"})
    others = candidates.first(plain, "demo/minilm-en", ["demo/minilm-en"], ("head", "full"))
    assert [one.method for one in others] == ["head"], "the recipe as it stands is not tried twice"


def test_rates_around_the_best() -> None:
    recipe = read({**DATA, "method": "full"})
    assert [one.rate for one in candidates.around(recipe, "m", {}, [5e-5])] == pytest.approx([1.5e-4, 1.67e-5])
    assert [one.rate for one in candidates.around(recipe, "m", {"train.lr": 1.5e-4}, [5e-5, 1.5e-4])] == pytest.approx(
        [4.5e-4]
    )
    staged = read({**DATA, "stages": "gradual"})
    assert list(candidates.around(staged, "m", {}, [])) == []
    assert candidates.as_it_stands(staged, "m").method == "gradual"


def test_names_that_are_wrong() -> None:
    recipe = read(DATA)
    with pytest.raises(RecipeError, match=r"--methods: there is no method 'loar'; did you mean 'lora'\?"):
        candidates.methods_of(["loar"])
    with pytest.raises(RecipeError, match="--methods names a method twice"):
        candidates.methods_of(["head", "head"])
    with pytest.raises(RecipeError, match="--models names a model twice"):
        candidates.models_of(recipe, ["a", "a"])
    assert candidates.models_of(recipe, ["demo/minilm-en", "b"]) == ["b"]
    assert candidates.methods_of([]) == ("head", "top", "lora", "full")


def test_models_that_are_suggested_lie_here_or_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "_is_here", lambda name: name in MODELS)
    assert candidates.at_hand("text", "mine") == ["demo/minilm-en"]
    assert candidates.at_hand("text", "demo/minilm-en") == []
    assert candidates.at_hand("audio", "mine") == candidates.at_hand("dialogue", "mine") == []
    lines = inspect.getsource(suggested_model).replace(repr(SUGGESTED), "")
    for name in (one for names in SUGGESTED.values() for one in names):
        assert lines.count(name) >= 2, "each of them stands in a line that `luthier init` writes"


def test_the_clock_counts_over_calls() -> None:
    seconds = iter([100.0, 130.0, 160.0])
    clock = Clock(2, spent=30, now=lambda: next(seconds))
    assert clock.spent == 60
    assert clock.left == 30
    assert (said(9.6), said(150)) == ("10 s", "2.5 min")


def test_how_long_the_rest_takes() -> None:
    begun = trial(1, 0.5)
    assert begun.rest == pytest.approx(20), "ten of thirty steps took ten seconds"
    slow, quick = ({"pace": pace, "opening": opening} for pace, opening in ((0.7, 3.0), (0.5, 4.0)))
    timed = trial(1, 0.5, 0.6)
    timed.scores = [one.model_copy(update=took) for one, took in zip(timed.scores, (slow, quick), strict=True)]
    assert timed.rest == pytest.approx(0.5 * 10 + 3), "the pace of the last rung, and the shortest opening"
    assert trial(1, 0.5, 0.6, whole=True).rest == 0
    assert trial(1, forecast=42.0).rest == 42
    early = Score(**{**score(1, 0.5).model_dump(), "whole": True})
    assert trial(1).model_copy(update={"scores": [early]}).at(2) == early, "a training that stopped early is at its end"


THIRTY: Any = SimpleNamespace(steps=lambda state: 30, device=torch.device("cpu"))
"""A job of thirty steps."""


def leg_of(share: float) -> Leg:
    """A leg with time enough for itself, and none to go on to the end."""
    return Leg(share, lambda: 100.0, lambda: 0.0, whole=False)


def walk(leg: Leg, state: State) -> State:
    """Train until the leg stops it or the steps are done."""
    leg.start(THIRTY, state)
    while state.step < 30 and not state.stopped:
        state.step += 1
        leg.after_step(THIRTY, state, None)  # type: ignore[arg-type]
    return state


def test_a_leg_ends_at_its_share_and_the_next_goes_on() -> None:
    state = walk(leg_of(1 / 3), State())
    assert (state.step, state.stopped) == (10, "ended by luthier auto after step 10 of 30")
    assert walk(leg_of(1 / 3), state).step == 10, "a leg that is done is not walked again"
    assert paused(state)
    end = walk(leg_of(1.0), state)
    assert (end.step, end.stopped, paused(end)) == (30, "", False)


@pytest.mark.parametrize(("left", "steps"), [(59.0, 10), (61.0, 30)])
def test_what_can_end_in_a_third_of_the_time_left_goes_to_its_end(left: float, steps: int) -> None:
    """Each step takes a second; ten and a half seconds are not kept for another trial."""
    state = State()
    leg = Leg(1 / 3, lambda: 10.5 - state.step, lambda: left + 10 - state.step, whole=False)
    walk(leg, state)
    assert (state.step, leg.cut, leg.pace) == (steps, False, 1.0)
    assert paused(state) == (steps == 10)


def test_a_leg_ends_in_the_step_in_which_the_time_runs_out() -> None:
    left = iter([3.0, 2.0, 1.0, 0.0, -1.0])
    leg = Leg(1.0, lambda: next(left), lambda: 0.0, whole=False)
    state = walk(leg, State())
    assert (state.step, leg.cut, leg.needed) == (4, True, 0.0)
    assert state.stopped == "ended by luthier auto after step 4 of 30: the time was over"


@pytest.mark.parametrize(("minutes", "steps", "needed"), [(10, 5, 250.0), (11, 30, 0.0)])
def test_a_leg_is_given_up_where_its_first_steps_say_that_it_is_too_long(
    minutes: int, steps: int, needed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first step takes 60 seconds of the processor, each other one 10; for the first five the processor has other work, too."""
    spent = {"clock": 0.0, "processor": 0.0}
    clocks = SimpleNamespace(perf_counter=lambda: spent["clock"], process_time=lambda: spent["processor"])
    monkeypatch.setattr(hardware, "time", clocks)

    def left() -> float:
        own = 10 if spent["clock"] else 60
        spent["processor"] += own
        spent["clock"] += 4 * own if spent["processor"] <= 100 else own
        return 60 * minutes - spent["clock"]

    leg = Leg(1.0, left, lambda: 0.0, whole=True)
    state = walk(leg, State())
    assert (state.step, leg.needed) == (steps, needed)


def test_what_stops_a_training_for_another_reason_stays() -> None:
    state = State(step=9, stopped="")
    leg = leg_of(1 / 3)
    leg.start(THIRTY, state)
    state.step, state.stopped = 10, "early stopping: enough"
    leg.after_step(THIRTY, state, None)  # type: ignore[arg-type]
    assert state.stopped == "early stopping: enough"
    assert not paused(state)
