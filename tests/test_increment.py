"""Saving what was added or changed, and building the same model from it and its base."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer

import luthier
import tiny_models
from luthier import increment
from luthier.errors import ModelError, RecipeError, RunError
from luthier.methods import METHODS
from luthier.models.find import Base
from luthier.training.callbacks import Progress
from luthier.training.job import Job, State, Step
from small_jobs import recipe_for

NEEDED: dict[str, dict[str, Any]] = {
    "pattern": {"train": [r"layer\.1\."]},
    "cloze": {"pattern": "{text} is {soft:2} {mask}", "verbalizer": {"positive": "good", "negative": "bad"}},
}
PROJECTED = {"name": "prefix", "length": 4, "projection": True, "hidden": 16}
HARD = {"name": "cloze", "pattern": "{text} is {mask}", "verbalizer": {"positive": "good", "negative": "bad"}}
VARIANTS: list[tuple[str, str, Any]] = [
    ("bert", "parallel adapter", {"name": "adapter", "kind": "parallel", "reduction": 4}),
    ("bert", "pfeiffer adapter", {"name": "adapter", "kind": "pfeiffer", "reduction": 4}),
    ("bert", "prompt from a text", {"name": "prompt", "length": 4, "initialise": "text", "text": "the film is"}),
    ("bert", "random prompt", {"name": "prompt", "length": 4, "initialise": "random"}),
    ("llama", "hard cloze", [HARD, "full"]),
]
"""Families, and methods with other settings than their defaults."""
TEXTS = ["the film is good", "very bad service", "the room is not great"]


@pytest.fixture(scope="session")
def tiny_words(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT with its head that predicts words and a mask token: every method can start from it."""
    folder = tmp_path_factory.mktemp("models") / "tiny-words"
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert, mask_token="[MASK]")
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(tiny_bert)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def run_of(base: Path, data: Path, output: Path, method: Any, **keys: Any) -> luthier.Run:
    return luthier.train(recipe_for(base, data, output, {"epochs": 2, "lr": 2e-2}, method=method, **keys))


def stored(run: luthier.Run, split: str = "test") -> tuple[list[str], np.ndarray]:
    table = pq.read_table(run.path / "predictions.parquet", filters=[("split", "=", split)])
    return table.column("review").to_pylist(), np.array(table.column("probabilities").to_pylist())


def answered(run: luthier.Run, texts: list[str]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in run.predict(texts)])


def methods() -> list[Any]:
    return [
        pytest.param({"name": name, **NEEDED.get(name, {})}, id=name)
        for name in METHODS
        if name not in {"full", "scratch"}
    ]


@pytest.mark.parametrize("method", methods())
def test_an_opened_increment_answers_as_the_trained_model_did(
    method: Any, tiny_words: Path, reviews: Path, tmp_path: Path
) -> None:
    trained = run_of(tiny_words, reviews, tmp_path / "run", method, save="increment")
    texts, expected = stored(trained)
    np.testing.assert_allclose(answered(luthier.open(trained.path), texts), expected, atol=1e-5)
    files = [file.name for file in (trained.path / "model").glob("*.safetensors")]
    assert files in (["increment.safetensors"], ["adapter_model.safetensors"])


