"""What commands say of runs that are no plain model, and what the report and the card of these say."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import luthier
import perceiving
from luthier.commands import summarise
from luthier.methods.select import Full, Head
from small_jobs import recipe_for, write_recipe

STAGES = [
    {"epochs": 1, "method": "head", "lr": 1e-2},
    {"epochs": 2, "method": "full", "lr": {"head": 1e-3, "rest": 1e-4}},
]


@pytest.fixture
def run_of(tiny_bert: Path, reviews: Path, tmp_path: Path) -> Callable[..., luthier.Run]:
    def made(train: dict[str, Any] | None = None, **keys: Any) -> luthier.Run:
        return luthier.train(recipe_for(tiny_bert, reviews, tmp_path / "run", {"epochs": 1, **(train or {})}, **keys))

    return made


def code_of(run: luthier.Run) -> list[str]:
    """The blocks of Python in its card."""
    card = (run.path / "README.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)


def test_an_increment_that_only_luthier_loads(
    run_of: Callable[..., luthier.Run], tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(method="head", save="increment")
    capsys.readouterr()
    summarise(run)
    said = f"(an increment of {tiny_bert}; `luthier predict` and `luthier.open` load it)"
    assert f"Model:  {run.path}/model {said}\n" in capsys.readouterr().out
    (code,) = code_of(run)
    exec(compile(code, "card", "exec"), {})
    assert "confidence" in capsys.readouterr().out
    card = (run.path / "README.md").read_text(encoding="utf-8")
    assert (
        f"With luthier (the folder holds only what was added to or changed in {tiny_bert}, which must be there too):"
        in card
    )
    assert "library_name: luthier\n" in card


@pytest.mark.parametrize("method", ["lora", "adapter"])
def test_the_card_of_an_increment_of_peft_loads_it(
    method: str, run_of: Callable[..., luthier.Run], capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_of(method=method, save="increment")
    space: dict[str, Any] = {}
    exec(compile(code_of(run)[0], "card", "exec"), space)
    batch = AutoTokenizer.from_pretrained(run.path / "model")("the good film", return_tensors="pt")
    with torch.no_grad():
        found = space["model"].eval()(input_ids=batch["input_ids"]).logits.softmax(-1)[0]
    expected = list(run.predict("the good film")[0].probabilities.values())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    capsys.readouterr()
    summarise(run)
    assert "; plain PEFT loads it" in capsys.readouterr().out


def test_a_merged_model_is_a_plain_one(run_of: Callable[..., luthier.Run], capsys: pytest.CaptureFixture[str]) -> None:
    run = run_of(method="lora")
    capsys.readouterr()
    summarise(run)
    assert f"Model:  {run.path}/model (loads with plain transformers)\n" in capsys.readouterr().out


def test_stages_are_told_everywhere(run_of: Callable[..., luthier.Run]) -> None:
    run = run_of(stages=STAGES)
    resolved = run.recipe.resolved or {}
    sizes = {name: one.numel() for name, one in whole(run).named_parameters()}
    head = sum(size for name, size in sizes.items() if name.startswith("classifier"))
    assert [(one["epochs"], one["methods"], one["lr_min"], one["lr_max"]) for one in resolved["stages"]] == [
        (1, ["head"], 1e-2, 1e-2),
        (2, ["full"], 1e-4, 1e-3),
    ]
    assert resolved["stages"][0]["trained"] == head
    assert resolved["stages"][1]["trained"] == resolved["trained_parameters"] == sum(sizes.values())
    assert (resolved["lr"], resolved["lr_source"]) == (1e-2, "the recipe")
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "fine-tuned (head, then full)" in page
    section = page.partition('aria-labelledby="stages"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr><th scope=\"row\" class=\"number\">.*</tr>", section)
    assert [re.sub(r"<[^>]+>", "|", row).replace("||", "|") for row in rows] == [
        f"|1|head|1|0.01|{resolved['stages'][0]['trained']:,}|",
        f"|2|full|2|0.0001 to 0.001|{sum(sizes.values()):,}|",
    ]
    card = (run.path / "README.md").read_text(encoding="utf-8")
    assert "method head, then full, " in card
    assert luthier.train(run.path / "recipe.yaml").path == run.path  # its own recipe goes on with it


def whole(run: luthier.Run) -> torch.nn.Module:
    from transformers import AutoModelForSequenceClassification

    model: torch.nn.Module = AutoModelForSequenceClassification.from_pretrained(run.path / "model")
    return model


@pytest.mark.parametrize(
    ("keys", "source"),
    [
        ({"method": "head"}, Head.rate.source),
        ({"stages": [{"method": "head"}, {"method": "full"}]}, f"{Head.rate.source}, then {Full.rate.source}"),
        ({"stages": [{"method": "head"}, {"method": "full", "lr": 1e-4}]}, f"{Head.rate.source}, then the recipe"),
        (
            {"method": "full", "train": {"lr": {"head": 1e-3}}},
            f"the recipe, and for what it does not name: {Full.rate.source}",
        ),
    ],
)
def test_where_rates_come_from(keys: dict[str, Any], source: str, run_of: Callable[..., luthier.Run]) -> None:
    run = run_of({"lr": None, **keys.pop("train", {})}, **keys)
    assert (run.recipe.resolved or {})["lr_source"] == source


def test_check_prints_the_rates_of_each_stage(luthier: Any, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "run", stages=STAGES), tmp_path / "recipe.yaml")
    lines = [line for line in luthier("check", recipe).out.splitlines() if line.startswith("Stage ")]
    assert lines[0].endswith("weights in 6 steps of 16 rows at a rate of 0.01")
    assert lines[1].endswith("weights in 12 steps of 16 rows at rates of 0.0001 to 0.001")


def test_weights_of_4_bits_are_counted_one_by_one(luthier: Any, tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    from luthier.build import sizes_of
    from small_jobs import job_of

    totals = []
    for bits in (None, 4):
        method = {"name": "lora", "rank": 2, "bits": bits}
        _, ready = job_of(recipe_for(tiny_bert, reviews, tmp_path / f"run-{bits}", method=method))
        totals.append(sum(sizes_of(ready.model).values()))
    assert totals[0] == totals[1]


def said_of(luthier: Callable[..., Any], recipe: dict[str, Any], tmp_path: Path) -> str:
    """What check and train print of a recipe."""
    file = write_recipe(recipe, tmp_path / "r.yaml")
    printed = [luthier(command, file) for command in ("check", "train")]
    assert [one.code for one in printed] == [0, 0], printed[-1].err
    return "".join(one.out for one in printed)


def test_images_are_called_so(luthier: Callable[..., Any], tmp_path: Path) -> None:
    files = perceiving.images(tmp_path / "colours", 15)
    model = perceiving.network("vit", tmp_path / "model")
    run = tmp_path / "run"
    said = said_of(luthier, recipe_for(model, files, run, {"epochs": 1}, method="head"), tmp_path)
    assert re.search(r"rows are read up to \d+ pixels", said)
    assert "median pixels" in said
    assert "token" not in said
    assert f"Next:   luthier predict {run} photo.jpg" in said
    photo = next(files.rglob("*.png"))
    predicted = luthier("predict", run, photo).out
    assert "image" in predicted.splitlines()[2]
    assert "text" not in predicted.replace(str(photo), "")
    missing = luthier("predict", run, "nowhere.jpg")
    assert (missing.code, missing.err) == (2, "error: nowhere.jpg: there is no such file.\n")


def test_recordings_are_called_so(luthier: Callable[..., Any], tmp_path: Path) -> None:
    files, run = perceiving.sounds(tmp_path / "tones", 20), tmp_path / "run"
    model = perceiving.network("whisper", tmp_path / "model")
    said = said_of(luthier, recipe_for(model, files, run, {"epochs": 1}, method="head"), tmp_path)
    assert "rows are read up to 1 seconds" in said
    assert f"Next:   luthier predict {run} recording.wav" in said
    assert "recording" in luthier("predict", run, next(files.glob("*.wav"))).out.splitlines()[2]


def test_entities_are_said_in_words(luthier: Callable[..., Any], tiny_bert: Path, tmp_path: Path) -> None:
    rows = "the O\nfilm B-ENT\nis O\ngood O\n\nroom B-ENT\nservice I-ENT\nbad O\n\n"
    (tmp_path / "names.conll").write_text(rows * 30, encoding="utf-8")
    run = tmp_path / "run"
    train = {"epochs": 8, "lr": 3e-3}
    said = said_of(luthier, recipe_for(tiny_bert, tmp_path / "names.conll", run, train, task="tag"), tmp_path)
    assert "data.labels=report" not in said
    assert "task.weights" not in said
    assert "film (ENT)" in luthier("predict", run, "the film is good").out
    assert luthier("predict", run, "--file", tmp_path / "names.conll", "--output", tmp_path / "out.csv").code == 0
    answers = [row["predicted"] for row in csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8"))]
    assert [(one["type"], one["text"]) for one in json.loads(answers[0])] == [("ENT", "film")]


def test_later_tags_are_compared(luthier: Callable[..., Any], tiny_bert: Path, tmp_path: Path) -> None:
    rows = [
        f"the O\nfilm B-ENT\nis O\ngood O\nprice{row} O\n\nroom B-ENT\nservice I-ENT\nbad{row} O\n\n"
        for row in range(40)
    ]
    (tmp_path / "names.conll").write_text("".join(rows), encoding="utf-8")
    (tmp_path / "later.conll").write_text("".join(rows[:20]).replace("ENT", "OTHER"), encoding="utf-8")
    (tmp_path / "same.jsonl").write_text('{"tokens": ["the", "film"]}\n{"tokens": ["bad"]}\n', encoding="utf-8")
    run = tmp_path / "run"
    said_of(luthier, recipe_for(tiny_bert, tmp_path / "names.conll", run, {"epochs": 1}, task="tag"), tmp_path)
    assert "Labels are not as frequent" in luthier("check", run, "--against", tmp_path / "later.conll").out
    said = luthier("check", run, "--against", tmp_path / "same.jsonl")
    assert said.code == 0, said.err
    assert "Whether the same.jsonl rows are like the training rows cannot be said" in said.out
