"""`luthier auto` from end to end: what it finds, on which rows, in what time, and what becomes of it when it is killed."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from autos import QUIET, recipe_of, runner_of, score, searched, trial
from searches import events

import luthier as public
from luthier import embed, prepare
from luthier.auto import candidates, halving, leg, probing, race, runner
from luthier.auto.candidates import as_it_stands
from luthier.auto.finish import finish
from luthier.auto.forecast import Forecast
from luthier.auto.ledger import Probed
from luthier.auto.leg import Leg
from luthier.auto.race import Race
from luthier.auto.runner import Runner
from luthier.errors import RecipeError, RunError
from luthier.pipeline import train
from luthier.recipe.reading import dump
from luthier.search.trial import ATTEMPTS, Bench
from luthier.tasks.classify import Classes
from luthier.training.callbacks import Interrupt

UNSEEN = "unseen"
"""What test rows say, and no other."""


@pytest.fixture(autouse=True)
def _halved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halve, though there is time for all trials, and let none go on to its end at once."""
    _halve(monkeypatch)


def _halve(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(halving, "SHARES", halving.SHARES[1:])
    patch.setattr(leg, "SPARED", 0.0)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, write_reviews: Any) -> Path:
    return write_reviews(tmp_path_factory.mktemp("rows"), 200)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, write_reviews: Any) -> Path:
    """The tiny model after it has learned such rows: a better base than the random one."""
    place = tmp_path_factory.mktemp("planted")
    recipe = recipe_of(tiny_bert, write_reviews(place, 400, 1), place / "run")
    train(recipe, "train.epochs=8", "train.lr=3e-3")
    return place / "run"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, rows: Path, tiny_bert: Path, planted: Path) -> Path:
    """A search by the command line: a better base model lies among the candidates, and a method that cannot be."""
    from luthier.__main__ import main

    place = tmp_path_factory.mktemp("found")
    (place / "recipe.yaml").write_text(dump(recipe_of(tiny_bert, rows, place / "run")), encoding="utf-8")
    options = ("--minutes", "60", "--models", str(planted), "--methods", "head,full,cloze")
    with pytest.MonkeyPatch.context() as patch:
        _halve(patch)
        with pytest.raises(SystemExit) as end:
            main(["auto", str(place / "recipe.yaml"), *options])
    assert not end.value.code
    return place / "run"


def facts_of(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "auto.json").read_text(encoding="utf-8")))


def test_a_planted_base_model_is_found(found: Path, planted: Path) -> None:
    facts = facts_of(found)
    assert [one["model"] for one in facts["probes"]][1] == str(planted)
    assert facts["probes"][1]["value"] > facts["probes"][0]["value"]
    winner = facts["trials"][facts["winner"]]
    assert winner["model"] == str(planted)
    values = {one["number"]: one["scores"][-1]["value"] for one in facts["trials"] if one["scores"]}
    assert values[facts["winner"]] == max(values.values())
    default = next(one for one in facts["trials"] if one["given"])
    assert default["scores"][-1]["whole"], "the recipe as it stood goes to its end"
    assert f"The recipe as it stood has {default['scores'][-1]['value']:.4f}: a gain of +" in facts["sentence"]


def test_the_winner_is_an_ordinary_run(found: Path, luthier: Any) -> None:
    facts, run = facts_of(found), public.open(found)
    assert run.evaluate("validation").metrics["f1_macro"] == pytest.approx(
        facts["trials"][facts["winner"]]["scores"][-1]["value"]
    )
    assert facts["test"]["value"] == run.evaluate("test").metrics["f1_macro"]
    assert luthier("predict", found, "the good film").code == 0
    assert not list(found.glob("trials/*/checkpoints")), "no weights are left over"


def test_going_on_from_a_rung_is_the_same_as_never_to_have_stopped(found: Path, tmp_path: Path) -> None:
    facts = facts_of(found)
    assert len(facts["trials"][facts["winner"]]["scores"]) == 2, "it has stopped on its way"
    again = train(found / "best.yaml", output=str(tmp_path / "again"))
    model = "model/model.safetensors"
    assert (again.path / model).read_bytes() == (found / model).read_bytes()


def test_what_fails_is_shown_with_its_reason(found: Path) -> None:
    facts = facts_of(found)
    failed = [one for one in facts["trials"] if one["method"] == "cloze"]
    assert failed
    assert all(one["failed"] and one["state"].startswith("failed: ") for one in failed)
    page = (found / "auto.html").read_text(encoding="utf-8")
    for number, one in enumerate(facts["trials"]):
        assert one["number"] == number
        assert one["said"] in page
    assert failed[0]["state"] in page.replace("&#39;", "'").replace("&#34;", '"')