@pytest.fixture(scope="session")
def speaking(tiny_words: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models that predict words, by family: an encoder and a decoder."""
    return {
        "bert": tiny_words,
        "llama": tiny_models.make_speaking("llama", tmp_path_factory.mktemp("models") / "llama"),
    }


@pytest.mark.parametrize(("family", "method"), [pytest.param(one[0], one[2], id=one[1]) for one in VARIANTS])
def test_a_run_with_other_settings_answers_as_the_trained_model_did(
    family: str, method: Any, speaking: dict[str, Path], reviews: Path, tmp_path: Path
) -> None:
    trained = run_of(speaking[family], reviews, tmp_path / "run", method)
    texts, expected = stored(trained)
    np.testing.assert_allclose(answered(luthier.open(trained.path), texts), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_projected_prefix_is_saved_as_its_rows_and_the_same_after_an_interruption(
    family: str, speaking: dict[str, Path], reviews: Path, tmp_path: Path
) -> None:
    whole = run_of(speaking[family], reviews, tmp_path / "whole", PROJECTED)
    with pytest.raises(KeyboardInterrupt), interrupted():
        run_of(speaking[family], reviews, tmp_path / "chain", PROJECTED)
    chain = run_of(speaking[family], reviews, tmp_path / "chain", PROJECTED)
    ours, theirs = (load_file(run.path / "model" / "increment.safetensors") for run in (chain, whole))
    assert {name.rpartition(".")[2] for name in theirs if ".prefix." in name} == {"key", "value"}
    assert ours.keys() == theirs.keys()
    assert [name for name, one in theirs.items() if not torch.equal(ours[name], one)] == []
    texts, expected = stored(chain)
    np.testing.assert_allclose(answered(luthier.open(chain.path), texts), expected, atol=1e-5)


def test_a_lora_increment_is_a_folder_that_plain_peft_loads(tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(tiny_words, reviews, tmp_path / "run", "lora", save="increment")
    base = AutoModelForSequenceClassification.from_pretrained(tiny_words, num_labels=2)
    model = PeftModel.from_pretrained(base, run.path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    texts, expected = stored(run)
    for text, row in zip(texts, expected, strict=True):
        logits = model(**tokenizer(text, return_tensors="pt")).logits
        np.testing.assert_allclose(logits.softmax(-1)[0].detach(), row, atol=1e-5)


def test_an_increment_of_the_head_holds_the_head_alone(tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(tiny_words, reviews, tmp_path / "run", "head", save="increment")
    assert set(load_file(run.path / "model" / "increment.safetensors")) == {
        *("classifier.weight", "classifier.bias", "bert.pooler.dense.weight", "bert.pooler.dense.bias")
    }  # the base has no pooler, so that one is new too


@pytest.fixture
def moved(tiny_words: Path, tmp_path: Path) -> Path:
    """A copy of the base that a test may change."""
    return Path(shutil.copytree(tiny_words, tmp_path / "base"))


def test_another_base_is_refused_with_both_hashes(moved: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(moved, reviews, tmp_path / "run", "head", save="increment")
    weights = load_file(moved / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, moved / "model.safetensors", {"format": "pt"})
    trained_on = json.loads((run.path / "model" / "increment.json").read_text())["base"]["sha256"]
    there = Base("base", str(moved)).sha256
    with pytest.raises(ModelError) as refused:
        luthier.open(run.path).predict(TEXTS)
    assert str(refused.value) == (
        f"{run.path}/model belongs to another base than {moved}: it was trained on weights with the hash {trained_on}, and those there "
        f"have {there}. Put the right '{moved}' there, or train anew."
    )
    assert trained_on != there


def test_a_base_from_the_hub_is_recorded_by_its_commit(tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(tiny_words, reviews, tmp_path / "run", "head", save="increment")
    file = run.path / "model" / "increment.json"
    told = json.loads(file.read_text())
    assert told["base"]["revision"] is None, "a folder has none"
    file.write_text(json.dumps(told | {"base": told["base"] | {"revision": "0123"}}))
    found = increment.read(run.path / "model")
    assert found is not None
    assert found.base == Base(str(tiny_words), str(tiny_words), "0123")


def test_a_base_that_is_gone_is_named(moved: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(moved, reviews, tmp_path / "run", "head", save="increment")
    shutil.rmtree(moved)
    with pytest.raises(
        ModelError,
        match=r"holds only what was added to .* \(it was in .*\), which is needed to use it\. There is no model folder",
    ):
        luthier.open(run.path).predict(TEXTS)


def test_a_run_does_not_go_on_with_another_base(moved: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), interrupted():
        run_of(moved, reviews, tmp_path / "run", "head")
    weights = load_file(moved / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, moved / "model.safetensors", {"format": "pt"})
    with pytest.raises(RunError, match=r"The weights of the base model have changed since the run in .* began"):
        run_of(moved, reviews, tmp_path / "run", "head")


@contextmanager
def interrupted() -> Iterator[None]:
    """Ctrl-C after the first step."""
    after_step = Progress.after_step

    def ask(self: Progress, job: Job, state: State, step: Step) -> None:
        after_step(self, job, state, step)
        signal.raise_signal(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "after_step", ask)
        yield


@pytest.mark.parametrize("name", ["adapter", "prefix", "prompt", "ptuning"])
def test_merged_is_refused_where_no_plain_model_has_room(
    name: str, tiny_words: Path, reviews: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError) as refused:
        run_of(tiny_words, reviews, tmp_path / "run", name, save="merged")
    assert str(refused.value) == (
        f"save: merged cannot be done with method {name}, whose modules no plain model has room for. Leave it out, or write save: "
        "increment."
    )


@pytest.mark.parametrize("method", ["head", "lora"])
def test_a_run_can_start_from_an_increment(method: str, tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    first = run_of(tiny_words, reviews, tmp_path / "first", method, save="increment")
    texts, before = stored(first)
    second = luthier.train(
        recipe_for(first.path, reviews, tmp_path / "second", {"epochs": 1, "lr": 1e-12}, method="head")
    )
    np.testing.assert_allclose(answered(second, texts), before, atol=1e-5)


@pytest.mark.parametrize("method", ["head", "lora"])
def test_a_run_with_other_labels_starts_from_an_increment_with_a_new_head(
    method: str, tiny_words: Path, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_of(tiny_words, reviews, tmp_path / "first", method, save="increment")
    merged = run_of(tiny_words, reviews, tmp_path / "merged", method, save="merged")
    table = pd.read_csv(reviews).assign(sentiment=lambda rows: ["xyz"[number % 3] for number in range(len(rows))])
    table.to_csv(tmp_path / "three.csv", index=False)
    second = run_of(first.path, tmp_path / "three.csv", tmp_path / "second", "head", save="merged")
    tuned, now = (load_file(run.path / "model" / "model.safetensors") for run in (merged, second))
    assert tuned.keys() == now.keys()
    assert now["classifier.weight"].shape[0] == 3
    for name in now:
        if not name.startswith("classifier."):
            torch.testing.assert_close(now[name], tuned[name])
    texts, expected = stored(second)
    np.testing.assert_allclose(answered(luthier.open(second.path), texts), expected, atol=1e-5)
    said = f"The head of {first.path} was trained for other labels (negative, positive); a new one is drawn for yours."
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("second", ["head", "lora", "prefix"])
def test_an_increment_on_an_increment_opens_again(second: str, tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    first = run_of(tiny_words, reviews, tmp_path / "first", "lora", save="increment")
    run = run_of(first.path, reviews, tmp_path / "second", second, save="increment")
    texts, expected = stored(run)
    np.testing.assert_allclose(answered(luthier.open(run.path), texts), expected, atol=1e-5)


@pytest.mark.parametrize("method", ["bias", "lora"])
def test_an_increment_of_another_task_says_what_to_do(method: str, reviews: Path, tmp_path: Path) -> None:
    base = tiny_models.make("roberta", tmp_path / "roberta")
    first = run_of(base, reviews, tmp_path / "first", method, save="increment")
    rows = [{"tokens": ["good", "film"], "tags": ["B-X", "O"]}, {"tokens": ["the", "room"], "tags": ["O", "B-X"]}] * 10
    (tmp_path / "tags.jsonl").write_text("\n".join(map(json.dumps, rows)))
    recipe = recipe_for(first.path, tmp_path / "tags.jsonl", tmp_path / "second", method="full") | {"task": "tag"}
    with pytest.raises(
        ModelError, match=r"holds only what another task has trained, .* save: merged, and start from that\.$"
    ):
        luthier.train(recipe)


@pytest.mark.parametrize("file", ["increment.safetensors", "increment.json", "adapter_model.safetensors"])
def test_a_damaged_increment_is_said_to_be(file: str, tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    run = run_of(tiny_words, reviews, tmp_path / "run", "lora" if "adapter" in file else "bias", save="increment")
    damaged = run.path / "model" / file
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(ModelError, match=r"damaged or cut short"):
        luthier.open(run.path).predict(["good"])


def test_a_run_cannot_start_from_what_no_plain_model_holds(tiny_words: Path, reviews: Path, tmp_path: Path) -> None:
    first = run_of(tiny_words, reviews, tmp_path / "first", "prefix")
    with pytest.raises(
        ModelError, match=r"cannot be trained further: its prefix is no part of a plain model\. Start from"
    ):
        run_of(first.path, reviews, tmp_path / "second", "head")


def test_a_hard_cloze_is_saved_whole_and_plain_transformers_loads_it(
    tiny_words: Path, reviews: Path, tmp_path: Path
) -> None:
    run = run_of(tiny_words, reviews, tmp_path / "run", [HARD, "full"])
    texts, expected = stored(run)
    np.testing.assert_allclose(answered(luthier.open(run.path), texts), expected, atol=1e-5)
    model = AutoModelForMaskedLM.from_pretrained(run.path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    ids = tokenizer(f"{texts[0]} is [MASK]", return_tensors="pt")
    there = (ids["input_ids"][0] == tokenizer.mask_token_id).nonzero().item()
    words = tokenizer.convert_tokens_to_ids(["bad", "good"])
    logits = model(**ids).logits[0, there, words]
    np.testing.assert_allclose(logits.softmax(-1).detach(), expected[0], atol=1e-5)
