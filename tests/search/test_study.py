"""A study that is killed goes on, and one that several processes work on at once is one study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from searches import begin, events, recipe_of, search_of, tried

from luthier.errors import RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump
from luthier.search import best, tune
from luthier.search.sampler import Seeded


def test_killed_and_started_again_is_the_same(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    whole = search_of(recipe_of(tiny_bert, reviews, tmp_path / "whole"), 4)
    best.finish(whole)
    file = tmp_path / "recipe.yaml"
    file.write_text(dump(recipe_of(tiny_bert, reviews, tmp_path / "killed")), encoding="utf-8")
    killed = begin(str(file), "--trials", "4", killed_in=1)
    killed.join()
    assert killed.exitcode == -9
    states = [
        one.state.name
        for one in optuna.load_study(study_name="killed", storage=f"sqlite:///{tmp_path}/killed/study.db").trials
    ]
    assert states == ["COMPLETE", "RUNNING"]
    again = search_of(recipe_of(tiny_bert, reviews, tmp_path / "killed"), 4)
    best.finish(again)
    assert tried(again) == tried(whole)
    assert [one.user_attrs["attempts"] for one in again.trials.all()] == [1, 2, 1, 1]
    steps = [one["step"] for one in events(again.trials.folder_of(1).path, "step")]
    assert steps == sorted(set(steps)), "it went on and did not begin anew"
    model = "model/model.safetensors"
    assert (again.folder / model).read_bytes() == (whole.folder / model).read_bytes()


def test_a_trial_whose_process_always_ends_has_failed(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump(recipe_of(tiny_bert, reviews, tmp_path / "run", train={"save_every": 1000})), encoding="utf-8")
    search = search_of(recipe_of(tiny_bert, reviews, tmp_path / "run", train={"save_every": 1000}), 1)
    trial = search.study.ask()
    trial.set_user_attr("place", search.trials.place)
    trial.set_user_attr("attempts", tune.ATTEMPTS)
    search.run(tune.Budget(3, None))
    ended = search.trials.all()
    assert [one.state.name for one in ended] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert ended[1].user_attrs["reason"] == "its process was ended 3 times, as the system does when memory runs out"


def test_two_processes_share_one_study(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(dump(recipe_of(tiny_bert, reviews, tmp_path / "run", train={"epochs": 8})), encoding="utf-8")
    processes = [begin(str(file), "--trials", "8") for _ in range(2)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    study = optuna.load_study(study_name="run", storage=f"sqlite:///{tmp_path}/run/study.db")
    assert len(study.trials) == 8
    assert all(one.state.is_finished() for one in study.trials)
    assert {one.user_attrs["process"] for one in study.trials} == {process.pid for process in processes}
    assert len({json.dumps(one.params) for one in study.trials}) == 8, "none was tried twice"
    assert study.user_attrs["scored"] == [study.user_attrs["finished"]]
    assert (tmp_path / "run" / "model" / "manifest.json").is_file()


def test_the_same_seed_tries_the_same(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    first, second, other = (
        tried(search_of(recipe_of(tiny_bert, reviews, tmp_path / name, seed=seed, data=data), 3))
        for name, seed in (("first", 0), ("second", 0), ("other", 1))
        for data in [{"files": str(reviews)}]
    )
    assert first == second
    assert [one[1] for one in first][1:] != [one[1] for one in other][1:]


def test_draws_are_a_function_of_seed_and_number() -> None:
    def values(parts: Sequence[int]) -> list[float]:
        study = optuna.create_study(sampler=Seeded(3))
        found = []
        for part in parts:
            study.sampler = Seeded(3)  # a process of its own
            for _ in range(part):
                trial = study.ask()
                found.append(trial.suggest_float("x", 0, 1))
                study.tell(trial, (found[-1] - 0.3) ** 2)
        return found

    assert values([25]) == values([4, 10, 11])
    assert len(set(values([25]))) == 25


def test_a_study_of_another_search_is_refused(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    search_of(recipe_of(tiny_bert, reviews, tmp_path / "run"), 1)
    other = recipe_of(tiny_bert, reviews, tmp_path / "run", {"train.lr": {"from": 1e-4, "to": 1e-3}})
    with pytest.raises(RunError) as wrong:
        search_of(other)
    lines = str(wrong.value).splitlines()
    assert lines[0] == "The study 'run' is of another search:"
    assert lines[1].startswith(
        "  space of train.lr: {'from': 0.0001, 'to': 0.01, 'log': True} there, {'from': 0.0001, 'to': 0.001, "
    )
    assert lines[-1] == "Give another output=..., or --restart to begin anew."
    with pytest.raises(RunError, match="figure: 'f1_macro' there, 'accuracy' here"):
        search_of(recipe_of(tiny_bert, reviews, tmp_path / "run", train={"monitor": "accuracy"}))


def test_restart_and_more_trials(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tiny_bert, reviews, tmp_path / "run")
    search = search_of(recipe, 2)
    best.finish(search)
    longer = search_of(recipe, 4)
    assert tried(longer)[:2] == tried(search)[:2]
    assert len(tried(longer)) == 4
    tune.begin_anew(RunFolder(tmp_path / "run"), "", "run")
    assert {one.name for one in (tmp_path / "run").iterdir() if not one.name.startswith(".")} == set()
    assert len(tried(search_of(recipe, 1))) == 1


def test_a_server_is_shared_by_folders(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/server.db"
    for machine, trials in (("a", 2), ("b", 4)):
        search = search_of(recipe_of(tiny_bert, reviews, tmp_path / machine / "run"), trials, url)
    assert [one.user_attrs["place"].rsplit("/", 2)[1] for one in search.trials.all()] == ["a", "a", "b", "b"]
    best.finish(search)
    assert (tmp_path / "b" / "run" / "model" / "manifest.json").is_file(), (
        "trained anew where its weights are elsewhere"
    )


def test_a_storage_that_cannot_be_used(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError) as wrong:
        search_of(recipe_of(tiny_bert, reviews, tmp_path / "run"), 1, "nosuch://me:secret@host/name")
    assert str(wrong.value).startswith("The storage 'nosuch://me:***@host/name' cannot be used: ")
    assert "secret" not in str(wrong.value)


def test_torchrun_is_refused(tmp_path: Path, luthier: Any, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = luthier("tune", tmp_path / "recipe.yaml")
    assert said.err == (
        "error: luthier tune runs without torchrun. To share the work start the same command several times.\n"
    )


def test_another_process_at_work_finishes(reviews: Path, tiny_bert: Path, tmp_path: Path, capsys: Any) -> None:
    from luthier.show import Console

    search = search_of(recipe_of(tiny_bert, reviews, tmp_path / "run"), 1)
    search.console = Console()
    with search.trials.next(None) as begun:
        assert begun is not None
        assert not best.finish(search)
    assert "Other processes are at work on trial 1; the last one finishes the search." in capsys.readouterr().err
    assert best.finish(search)
