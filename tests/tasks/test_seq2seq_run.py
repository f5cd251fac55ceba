"""Runs of networks with an encoder and a decoder: they learn a task, and what is saved writes the same with plain libraries."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import AutoPeftModelForSeq2SeqLM
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import luthier
import tiny_models
from luthier.errors import LuthierError

WORDING = "{prompt} the"
TOKENS = 8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_answering("bart", tmp_path_factory.mktemp("bart") / "model")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some words to be said again, backwards."""
    draw, rows = random.Random(0), []
    for _ in range(360):
        some = draw.choices(tiny_models.WORDS, k=draw.randint(1, 3))
        rows.append({"source": " ".join(some), "target": " ".join(reversed(some))})
    file = tmp_path_factory.mktemp("words") / "words.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def recipe(files: Path, model: Path, output: Path, **more: Any) -> dict[str, Any]:
    train = {"epochs": 2, "batch_size": 16, "lr": 5e-3, "precision": "fp32", "device": "cpu", **more.pop("train", {})}
    return {
        "task": {"name": "generate", "max_new_tokens": TOKENS, "template": WORDING},
        "model": str(model),
        "data": {"files": str(files), "similarity": None},
        "train": train,
        "output": str(output),
        **more,
    }


@pytest.fixture(scope="module")
def run(words: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    place = tmp_path_factory.mktemp("run")
    return luthier.train(recipe(words, model, place / "run", method="full", train={"epochs": 14}))


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def plain(network: Any, folder: Path, prompt: str) -> str:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    asked = tokenizer(WORDING.replace("{prompt}", prompt), return_tensors="pt")
    inputs = {name: asked[name] for name in ("input_ids", "attention_mask")}
    made = network.eval().generate(**inputs, max_new_tokens=TOKENS, do_sample=False, num_beams=1)
    return str(tokenizer.decode(made[0], skip_special_tokens=True)).strip()


def test_it_learns_to_say_words_backwards(run: luthier.Run) -> None:
    found = run.evaluate("test").metrics
    assert found["exact_match"] > 0.9
    assert found["chrf"] > 90
    assert found["rouge_l"] > 0.9
    assert found["perplexity"] < 1.5


def test_stored_live_and_plain_transformers_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    live = [one.label for one in run.predict(stored["source"].tolist())]
    assert live == stored["predicted"].tolist()
    network = AutoModelForSeq2SeqLM.from_pretrained(run.path / "model")
    assert [plain(network, run.path / "model", prompt) for prompt in stored["source"][:5]] == live[:5]


def test_the_card_asks_as_the_run_does(run: luthier.Run, capsys: pytest.CaptureFixture[str]) -> None:
    code = (run.path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert "AutoModelForSeq2SeqLM" in code
    exec(code.replace("What is a lute?", "good film"), {})
    assert capsys.readouterr().out.strip() == run.predict(["good film"])[0].label == "film good"


@pytest.mark.parametrize("save", ["increment", "merged"])
def test_lora_is_saved_for_plain_libraries(words: Path, model: Path, tmp_path: Path, save: str) -> None:
    run = luthier.train(recipe(words, model, tmp_path / "run", method="lora", save=save, train={"epochs": 1}))
    folder = run.path / "model"
    network = (AutoPeftModelForSeq2SeqLM if save == "increment" else AutoModelForSeq2SeqLM).from_pretrained(folder)
    assert plain(network, folder, "good film room") == run.predict(["good film room"])[0].label
    told = {"increment": "AutoPeftModelForSeq2SeqLM", "merged": "AutoModelForSeq2SeqLM"}
    assert told[save] in (run.path / "README.md").read_text()
    if save == "merged":
        table, base = (AutoModelForSeq2SeqLM.from_pretrained(one).lm_head.weight for one in (folder, model))
        assert torch.equal(table, base)


def test_a_frozen_encoder_reads_each_prompt_once(words: Path, model: Path, tmp_path: Path) -> None:
    found = {}
    for cache in ("off", "memory"):
        given = recipe(words, model, tmp_path / cache, method={"name": "pattern", "train": ["decoder.layers"]})
        given["train"] |= {"cache": cache, "keep_best": False}
        run = luthier.train(given)
        log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
        frozen = next(one["text"] for one in log if one["event"] == "frozen")
        found[cache] = frozen, [one["loss"] for one in log if one["event"] == "step"], run.evaluate("test").metrics
    assert "Outputs of model.encoder are kept" in found["memory"][0]
    assert found["memory"][1] == pytest.approx(found["off"][1], rel=1e-4)
    assert found["memory"][2]["perplexity"] == pytest.approx(found["off"][2]["perplexity"], rel=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"method": "prompt"}, "a text is written one call a token"),
        ({"method": "head"}, "method head trains nothing by itself here"),
        (
            {"task": {"name": "generate", "target_language": "de_DE"}},
            "task.target_language: the tokenizer of .* knows no languages",
        ),
        ({"data": {"packing": True}}, "joins rows of one sequence each"),
    ],
)
def test_what_cannot_be_is_refused(words: Path, model: Path, tmp_path: Path, more: dict[str, Any], said: str) -> None:
    given = recipe(words, model, tmp_path / "run")
    with pytest.raises(LuthierError, match=said):
        luthier.train({**given, **more, "data": {**given["data"], **more.get("data", {})}})


def test_words_that_share_their_vectors_with_the_encoder_keep_nothing(words: Path, model: Path, tmp_path: Path) -> None:
    given = recipe(words, model, tmp_path / "run", method={"name": "pattern", "train": ["shared"]}, train={"epochs": 1})
    log = [json.loads(line) for line in (luthier.train(given).path / "log.jsonl").read_text().splitlines()]
    frozen = next(one["text"] for one in log if one["event"] == "frozen")
    assert frozen == "No outputs of frozen parts are kept: embed_tokens.weight of the encoder trains."
