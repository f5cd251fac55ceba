"""Recipes: what is read, what is refused, and the words of each refusal."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from luthier.commands import recipe_schema
from luthier.errors import RecipeError
from luthier.methods import METHODS
from luthier.methods.lora import Lora
from luthier.recipe.reading import dump, merge, parse_file, read
from luthier.recipe.schema import Recipe

MINIMAL = {"data": {"files": "reviews.csv"}}


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def refusal(source: object, *overrides: str) -> str:
    with pytest.raises(RecipeError) as refused:
        read(source, overrides)  # type: ignore[arg-type]
    return str(refused.value)


def test_defaults_come_from_the_schema() -> None:
    recipe = read(MINIMAL)
    assert recipe.task.name == "classify"
    assert [method.name for method in recipe.method] == ["full"]
    assert recipe.train.batch_size == 32
    assert recipe.output == "runs/reviews"


def test_a_file_with_comments_lists_and_mappings(tmp_path: Path) -> None:
    file = write(
        tmp_path, "data: {files: {train: [a.csv, b.csv], test: c.csv}}  # two files\nmethod: {name: lora, rank: 4}\n"
    )
    recipe = read(file)
    assert recipe.data.files.train == ["a.csv", "b.csv"]
    assert recipe.data.files.test == ["c.csv"]
    assert recipe.method == [Lora(rank=4)]
    assert recipe.output == "runs/a"


@pytest.mark.parametrize("text", ["3e-4", "3E-4", "0.0003", "3.0e-4"])
def test_rates_in_every_notation_are_numbers(tmp_path: Path, text: str) -> None:
    assert read(write(tmp_path, f"data: {{files: a.csv}}\ntrain: {{lr: {text}}}\n")).train.lr == 3e-4
    assert read(MINIMAL, [f"train.lr={text}"]).train.lr == 3e-4


@pytest.mark.parametrize(("text", "parts"), [("9:1", [9, 1]), ("8:1:1", [8, 1, 1]), ("[0.7, 0.3]", [0.7, 0.3])])
def test_ratios_in_every_notation(tmp_path: Path, text: str, parts: list[float]) -> None:
    assert read(write(tmp_path, f"data: {{files: a.csv, split: {{parts: {text}}}}}\n")).data.split.parts == parts
    assert read(MINIMAL, [f"data.split.parts={text}"]).data.split.parts == parts


def test_overrides_reach_any_depth_and_turn_a_name_into_a_mapping() -> None:
    recipe = read({**MINIMAL, "method": "lora"}, ["method.rank=4", "train.early_stopping.patience=5", "seed=7"])
    assert recipe.method == [Lora(rank=4)]
    assert recipe.train.early_stopping is not None
    assert recipe.train.early_stopping.patience == 5
    assert recipe.seed == 7


def test_a_setting_of_a_default_needs_no_line_of_its_own() -> None:
    assert read(MINIMAL, ["task.weights=balanced"]).task.weights == "balanced"
    assert read(MINIMAL, ["data.columns.separator=|"]).data.columns.separator == "|"


def test_paths_are_taken_as_text(tmp_path: Path) -> None:
    recipe = read({"data": {"files": {"train": [tmp_path / "a.csv"]}}}, sections={"output": tmp_path / "run"})
    assert recipe.data.files.train == [str(tmp_path / "a.csv")]
    assert recipe.output == str(tmp_path / "run")


def test_sections_are_laid_over_the_source_without_changing_it() -> None:
    source = {"data": {"files": "a.csv"}, "train": {"epochs": 2}}
    recipe = read(source, sections={"train": {"lr": 0.1}, "method": "head", "model": None})
    assert (recipe.train.epochs, recipe.train.lr, recipe.method[0].name) == (2, 0.1, "head")
    assert source == {"data": {"files": "a.csv"}, "train": {"epochs": 2}}
    assert merge(source, {}) == source


def test_what_is_resolved_can_be_read_again(tmp_path: Path) -> None:
    recipe = read({**MINIMAL, "method": ["lora", "bias"], "task": {"name": "classify", "weights": "balanced"}})
    text = dump(recipe.model_dump(mode="json") | {"resolved": {"lr": 1e-4}})
    again = read(write(tmp_path, text))
    assert again.model_dump(exclude={"resolved"}) == recipe.model_dump(exclude={"resolved"})
    assert again.resolved == {"lr": 1e-4}


def test_all_mistakes_come_together_with_line_and_suggestion(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "model: demo/minilm-en\n"
        "epochs: 3\n"
        "data:\n"
        "  files: {trian: a.csv}\n"
        "  colums: {text: a}\n"
        "method: {name: lora, rnk: 3}\n"
        "train:\n"
        "  epohcs: 3\n"
        "  batch_size: zero\n",
    )
    assert refusal(file, "train.lr=fast").splitlines() == [
        "The recipe has 8 mistakes:",
        f"  {file}:2: epochs: there is no such key; did you mean 'train.epochs'?",
        f"  {file}:4: data.files.train: this key is needed and missing.",
        f"  {file}:4: data.files.trian: there is no such key; did you mean 'train'?",
        f"  {file}:5: data.colums: there is no such key; did you mean 'columns'?",
        f"  {file}:6: method.rnk: there is no such key; did you mean 'rank'?",
        "  command line, train.lr=fast: train.lr: expected a valid number, unable to parse string as a number; got 'fast'.",
        f"  {file}:8: train.epohcs: there is no such key; did you mean 'epochs'?",
        f"  {file}:9: train.batch_size: expected a valid integer, unable to parse string as an integer; got 'zero'.",
    ]


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "recipe: data: this key is needed and missing."),
        ({**MINIMAL, "method": "lorra"}, "method: there is no method 'lorra'; did you mean 'lora'?"),
        ({**MINIMAL, "task": "clasify"}, "task: there is no task 'clasify'; did you mean 'classify'?"),
        ({**MINIMAL, "method": 3}, "method: expected the name of a method or a mapping with `name`; known: full, head"),
        ({**MINIMAL, "train": {"epochs": 0}}, "train.epochs: expected greater than or equal to 1; got 0."),
        (
            {**MINIMAL, "train": {"schedule": "cosin"}},
            "train.schedule: expected 'linear', 'cosine', 'constant' or 'plateau'; got 'cosin'.",
        ),
        (
            {"data": {"files": "a.csv", "split": {"parts": [1]}}},
            "data.split.parts: expected at least two parts; got [1].",
        ),
        (
            {**MINIMAL, "method": "pattern"},
            "method: write train, freeze or freeze_children: nothing says what to choose",
        ),
        ({**MINIMAL, "train": {"lr": -1}}, "train.lr: expected greater than 0; got -1."),
        ({**MINIMAL, "train": {"lr": {"head": 0}}}, "train.lr.head: expected greater than 0; got 0."),
        ({**MINIMAL, "stages": []}, "stages: expected at least one stage; got []."),
        ({**MINIMAL, "stages": "gradually"}, "stages: expected 'gradual' or a list of stages; got 'gradually'."),
        (
            {**MINIMAL, "stages": {"method": "head"}},
            "stages: expected 'gradual' or a list of stages; got {'method': 'head'}.",
        ),
        ({**MINIMAL, "method": []}, "method: expected at least one entry; got []."),
        (
            {**MINIMAL, "method": {"name": "adalora", "rank": 12}},
            "method: rank 12 must be smaller than initial_rank 12, from which it is cut",
        ),
        (
            {**MINIMAL, "stages": [{"method": "lorra"}]},
            "stages.0.method: there is no method 'lorra'; did you mean 'lora'?",
        ),
        (
            {**MINIMAL, "stages": [{"epoch": 3, "method": "head"}]},
            "stages.0.epoch: there is no such key; did you mean 'epochs'?",
        ),
        ({**MINIMAL, "stages": [{"epochs": 3}]}, "stages.0.method: this key is needed and missing."),
        (
            {**MINIMAL, "method": "lora", "stages": "gradual"},
            "recipe: method: give `method` or `stages` and not both: each stage names its own method",
        ),
    ],
)
def test_single_mistakes(document: dict[str, object], sentence: str) -> None:
    assert sentence in refusal(document)


def test_what_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^A recipe is a file, a mapping or a Recipe; got list\.$"):
        read(["model: demo/minilm-en"])  # type: ignore[arg-type]
    assert (
        refusal(tmp_path / "none.yaml") == f"There is no recipe '{tmp_path}/none.yaml'. `luthier init DATA` writes one."
    )
    assert "expected keys such as `model:` and `data:`" in refusal(write(tmp_path, "- a\n- b\n"))
    assert "recipe.yaml:2: this is not YAML: " in refusal(write(tmp_path, "a: 1\nb: ]\n"))

    file = tmp_path / "latin.yaml"
    file.write_bytes("model: caf\u00e9\n".encode("latin-1"))
    assert "a recipe is UTF-8 text, and byte 10 is not" in refusal(file)


def test_rows_given_as_a_recipe_get_the_command_that_writes_one(tmp_path: Path) -> None:
    rows = tmp_path / "reviews.csv"
    rows.write_text("text,label\nI said: good,positive\n", encoding="utf-8")
    assert refusal(rows).endswith(f"Where it holds rows, `luthier init {rows}` writes a recipe for them.")


@pytest.mark.parametrize("text", ["train.epochs", "=3", "train.epochs: 3"])
def test_overrides_that_are_none(text: str) -> None:
    assert refusal(MINIMAL, text) == f"Overrides are written key=value, such as train.epochs=5; got {text!r}."


def test_a_bad_value_in_an_override() -> None:
    assert refusal(MINIMAL, "train.epochs=[1").startswith("The value of the override 'train.epochs=[1' is not YAML: ")


def test_the_json_schema_accepts_what_the_recipe_accepts(tmp_path: Path) -> None:
    schema = recipe_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = parse_file(write(tmp_path, "data: {files: a.csv}\nmethod: {name: lora, rank: 4}\ntrain: {lr: 3e-4}\n"))
    assert validator.is_valid(good)
    assert not validator.is_valid({**MINIMAL, "epochs": 3})
    assert not validator.is_valid({**MINIMAL, "method": "lorra"})


def test_every_key_is_documented() -> None:
    def check(properties: dict[str, dict[str, object]], where: str) -> None:
        for key, field in properties.items():
            assert field.get("description") or "$ref" in field or key == "name", f"{where}.{key} has no description"

    schema = Recipe.model_json_schema()
    check(schema["properties"], "recipe")
    for name, part in schema["$defs"].items():
        assert part["description"], f"{name} has no description"
        check(part["properties"], name)
    for name in METHODS:
        check(METHODS[name].model_json_schema().get("properties", {}), name)


NOT_BOTH = "method: give `method` or `stages` and not both: each stage names its own method"


@pytest.mark.parametrize("override", ["method=full", "method=lora", "method={name: lora}"])
def test_a_method_beside_the_stages_of_the_file_is_refused_whatever_it_is(tmp_path: Path, override: str) -> None:
    file = write(tmp_path, "data: {files: a.csv}\nstages: [{method: head}, {method: top}]\n")
    assert refusal(file, override).splitlines()[1] == f"  command line, {override}: {NOT_BOTH}"


def test_stages_beside_the_method_of_the_file_name_its_line(tmp_path: Path) -> None:
    file = write(tmp_path, "data: {files: a.csv}\nmethod: full\n")
    assert refusal(file, "stages=gradual").splitlines()[1] == f"  {file}:2: {NOT_BOTH}"


@pytest.mark.parametrize(
    "stages", ["gradual", [{"epochs": 1, "method": "head"}, {"method": ["lora", "bias"], "lr": 1e-3}]]
)
def test_stages_can_be_written_and_read_again(tmp_path: Path, stages: object) -> None:
    recipe = read({**MINIMAL, "stages": stages})
    again = read(write(tmp_path, dump(recipe.model_dump(mode="json"))))
    assert again == recipe == read(recipe)
