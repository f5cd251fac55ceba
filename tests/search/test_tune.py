"""The search from end to end: what is chosen on which rows, what a trial is, what is shared, what becomes of those that fail."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from searches import RATES, events, recipe_of, search_of, tried
from sklearn.metrics import f1_score

import luthier as public
from luthier.advise import fitting
from luthier.errors import RecipeError, RunError
from luthier.evaluate.bootstrap import draw
from luthier.pipeline import train
from luthier.recipe.reading import dump, read
from luthier.search import best, report, trial, tune
from luthier.search.tune import Budget
from luthier.training.frozen import _Lower


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, write_reviews: Any) -> Path:
    return write_reviews(tmp_path_factory.mktemp("rows"), 240)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, rows: Path, tiny_bert: Path) -> Path:
    """A search by the command line: some trials end in full, one early, and some fail for two reasons."""
    from luthier.__main__ import main

    place = tmp_path_factory.mktemp("searched")
    space = {"train.lr": {"from": 1e-5, "to": 9.0, "log": True}, "method.blocks": {"among": [2, 9]}}
    recipe = recipe_of(tiny_bert, rows, place / "run", space, method="top", train={"lr": 1e-3})
    (place / "recipe.yaml").write_text(dump(recipe), encoding="utf-8")
    with pytest.raises(SystemExit) as end:
        main(["tune", str(place / "recipe.yaml"), "--trials", "14"])
    assert not end.value.code
    return place / "run"


def test_the_best_is_an_ordinary_run(searched: Path, luthier: Any) -> None:
    facts = json.loads((searched / "tune.json").read_text(encoding="utf-8"))
    values = {one["number"]: one["value"] for one in facts["trials"] if one["value"] is not None}
    assert facts["best"] == max(values, key=lambda number: (values[number], -number))
    run = public.open(searched)
    assert run.recipe.search is None
    assert run.evaluate("validation").metrics["f1_macro"] == pytest.approx(values[facts["best"]])
    assert facts["test"]["value"] == run.evaluate("test").metrics["f1_macro"]
    assert luthier("predict", searched, "the good film").code == 0


def test_a_trial_is_what_train_makes_of_its_recipe(searched: Path, tmp_path: Path) -> None:
    text = (searched / "best.yaml").read_text(encoding="utf-8")
    facts = json.loads((searched / "tune.json").read_text(encoding="utf-8"))
    assert text.startswith(f"# Trial {facts['best']} of 14, the best by f1_macro on 24 validation rows: ")
    again = train(searched / "best.yaml", output=str(tmp_path / "again"))
    model = "model/model.safetensors"
    assert (again.path / model).read_bytes() == (searched / model).read_bytes()
    assert read(searched / "best.yaml").output == f"{searched}-best"


def test_the_first_trial_is_the_recipe_as_it_stood(searched: Path) -> None:
    first = json.loads((searched / "tune.json").read_text(encoding="utf-8"))["trials"][0]
    assert first["values"] == {"train.lr": 1e-3, "method.blocks": 2}
    assert first["state"] == "complete"


def test_what_fails_is_shown_with_its_reason(searched: Path) -> None:
    facts = json.loads((searched / "tune.json").read_text(encoding="utf-8"))
    assert len(facts["trials"]) == 14 == sum(facts["counts"].values())
    reasons = [one["reason"] for one in facts["trials"] if one["state"] == "failed"]
    unfit = "method top: blocks: 9 is more than the 2 blocks that this model has."
    assert unfit in reasons
    assert any(one.startswith("Training diverged at step") for one in reasons)
    page = (searched / "tune.html").read_text(encoding="utf-8")
    assert f"failed: {unfit}" in page
    assert page.count('<th scope="row" class="number">') >= 14


def test_the_page_stands_alone_and_is_well_formed(searched: Path) -> None:
    page = (searched / "tune.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")
    for drawing in page.split("<svg")[1:]:
        element = ET.fromstring("<svg" + drawing.split("</svg>")[0].replace("xlink:", "") + "</svg>")
        assert element.get("aria-label")
    facts = json.loads((searched / "tune.json").read_text(encoding="utf-8"))
    assert facts["sentence"] in page.replace("&#39;", "'")
    for number, one in enumerate(facts["trials"]):
        assert one["number"] == number
        assert one["said"].split(",")[0] in page


def test_test_rows_decide_nothing(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = list(csv.DictReader(rows.open(encoding="utf-8")))
    names = {"negative": "positive", "positive": "negative"}
    found = []
    for name, other in (("as it is", False), ("turned round", True)):
        place = tmp_path / name
        place.mkdir()
        for part, some in (("train", lines[:120]), ("validation", lines[120:180]), ("test", lines[180:])):
            turned = other and part == "test"
            told = [f"{one['review']},{names[one['sentiment']] if turned else one['sentiment']}" for one in some]
            (place / f"{part}.csv").write_text("\n".join(["review,sentiment", *told]) + "\n", encoding="utf-8")
        files = {part: str(place / f"{part}.csv") for part in ("train", "validation", "test")}
        search = search_of(recipe_of(tiny_bert, rows, place / "run", data={"files": files}), 4)
        folder = search.trials.folder_of(search.best().number)
        assert not events(folder.path, "score"), "a trial's test rows are not scored"
        assert {one["split"] for one in events(folder.path, "evaluate")} == {"validation"}
        assert not (folder / "predictions.parquet").exists()
        assert best.finish(search)
        assert {one["split"] for one in events(search.folder.path, "score")} == {"validation", "test"}
        found.append(
            (tried(search), search.best().number, public.open(search.folder.path).evaluate("test").metrics["log_loss"])
        )
    assert found[0][:2] == found[1][:2]
    assert found[0][2] != found[1][2]


def test_the_frozen_part_is_computed_once(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    filled, prepared = [], []
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    fill, prepare = _Lower.fill, trial.prepare
    monkeypatch.setattr(_Lower, "fill", lambda self, *given: filled.append(fill(self, *given)))
    monkeypatch.setattr(trial, "prepare", lambda *given: prepared.append(0) or prepare(*given))
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run", method="head"), 3)
    logs = [events(search.trials.folder_of(number).path, "frozen")[0] for number in range(3)]
    assert [one["reused"] for one in logs] == [False, True, True]
    assert len(filled) == 2, "training and validation rows, once each"
    assert len(prepared) == 1


def test_the_interval_is_that_of_the_same_resamples(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    space = {"train.lr": {"among": [1e-5, 3e-3, 5e-3]}}
    keys: dict[str, Any] = {"train": {"epochs": 6, "lr": 1e-5, "batch_size": 8}}
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run", space, **keys), 4)
    chosen = search.best()
    assert chosen.number > 0
    answers = []
    for number in (0, chosen.number):
        values = search.trials.all()[number].user_attrs["values"]
        run = train(search.own(values, tune.RunFolder(tmp_path / f"alone-{number}")))
        targets, scores = run._stored("validation")
        answers.append((targets, scores.argmax(1)))
    gains = []
    for times in np.concatenate(list(draw(24, 0))).astype(int):
        drawn = np.repeat(np.arange(24), times)
        marks = [f1_score(true[drawn], said[drawn], average="macro") for true, said in answers]
        gains.append(marks[1] - marks[0])
    found = best.difference(search, chosen)
    assert found.interval == pytest.approx(np.percentile(gains, [2.5, 97.5]), abs=1e-9)
    assert found.gain == pytest.approx(chosen.value - search.trials.all()[0].value)
    assert found.noise == (found.interval[0] <= 0 <= found.interval[1])


@pytest.mark.parametrize(
    ("chosen", "value", "first", "interval", "lower", "sentence"),
    [
        (
            *(3, 0.9, 0.8, (0.02, 0.2), False),
            "Trial 3 has f1 0.9000 on the 1,000 validation rows, 0.1000 more than the recipe as it stood (trial 0: 0.8000); the 95 % "
            "interval of the gain is +0.0200 to +0.2000. Chosen among 20 on these rows, it looks better than it is.",
        ),
        (
            *(3, 0.8, 0.9, (-0.02, 0.2), True),
            "Trial 3 has f1 0.8000 on the 1,000 validation rows, 0.1000 less than the recipe as it stood (trial 0: 0.9000). That is within "
            "the noise of so few rows: the 95 % interval of the gain is -0.0200 to +0.2000.",
        ),
        (
            *(0, 0.9, 0.9, None, False),
            "Trial 0 has f1 0.9000 on the 1,000 validation rows: of 20 trials none was better than the first, the recipe as it stood.",
        ),
        (
            *(3, 0.9, None, None, False),
            "Trial 3 has f1 0.9000 on the 1,000 validation rows; the first trial, the recipe as it stood, has no figure to compare it "
            "with.",
        ),
        (
            *(3, 0.9, 0.8, None, False),
            "Trial 3 has f1 0.9000 on the 1,000 validation rows, 0.1000 more than the recipe as it stood (trial 0: 0.8000); how sure that "
            "is, is not known for this figure here.",
        ),
    ],
)
def test_how_much_better_in_a_sentence(chosen, value, first, interval, lower, sentence: str) -> None:
    assert best.Difference(chosen, "f1", 1000, 20, value, first, interval, lower).sentence == sentence


def test_pruned_trials_end_early_and_are_shown(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    space = {"train.lr": {"among": [3e-3, 1e-7]}}
    keys: dict[str, Any] = {"train": {"epochs": 6, "lr": 3e-3}}
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run", space, **keys), 12)
    ended = {one.state.name for one in search.trials.all()}
    assert ended == {"COMPLETE", "PRUNED"}
    for one in search.trials.all():
        if one.state.name == "PRUNED":
            assert one.params["train.lr"] == "1e-07"
            assert 2 <= len(one.intermediate_values) < 6 == len(search.trials.all()[0].intermediate_values)
            assert one.user_attrs["reason"].startswith("ended early: f1_macro ")
            folder = search.trials.folder_of(one.number)
            assert len(events(folder.path, "evaluate")) == len(one.intermediate_values)
    assert best.finish(search)
    report.write(search)
    facts = json.loads((search.folder / "tune.json").read_text(encoding="utf-8"))
    assert facts["counts"]["pruned"] == sum(one.state.name == "PRUNED" for one in search.trials.all())
    assert set(facts["importance"]) == {"train.lr"}


def test_no_pruner_prunes_nothing(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    space = {"train.lr": {"among": [3e-3, 1e-7]}}
    keys: dict[str, Any] = {"search": {"pruner": "none"}, "train": {"lr": 3e-3}}
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "none", space, **keys), 8)
    assert {one.state.name for one in search.trials.all()} == {"COMPLETE"}


@pytest.mark.slow
def test_hyperband_gives_few_trials_all_epochs(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    keys: dict[str, Any] = {"search": {"pruner": "hyperband"}, "train": {"epochs": 9}}
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run", **keys), 10)
    lengths = [len(one.intermediate_values) for one in search.trials.all()]
    assert lengths[0] == 9, "the first is never ended early"
    assert min(lengths) < 9


def test_memory_that_runs_out_is_a_failed_trial(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    whole = trial.run_loop

    def short(folder: Any, job: Any, ready: Any, *rest: Any) -> None:
        if ready.recipe.train.batch_size == 64:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory")
        whole(folder, job, ready, *rest)

    monkeypatch.setattr(trial, "run_loop", short)
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run", {"train.batch_size": {"among": [16, 64]}}), 5)
    failed = [one for one in search.trials.all() if one.state.name == "FAIL"]
    assert failed
    assert {one.params["train.batch_size"] for one in failed} == {"64"}
    assert {one.user_attrs["reason"] for one in failed} == {"out of memory"}
    assert len(search.trials.all()) == 5


def test_what_has_no_room_is_a_failed_trial(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(fitting.hardware, "available_memory", lambda: 1000)
    search = search_of(recipe_of(tiny_bert, rows, tmp_path / "run"), 1)
    reason = search.trials.all()[0].user_attrs["reason"]
    assert reason.startswith("This training takes about ")
    assert "--force" not in reason, "a search has no such option"


def test_an_unknown_error_is_not_swallowed(rows: Path, tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    def broken(*given: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(trial, "run_loop", broken)
    with pytest.raises(RuntimeError, match="a mistake of ours"):
        search_of(recipe_of(tiny_bert, rows, tmp_path / "run"), 1)


def test_all_failed(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_bert, rows, tmp_path / "run", {"method.blocks": {"among": [8, 9]}}, method="top")
    search = search_of(recipe, 2)
    with pytest.raises(RunError) as wrong:
        best.finish(search)
    assert str(wrong.value).splitlines() == [
        "No trial has ended with a f1_macro, so there is nothing to choose from.",
        "  trial 0: method top: blocks: 8 is more than the 2 blocks that this model has.",
        f"  trial 1: method top: blocks: {search.trials.all()[1].params['method.blocks']} is more than the 2 blocks that this model has.",
    ]


def test_weights_of_others_than_the_best_are_deleted(searched: Path) -> None:
    facts = json.loads((searched / "tune.json").read_text(encoding="utf-8"))
    kept = {int(one.parent.name) for one in searched.glob("trials/*/checkpoints")}
    assert kept == {0, facts["best"]}


def test_validation_rows_are_needed(rows: Path, tiny_bert: Path, tmp_path: Path) -> None:
    data = {"files": {"train": str(rows), "test": str(rows)}, "split": {"validation": 0}}
    with pytest.raises(RecipeError) as wrong:
        search_of(recipe_of(tiny_bert, rows, tmp_path / "run", data=data))
    assert str(wrong.value).startswith(
        "luthier tune chooses by validation rows, and there are none: give data.files.validation"
    )


def test_a_search_has_a_folder_of_its_own(rows: Path, tiny_bert: Path, tmp_path: Path, luthier: Any) -> None:
    recipe = recipe_of(tiny_bert, rows, tmp_path / "run", train={"epochs": 1})
    (tmp_path / "recipe.yaml").write_text(dump(recipe), encoding="utf-8")
    train(recipe)
    said = luthier("tune", tmp_path / "recipe.yaml", "--trials", "1")
    assert said.code == 2
    assert said.err == (
        f"error: {tmp_path}/run holds a run of `luthier train`, and a search needs a folder of its own. Give another output=...\n"
    )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    said = luthier("tune", tmp_path / "recipe.yaml", f"output={tmp_path}/mine", "--trials", "1")
    assert "is not empty (it has 'notes.txt'), and a search needs a folder of its own." in said.err


def test_optuna_is_optional(rows: Path, tiny_bert: Path, tmp_path: Path, luthier: Any, monkeypatch) -> None:
    (tmp_path / "recipe.yaml").write_text(dump(recipe_of(tiny_bert, rows, tmp_path / "run")), encoding="utf-8")
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    said = luthier("tune", tmp_path / "recipe.yaml")
    assert said.code == 2
    assert "pip install 'luthier[search]'" in said.err


def test_no_minutes(rows: Path, tiny_bert: Path, tmp_path: Path, luthier: Any) -> None:
    (tmp_path / "recipe.yaml").write_text(dump(recipe_of(tiny_bert, rows, tmp_path / "run")), encoding="utf-8")
    said = luthier("tune", tmp_path / "recipe.yaml", "--minutes", "0")
    assert (said.code, said.err) == (2, "error: --minutes is 0; give a number above 0, such as --minutes 10.\n")
    assert not (tmp_path / "run").exists()


def test_minutes() -> None:
    from time import monotonic

    now = monotonic()
    assert Budget(None, None).left(now - 1e6, [100.0])
    assert Budget(None, 2).left(now - 60, [30.0, 40.0, 50.0])
    assert not Budget(None, 2).left(now - 60, [70.0, 80.0, 90.0]), "the next would end too late"
    assert Budget(None, 2).left(now, []), "nothing is known before the first"
    assert RATES["log"]
