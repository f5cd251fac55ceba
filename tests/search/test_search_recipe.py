"""Values to search in a recipe: where they may stand, and what is wrong with them, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from luthier.errors import RecipeError
from luthier.methods import METHODS
from luthier.models.anatomy import Anatomy
from luthier.recipe.reading import read, read_search
from luthier.search import Among, Range, around
from luthier.search.space import laid_over, space_of

ANATOMY = Anatomy((), tuple("abcdef"), (), (), (), ())
DATA = {"data": {"files": "reviews.csv"}}
RATE = {"from": 1e-5, "to": 1e-3, "log": True}


def written(text: str, place: Path) -> Path:
    file = place / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_in_its_place_or_in_the_section_is_the_same(tmp_path: Path) -> None:
    inside = "data: {files: a.csv}\nmethod: {name: lora, rank: {among: [4, 8]}}\ntrain:\n  lr: {from: 1e-5, to: 1e-3, log: true}\n"
    section = (
        "data: {files: a.csv}\nmethod: lora\nsearch:\n  space:\n    train.lr: {from: 1e-5, to: 1e-3, log: true}\n"
        "    method.rank: {among: [4, 8]}\n"
    )
    first, second = read_search(written(inside, tmp_path)), read_search(written(section, tmp_path))
    assert first.search.space == second.search.space
    assert second.search.space == {"train.lr": Range(1e-5, 1e-3, log=True), "method.rank": Among((4, 8))}
    assert first.train.lr is None
    assert first == second
    again = read_search(first.model_dump(mode="json"))
    assert again == first


def test_on_the_command_line_and_in_lists() -> None:
    stages = [{"method": "head", "lr": RATE}, {"method": {"name": "top", "blocks": {"among": [1, 2]}}}]
    recipe = read_search({**DATA, "stages": stages}, ["train.batch_size={among: [8, 16]}", "search.trials=5"])
    assert set(recipe.search.space) == {"stages.0.lr", "stages.1.method.blocks", "train.batch_size"}
    assert recipe.search.trials == 5
    other = laid_over(recipe, {"stages.0.lr": 5e-4, "stages.1.method.blocks": 2, "train.batch_size": 8})
    assert (other.stages[0].lr, other.stages[1].method[0].blocks, other.train.batch_size) == (5e-4, 2, 8)
    assert other.search is None


def test_training_says_what_to_do(tmp_path: Path) -> None:
    file = written("data: {files: a.csv}\ntrain: {lr: {from: 1e-5, to: 1e-3, log: true}}\n", tmp_path)
    with pytest.raises(RecipeError) as wrong:
        read(file)
    assert str(wrong.value) == (
        f"train.lr of {file} holds values to search: `luthier tune` tries them. To train once write one value, such as train.lr=..."
    )
    assert read(file, ["train.lr=1e-4"]).train.lr == 1e-4


def test_training_passes_the_section_over() -> None:
    recipe = read({**DATA, "train": {"lr": 1e-4}, "search": {"space": {"train.lr": RATE}}})
    assert recipe.train.lr == 1e-4


def test_all_mistakes_at_once_with_their_lines(tmp_path: Path) -> None:
    text = (
        "data: {files: a.csv}\n"
        "method: {name: lora, rnk: 3}\n"
        "train:\n"
        "  lr: {from: -1, to: 1e-3}\n"
        "  epochs: 0\n"
        "search:\n"
        "  trials: 0\n"
        "  space:\n"
        "    train.batchsize: {among: [16, 32]}\n"
        "    train.batch_size: {from: 0, to: 64}\n"
        "    train.warmup: {from: 0.5, to: 0.1}\n"
        "    seed: {among: [1, 2]}\n"
        "    output: {among: [a, b]}\n"
        "    data.split.by: {among: [random, time]}\n"
    )
    file = written(text, tmp_path)
    with pytest.raises(RecipeError) as wrong:
        read_search(file)
    assert str(wrong.value).splitlines() == [
        "The recipe has 10 mistakes:",
        f"  {file}:2: method.rnk: there is no such key; did you mean 'rank'?",
        f"  {file}:4: train.lr: expected greater than 0; got -1.0.",
        f"  {file}:5: train.epochs: expected greater than or equal to 1; got 0.",
        f"  {file}:7: search.trials: expected greater than or equal to 1; got 0.",
        f"  {file}:9: train.batchsize: there is no such key; did you mean 'batch_size'?",
        f"  {file}:10: train.batch_size: expected greater than or equal to 1; got 0.",
        f"  {file}:11: search.space.train.warmup: expected two numbers, `from` below `to`; got 0.5 and 0.1.",
        f"  {file}:12: seed: cannot be searched, as it decides which rows or which figure the choice is made by.",
        f"  {file}:13: output: is no setting that could be searched.",
        f"  {file}:14: data.split.by: cannot be searched, as it decides which rows or which figure the choice is made by.",
    ]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (3, "expected {from: 1e-5, to: 1e-3, log: true} or {among: [4, 8, 16]}; got 3."),
        ({"among": [4]}, "expected at least two different values after `among`, in brackets; got [4]."),
        ({"among": [4, 4]}, "expected at least two different values after `among`, in brackets; got [4, 4]."),
        ({"among": "head"}, "expected at least two different values after `among`, in brackets; got head."),
        ({"from": 1, "to": 2, "step": 1}, "expected `from`, `to` and `log`, and no other keys; got step."),
        ({"from": 2, "to": 2}, "expected two numbers, `from` below `to`; got 2 and 2."),
        ({"from": "a", "to": 2}, "expected two numbers, `from` below `to`; got 'a' and 2."),
        (
            {"from": 0, "to": 2, "log": True},
            "expected `log: true` or `log: false`, and `from` above 0 where it is true; got {'from': 0, 'to': 2, 'log': True}.",
        ),
    ],
)
def test_values_that_are_none(values: object, sentence: str) -> None:
    with pytest.raises(RecipeError) as wrong:
        read_search({**DATA, "search": {"space": {"train.lr": values}}})
    assert sentence in str(wrong.value)


def test_an_entry_that_is_not_there() -> None:
    with pytest.raises(RecipeError) as wrong:
        read_search(
            {**DATA, "stages": [{"method": "head"}, {"method": "full"}], "search": {"space": {"stages.2.lr": RATE}}}
        )
    assert "stages.2.lr: '2' is no entry of a list of 2; they are counted from 0, as in stages.0.lr." in str(
        wrong.value
    )


@pytest.mark.parametrize("name", list(METHODS))
def test_defaults_of_every_method_can_be_had(name: str) -> None:
    needed = {"pattern": {"train": ["x"]}}.get(name, {})
    recipe = read({**DATA, "method": {"name": name, **needed}})
    space = space_of(recipe, ANATOMY, 3)
    assert {one.key for one in space.dimensions} >= {"train.lr", "train.batch_size"}
    for one in space.dimensions:
        for value in (*one.values.ends, one.start):
            assert laid_over(recipe, {one.key: value})
    by_key = {one.key: one for one in space.dimensions}
    assert by_key["train.lr"].start == METHODS[name].rate.value
    assert by_key["train.batch_size"].start == 32
    for key in set(by_key) - {"train.lr", "train.batch_size"}:
        setting = key.removeprefix("method.")
        assert by_key[key].start == METHODS[name].model_fields[setting].default, "the first trial is the default"


def test_defaults_stand_around_what_the_recipe_says() -> None:
    space = space_of(read({**DATA, "train": {"lr": 2e-4, "batch_size": 8}}), ANATOMY, 3)
    assert [(one.key, one.values, one.start) for one in space.dimensions] == [
        ("train.lr", Range(2e-4 / 5, 2e-4 * 5, log=True), 2e-4),
        ("train.batch_size", Among((4, 8, 16)), 8),
    ]


def test_methods_bring_their_own_spaces() -> None:
    recipe = read_search({**DATA, "method": {"among": ["head", {"name": "lora", "rank": 8}]}})
    space = space_of(recipe, ANATOMY, 3)
    head, lora = "head", '{"name": "lora", "rank": 8}'
    assert [one.name for one in space.dimensions] == [
        *("method", f"train.lr ({head})", f"train.batch_size ({head})"),
        *(f"train.lr ({lora})", f"train.batch_size ({lora})", f"method.rank ({lora})"),
    ]
    rates = {one.only: one.values for one in space.dimensions if one.key == "train.lr"}
    assert rates == {head: around(1e-2), lora: around(4e-4)}
    assert space.start() == {"method": head, f"train.lr ({head})": 1e-2, f"train.batch_size ({head})": "32"}


def test_a_projected_prefix_is_searched_around_its_own_rate() -> None:
    space = space_of(read({**DATA, "method": {"name": "prefix", "projection": True}}), ANATOMY, 3)
    assert space.start()["train.lr"] == pytest.approx(4e-4)


def test_stages_have_no_default() -> None:
    with pytest.raises(RecipeError, match="What to search is not known for a recipe with stages: name it, such as"):
        space_of(read({**DATA, "stages": "gradual"}), ANATOMY, 3)


def test_the_first_trial_is_moved_into_what_is_searched() -> None:
    recipe = read_search(
        {**DATA, "train": {"lr": {"from": 1e-3, "to": 1e-1, "log": True}, "warmup": {"from": 0.0, "to": 0.5}}}
    )
    assert space_of(recipe, ANATOMY, 3).start() == {"train.lr": 1e-3, "train.warmup": 0.06}


@pytest.mark.parametrize(("named", "own", "start"), [(None, 25, 25), (None, 60, 40), (7, 25, 7)])
def test_searched_epochs_begin_with_those_that_the_recipe_would_take(named: int | None, own: int, start: int) -> None:
    given = read_search({**DATA, "train": {"epochs": {"from": 2, "to": 40}}})
    recipe = given.model_copy(update={"train": given.train.model_copy(update={"epochs": named})})
    assert space_of(recipe, ANATOMY, own).start() == {"train.epochs": start}