def test_every_choice_says_on_what_it_was_made(found: Path) -> None:
    facts, page = facts_of(found), (found / "auto.html").read_text(encoding="utf-8")
    alone = facts["probes"][0]["rows"]
    assert 100 < alone <= 160
    assert facts["chosen_on"] == [
        [
            "which base models go on",
            f"{alone} training rows, no two alike, each answered by a probe that had not seen it",
        ],
        ["which trials go on, and when the search is over", "20 validation rows"],
        ["the best epoch of a trial", "20 validation rows"],
        ["the winner", "20 validation rows"],
        ["the weights", "160 training rows"],
        ["nothing", "20 test rows: encoded and scored once, at the end, for the winner alone"],
    ]
    for _, told in facts["chosen_on"]:
        assert told in page
    assert facts["stopped"].startswith("nothing is gained")
    assert facts["stopped"].split(":")[0] in page


def test_the_page_stands_alone_and_is_well_formed(found: Path) -> None:
    page = (found / "auto.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for drawing in page.split("<svg")[1:]:
        element = ET.fromstring("<svg" + drawing.split("</svg>")[0].replace("xlink:", "") + "</svg>")
        assert element.get("aria-label")


def test_a_finished_search_is_not_begun_again(found: Path, planted: Path, luthier: Any) -> None:
    before = (found / "ledger.json").read_text(encoding="utf-8")
    recipe = found.parent / "recipe.yaml"
    options = ("--minutes", "60", "--models", planted, "--methods", "head,full,cloze")
    said = luthier("auto", recipe, *options)
    assert said.code == 0
    assert "is finished already; --restart begins it anew." in said.err
    assert facts_of(found)["sentence"] in said.out
    assert (found / "ledger.json").read_text(encoding="utf-8") == before
    other = luthier("auto", recipe, "--minutes", "60", "--methods", "head")
    assert other.code == 2
    assert f"{found} holds another search:\n  --methods: ['head', 'full', 'cloze'] there, ['head'] here" in other.err


class Killed(BaseException):
    """As the system ends a process."""


def test_killed_and_started_again_is_the_same(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: Any) -> None:
    methods = ("full", "head", "top")
    whole = searched(recipe_of(tiny_bert, rows, tmp_path / "whole"), methods)
    legs, worked = [], Bench.work
    after_step = Leg.after_step

    def kill(self: Leg, job: Any, state: Any, step: Any) -> None:
        after_step(self, job, state, step)
        if len(legs) == 3 and state.step == 13:
            raise Killed

    def work(self: Bench, recipe: Any, folder: Any, *watches: Any) -> Any:
        legs.append((folder.path.name, watches[0].share))
        return worked(self, recipe, folder, *watches)

    monkeypatch.setattr(Leg, "after_step", kill)
    monkeypatch.setattr(Bench, "work", work)
    with pytest.raises(Killed):
        searched(recipe_of(tiny_bert, rows, tmp_path / "killed"), methods)
    again = searched(recipe_of(tiny_bert, rows, tmp_path / "killed"), methods)
    assert legs.count(legs[2]) == 2, "the trial in progress was begun again"
    assert len(set(legs)) == len(legs) - 1, "and nothing else was"
    told = [
        [(one.values, one.out, [(score.value, score.resampled, score.step) for score in one.scores]) for one in each]
        for each in (whole.ledger.trials, again.ledger.trials)
    ]
    assert told[0] == told[1], "the same seed makes the same choices"
    assert again.ledger.winner == whole.ledger.winner
    steps = [one["step"] for one in events(again.folder_of(again.ledger.trials[2]).path, "step")]
    assert steps == sorted(set(steps))
    model = "model/model.safetensors"
    assert (again.folder / model).read_bytes() == (whole.folder / model).read_bytes()


class Ticking:
    """A clock that goes on by some seconds whenever it is looked at."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.told = seconds, 0.0

    def __call__(self) -> float:
        self.told += self.seconds
        return self.told


def test_the_time_is_held(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: Any) -> None:
    clock, lefts = Ticking(2.0), []
    left = Runner.left

    def watched(self: Runner, trial: Any = None) -> float:
        lefts.append(left(self, trial))
        return lefts[-1]

    monkeypatch.setattr(Runner, "left", watched)
    runner = searched(recipe_of(tiny_bert, rows, tmp_path / "run"), ("head", "top"), minutes=2, now=clock)
    assert runner.ledger.stopped.startswith("the time is over")
    cut = [one for one in runner.ledger.trials if one.scores and one.scores[-1].cut]
    assert cut, "a training was stopped in its midst"
    steps = [score for one in runner.ledger.trials for score in one.scores]
    assert all(score.step <= score.steps for score in steps)
    late = [one for one in lefts if one <= 0]
    assert len(late) <= 2 + 3 * len(runner.ledger.trials), "no step is done after the one in which the time runs out"
    winner = runner.ledger.trials[runner.ledger.winner]
    run = public.open(runner.folder.path)
    assert run.evaluate("validation").metrics["f1_macro"] == pytest.approx(winner.scores[-1].value)
    assert [one["step"] for one in events(run.path, "step")][-1] == winner.scores[-1].step, "the end trains no further"


def test_test_rows_are_not_read_before_the_end(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: Any) -> None:
    lines = list(csv.DictReader(rows.open(encoding="utf-8")))
    parts = {"train": lines[:120], "validation": lines[120:160], "test": lines[160:]}
    for part, some in parts.items():
        mark = UNSEEN if part == "test" else "the"
        told = [f"{mark} {one['review']},{one['sentiment']}" for one in some]
        (tmp_path / f"{part}.csv").write_text("\n".join(["review,sentiment", *told]) + "\n", encoding="utf-8")
    data = {"files": {part: str(tmp_path / f"{part}.csv") for part in parts}}
    read: list[bool] = []
    for module in (prepare, embed.encode):
        monkeypatch.setattr(module, "encode", _spy(module.encode, read))
    runner = runner_of(recipe_of(tiny_bert, data, tmp_path / "run"))
    Race(runner, QUIET).run([], ("head",))
    assert read
    assert not any(read), "nothing has encoded a test row, so nothing can have scored one"
    finish(runner, QUIET)
    assert read.count(True) == 1
    assert {one["split"] for one in events(runner.folder.path, "score")} == {"validation", "test"}


def _spy(encode: Any, read: list[bool]) -> Any:
    def spying(table: Any, columns: Any, *rest: Any) -> Any:
        read.append(any(UNSEEN in row for column in columns for row in table[column]))
        return encode(table, columns, *rest)

    return spying


@pytest.fixture
def begun(rows: Path, tiny_bert: Path, tmp_path: Path) -> Race:
    """A search before its first step."""
    return Race(runner_of(recipe_of(tiny_bert, rows, tmp_path / "run")), QUIET)


def test_a_task_without_a_linear_model_begins_with_rung_1(begun: Race, monkeypatch: Any) -> None:
    monkeypatch.setattr(Classes, "linear", lambda *given: None)
    going = begun._probe([])
    assert [one.value for one in going] == [None]
    assert going[0].unprobed == "There is no linear model of this task's answers, so nothing can be probed."


def test_vectors_take_no_more_than_their_share(begun: Race, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    runner = begun.runner
    late = probing.probed(runner.met, runner.recipe, True, lambda: 0.0, QUIET)
    assert late.unprobed == "its vectors would take more than their share of the time"
    assert late.value is None


def test_a_model_that_cannot_be_used_is_out_and_shown(begun: Race, tmp_path: Path) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{}", encoding="utf-8")
    found = begun._probed(str(tmp_path / "odd"), lambda: 1.0)
    assert found.out == "it cannot be used"
    assert found.unprobed
    assert race._probe_told(Probed(model="a", own=False, unprobed="why", out="it cannot be used")) == (
        "a: not probed: why; out: it cannot be used"
    )


def test_a_trial_whose_process_always_ends_has_failed(begun: Race) -> None:
    begun._enter(1, [as_it_stands(begun.recipe, begun.own)])
    one = begun.ledger.trials[0]
    one.attempts = ATTEMPTS
    begun.runner.go(one, 1, 1 / 3)
    assert one.failed
    assert one.out == "failed: its process was ended 3 times, as the system does when memory runs out"
    with pytest.raises(RunError) as wrong:
        begun.best()
    assert str(wrong.value).splitlines() == [
        "No trial has ended with a f1_macro, so there is nothing to choose from.",
        f"  full, lr 0.001: {one.out}",
    ]


def test_a_wish_to_stop_is_no_failure(begun: Race, monkeypatch: Any) -> None:
    begun._enter(1, [as_it_stands(begun.recipe, begun.own)])
    one = begun.ledger.trials[0]
    worked = SimpleNamespace(state=SimpleNamespace(stopped=Interrupt.REASON))
    monkeypatch.setattr(Bench, "work", lambda *given: worked)
    with pytest.raises(KeyboardInterrupt, match="The same command goes on from there"):
        begun.runner.go(one, 1, 1 / 3)
    assert (one.failed, one.attempts) == (False, 0)


def test_what_takes_too_long_or_too_much_is_left_out(begun: Race, monkeypatch: Any) -> None:
    given = [candidates.as_it_stands(begun.recipe, begun.own)]
    begun._enter(1, [*given, *candidates.first(begun.recipe, begun.own, [begun.own], ("head", "top"))])
    foreseen = iter([Forecast("", seconds=1e6, memory=1), Forecast("This training takes about 9 GB.")])
    monkeypatch.setattr(runner, "LONG", 1)
    monkeypatch.setattr(runner, "forecast", lambda *given: next(foreseen))
    _, long, large = begun.ledger.trials
    begun._leave_out(long, 1, 1 / 3)
    begun._leave_out(large, 1, 1 / 3)
    assert long.out.startswith("no time: about 5555.6 min to its first score, and ")
    assert large.out == "no memory: This training takes about 9 GB."


def test_the_recipe_as_it_stands_goes_on_while_there_is_time(begun: Race, monkeypatch: Any) -> None:
    begun._enter(1, [as_it_stands(begun.recipe, begun.own)])
    one, left = begun.ledger.trials[0], [0.0, 1.0, 0.0]
    monkeypatch.setattr(Runner, "left", lambda *given: left.pop(0))
    begun._leave_out(one, 1, 1 / 3)
    assert one.out == "", "it is begun in any case, so that there is something to compare with"
    one.scores.append(score(1, 0.5))
    begun._leave_out(one, 2, 1.0)
    assert one.out == ""
    begun._leave_out(one, 2, 1.0)
    assert one.out == "no time to go on: it counts as it stands after step 10 of 30"


@pytest.mark.parametrize(
    ("needed", "before", "after"),
    [(60.0, 30.0, 30.0), (80.0, 30.0, 10.0), (120.0, 30.0, 90.0)],
)
def test_time_is_kept_for_the_recipe_as_it_stands(
    begun: Race, monkeypatch: Any, needed: float, before: float, after: float
) -> None:
    """Of 90 seconds; a third is no one's before it has begun, and what cannot end holds nothing up once it has."""
    given = candidates.as_it_stands(begun.recipe, begun.own)
    begun._enter(1, [given, *candidates.first(begun.recipe, begun.own, [begun.own], ("top",))])
    monkeypatch.setattr(Runner, "free", lambda *given: 90.0)
    default, other = begun.ledger.trials
    default.forecast = needed
    assert begun.runner.left(default) == 90
    if needed > 90:
        assert begun.runner.left(other) == 90, "nothing has come to its end, so that any is better than none"
        begun.ledger.trials.append(trial(2, 0.5, whole=True))
    assert begun.runner.left(other) == pytest.approx(max(before, 90 - needed))
    default.scores.append(score(1, 0.5).model_copy(update={"seconds": needed / 2}))
    assert default.rest == pytest.approx(needed)
    assert begun.runner.left(other) == pytest.approx(after)
    default.scores.append(score(2, 0.5, whole=True))
    assert begun.runner.left(other) == 90


@pytest.mark.parametrize(("width", "winner"), [(0.1, 1), (0.5, 0)])
def test_another_rate_is_taken_only_where_the_rows_show_that_it_is_better(
    begun: Race, width: float, winner: int
) -> None:
    """It is 0.05 better, and its loss is lower; with resamples of another width the interval of the difference holds 0."""
    for number, value, loss in ((0, 0.80, 0.5), (1, 0.85, 0.4)):
        one = trial(number, wave=number + 1)
        one.scores = [score(1, value, whole=True, width=width if number else 0.1).model_copy(update={"loss": loss})]
        begun.ledger.trials.append(one)
    begun.ledger.waves = [begun._brought(1, None)]
    before = begun.scale.best(begun.ledger.of(1))
    begun.ledger.waves.append(begun._brought(2, before))
    assert begun.best().number == winner
    assert begun.ledger.waves[-1].startswith("Wave 2: trial 1 (full, lr 1) leads, f1_macro 0.8500")
    assert (begun.ledger.stopped == "") == (winner == 1)
    assert begun.ledger.stopped.endswith("over trial 0, which is kept") == (winner == 0)


def test_what_leads_for_the_lowest_loss_of_its_like_is_said_to(begun: Race) -> None:
    for number, value, loss in ((0, 0.80, 0.9), (1, 0.78, 0.5)):
        one = trial(number)
        one.scores = [score(1, value, whole=True, width=0.5 if number else 0.1).model_copy(update={"loss": loss})]
        begun.ledger.trials.append(one)
    assert begun._brought(1, None) == (
        "Wave 1: trial 1 (full, lr 1) leads, f1_macro 0.7800 and the lowest Brier score of its like, 0.5000."
    )
    begun.ledger.trials[1].scores[0].loss = 0.95
    assert begun._brought(1, None) == "Wave 1: trial 0 (full, lr 1) leads, f1_macro 0.8000."


def test_the_two_cheapest_are_tried_before_the_recipe_as_it_stands(begun: Race, monkeypatch: Any) -> None:
    entered: list[str] = []

    def wave(self: Race, number: int, found: Any) -> None:
        entered.extend(one.method for one in found)
        self.ledger.stopped = "enough"
        self.ledger.trials.append(trial(0, 0.5))

    monkeypatch.setattr(Race, "_probe", lambda self, models: [SimpleNamespace(model=self.own)])
    monkeypatch.setattr(Race, "_wave", wave)
    begun.run([], ("head", "top", "lora"))
    assert entered == ["head", "top", "full", "lora"]


def test_what_is_out_by_its_place_is_called_back_while_there_is_time(begun: Race, monkeypatch: Any) -> None:
    """Two of five go on and the recipe as it stands; of the other two the better is called back, and no time is left for the worse."""
    values = {"head": 0.9, "lora": 0.8, "adapter": 0.7, "top": 0.6, "full": 0.5}
    gone: list[tuple[str, int]] = []

    def go(self: Runner, one: Any, rung: int, share: float) -> None:
        gone.append((one.method, rung))
        whole = share == 1
        found = score(rung, values[one.method], whole, step=30 if whole else 10, width=len(gone))
        one.scores.append(found)

    monkeypatch.setattr(Runner, "go", go)
    monkeypatch.setattr(Runner, "foresee", lambda *given, **keys: None)
    monkeypatch.setattr(Runner, "left", lambda *given: 19.0 if ("adapter", 2) in gone else 21.0)
    begun.ledger.shares = [1 / 3, 1.0]
    given = candidates.as_it_stands(begun.recipe, begun.own)
    others = candidates.first(begun.recipe, begun.own, [begun.own], ("top", "adapter", "head", "lora"))
    begun._wave(1, [given, *others])
    assert gone[5:] == [("head", 2), ("lora", 2), ("full", 2), ("adapter", 2)]
    assert {one.method: one.out for one in begun.ledger.trials if one.out} == {
        "top": "0.6000 is place 4 of 5: the best 2 went on"
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--minutes", "0"), "error: --minutes is 0; give a number above 0, such as --minutes 10.\n"),
        (("--minutes", "-3"), "error: --minutes is -3; give a number above 0, such as --minutes 10.\n"),
        (("--models", "./nowhere"), "error: There is no model folder './nowhere'."),
        (("--methods", "loar"), "error: --methods: there is no method 'loar'; did you mean 'lora'?\n"),
    ],
)
def test_bad_input(
    options: tuple[str, ...], sentence: str, rows: Path, tiny_bert: Path, tmp_path: Path, luthier: Any
) -> None:
    (tmp_path / "recipe.yaml").write_text(dump(recipe_of(tiny_bert, rows, tmp_path / "run")), encoding="utf-8")
    said = luthier("auto", tmp_path / "recipe.yaml", *options)
    assert said.code == 2
    assert said.err.startswith(sentence)
    assert not (tmp_path / "run").exists()


def test_validation_rows_are_needed(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    data = {"files": {"train": str(rows), "test": str(rows)}, "split": {"validation": 0}}
    with pytest.raises(RecipeError) as wrong:
        runner_of(recipe_of(tiny_bert, data, tmp_path / "run"))
    assert str(wrong.value).startswith("luthier auto chooses by validation rows, and there are none: give data.files.")


def test_a_search_has_a_folder_of_its_own(rows: Path, tiny_bert: Path, tmp_path: Path, luthier: Any) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "recipe.yaml").write_text(dump(recipe_of(tiny_bert, rows, tmp_path / "run")), encoding="utf-8")
    said = luthier("auto", tmp_path / "recipe.yaml")
    assert said.code == 2
    assert "is not empty (it has 'notes.txt'), and a search needs a folder of its own." in said.err
