"""Outputs of frozen parts computed once: the same losses, validation losses and predictions as computing them in every epoch."""

from __future__ import annotations

import copy
import json
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from frozen_runs import Ran, run, still, write_rows
from killing import Moment, luthier
from transformers import AutoConfig, AutoModel, BioGptConfig

import tiny_models
from luthier.folder import RunFolder
from luthier.models.open import Base, open_model
from luthier.pipeline import train
from small_jobs import recipe_for, write_recipe

TOP = {"name": "top", "blocks": 1}
STAGES = [{"epochs": 1, "method": "head"}, {"epochs": 2, "method": TOP}]
UNFIT = "No outputs of frozen parts are kept: its upper part needs more of the lower part than its output."


pytestmark = pytest.mark.usefixtures("garbage_kept")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frozen"


def both(model: Path, data: Path, place: Path, *caches: str, **keys: Any) -> list[Ran]:
    """A run without, and one for each other place; all have to be the same."""
    plain = run(model, data, place / "off", "off", **keys)
    others = [run(model, data, place / cache, cache, **keys) for cache in caches or ("memory",)]
    for other in others:
        plain.same(other)
    assert all(
        text == "No outputs of frozen parts are kept: train.cache is off." or "trains, below" in text
        for text in plain.said
    )
    return others


def kept(module: str) -> str:
    return f"Outputs of {module} are kept for "


EXPECTED = {
    "bert": ("bert", "bert.encoder.layer.1"),
    "bert without pooler": ("bert.encoder.layer.2", "bert.encoder.layer.1"),
    "roberta": ("roberta", "roberta.encoder.layer.1"),
    "distilbert": ("distilbert", "distilbert.transformer.layer.1"),
    "modernbert": ("model", "model.layers.1"),
    "deberta": ("deberta", "deberta.encoder.layer.1"),
    "llama": ("model", "model.layers.1"),
    "gpt2": ("transformer", "transformer.h.1"),
    "qwen3": ("model", "model.layers.1"),
    "t5": ("transformer", ""),
}


@pytest.mark.parametrize("family", EXPECTED)
def test_head_and_then_the_last_block(
    family: str, calm: Callable[[str], Path], words_file: Path, tmp_path: Path
) -> None:
    (found,) = both(calm(family), words_file, tmp_path, stages=STAGES)
    for text, module in zip(found.said, EXPECTED[family], strict=True):
        assert text == UNFIT if not module else text.startswith(kept(module))


OTHERS = {
    "bias of upper blocks": ("roberta", {"name": "pattern", "train": [r"layer\.2\..*bias"]}, "roberta.encoder.layer.1"),
    "lora on upper blocks": (
        "llama",
        {"name": "lora", "rank": 2, "targets": r"\.[12]\."},
        "base_model.model.model.layers.0",
    ),
    "top and lora": (
        "gpt2",
        [TOP, {"name": "lora", "rank": 2, "targets": r"\.1\."}],
        "base_model.model.transformer.h.0",
    ),
    "lora on the lowest block": ("qwen3", {"name": "lora", "rank": 2, "targets": r"\.0\..*q_proj"}, ""),
    "adapter": ("distilbert", {"name": "adapter", "reduction": 4}, ""),
    "adapters in upper blocks": (
        "distilbert",
        {"name": "adapter", "reduction": 4, "blocks": 1},
        "base_model.model.distilbert.transformer.layer.1",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_methods(case: str, calm: Callable[[str], Path], words_file: Path, tmp_path: Path) -> None:
    family, method, module = OTHERS[case]
    (found,) = both(calm(family), words_file, tmp_path, method=method)
    (text,) = found.said
    if module:
        assert text.startswith(kept(module))
    else:
        assert text.endswith(" trains, below which nothing costs time.")
        assert ".0." in text


def test_last_block_and_then_the_head(calm: Callable[[str], Path], words_file: Path, tmp_path: Path) -> None:
    (found,) = both(calm("bert"), words_file, tmp_path, stages=[STAGES[1], STAGES[0]])
    assert found.said[0].startswith(kept("bert.encoder.layer.1"))
    assert found.said[1].startswith(kept("bert"))


def test_every_place_gives_the_same_floats(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, runs = [], []
    for cache, files in (("memory", "a"), ("disk", "b"), ("auto", "b")):
        monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / files))
        found = run(calm("bert"), words_file, tmp_path / cache, cache, stages=STAGES)
        runs.append(found)
        runs[0].same(found, tolerance=0)
        said += [text.partition("(")[2].partition(",")[0] for text in found.said]
    assert said == ["memory", "memory", "disk", "disk", "from an earlier run", "from an earlier run"]


def test_with_dropout_in_the_upper_part_every_loss_is_the_same(words_file: Path, tmp_path: Path) -> None:
    model = tiny_models.make("bert", tmp_path / "bert")
    assert json.loads((model / "config.json").read_text())["hidden_dropout_prob"] == 0.1
    (found,) = both(model, words_file, tmp_path, method=TOP)
    assert found.said[0].startswith(kept("bert.encoder.layer.1"))


def test_dropout_that_the_base_itself_does_below_the_boundary(words_file: Path, tmp_path: Path) -> None:
    model = tiny_models.make("gpt2", tmp_path / "biogpt")
    words = AutoConfig.from_pretrained(model).vocab_size
    AutoModel.from_config(BioGptConfig(**tiny_models.WIDTHS, vocab_size=words, pad_token_id=0)).save_pretrained(model)
    assert AutoConfig.from_pretrained(model).hidden_dropout_prob == 0.1
    (found,) = both(model, words_file, tmp_path, method=TOP)
    assert found.said[0].startswith(kept("biogpt.layers.1"))


def test_the_mean_over_all_positions(calm: Callable[[str], Path], words_file: Path, tmp_path: Path) -> None:
    model = tiny_models.make("modernbert", tmp_path / "mean")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {"classifier_pooling": "mean"}))
    (found,) = both(still(model), words_file, tmp_path, method="head")
    assert [shape.part for shape in found.job.work.feed.features.shapes] == ["whole"]  # type: ignore[attr-defined]


def test_saved_model_and_checkpoints_are_the_same(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path
) -> None:
    runs = {
        cache: train(recipe_for(calm("bert"), words_file, tmp_path / cache, {"cache": cache}, stages=STAGES))
        for cache in ("off", "memory")
    }
    names = {}
    for cache in runs:
        folder = tmp_path / cache
        names[cache] = {
            file: sorted(_tensors(folder / file))
            for file in (
                "model/model.safetensors",
                "checkpoints/last/weights.safetensors",
                "checkpoints/last/optimizer.safetensors",
            )
        }
        assert {one.name for one in folder.iterdir()} == {one.name for one in (tmp_path / "off").iterdir()}
    assert names["off"] == names["memory"]
    off, memory = (pq.read_table(tmp_path / cache / "predictions.parquet").to_pandas() for cache in runs)
    assert (off["predicted"] == memory["predicted"]).all()
    lines = {
        cache: [line["loss"] for line in RunFolder(tmp_path / cache).records() if line["event"] in {"step", "evaluate"}]
        for cache in runs
    }
    assert lines["off"] == pytest.approx(lines["memory"], rel=0, abs=1e-5)
    texts = ["the film is good", "bad"]
    one, two = ([vars(answer) for answer in runs[cache].predict(texts)] for cache in runs)
    assert [answer["label"] for answer in one] == [answer["label"] for answer in two]


def _tensors(file: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(file, "pt") as content:
        return list(content.keys())


def test_the_network_is_what_it_was(calm: Callable[[str], Path], words_file: Path, tmp_path: Path) -> None:
    found = run(calm("bert"), words_file, tmp_path / "run", "memory", method=TOP)
    plain = open_model(Base("b", str(calm("bert"))), found.ready.data.target.model_config, 0).model
    assert [name for name, _ in found.job.model.named_modules()] == [name for name, _ in plain.named_modules()]
    twin = copy.deepcopy(found.job.model)
    batch = found.job.feed.inputs(found.job.batches.at(0))
    with torch.no_grad():
        expected = found.job.model.eval()(**batch).logits
        for one in found.job.model.parameters():
            one.zero_()
        assert torch.equal(twin.eval()(**batch).logits, expected)


def test_killed_inside_a_stage_with_kept_outputs(tiny_bert: Path, words_file: Path, tmp_path: Path) -> None:
    settings = {"save_every": 2, "monitor": "log_loss"}
    recipe = write_recipe(
        recipe_for(tiny_bert, words_file, tmp_path / "x", settings, stages=STAGES), tmp_path / "r.yaml"
    )

    def go(name: str, *at: tuple[Moment, int]) -> int:
        arguments = ("train", str(recipe), f"output={tmp_path / name}")
        return luthier(*arguments, notes=tmp_path / "notes", folder=tmp_path / name, at=at).code

    assert go("whole") == 0
    assert go("chain", (Moment("open checkpoints/last.tmp/manifest.json w", 4), signal.SIGKILL)) == -signal.SIGKILL
    assert [one["stage"] for one in RunFolder(tmp_path / "chain").records() if one["event"] == "step"][-1] == 1
    assert go("chain") == 0
    for file in ("model/model.safetensors", "predictions.parquet"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "chain" / file).read_bytes()


def test_a_full_disk_leaves_nothing_and_the_run_goes_on(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(calm("bert"), words_file, tmp_path / "off", "off", method="head")

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    memory = run(calm("bert"), words_file, tmp_path / "memory", "memory", method="head")
    assert memory.said[0].startswith(kept("bert"))
    disk = run(calm("bert"), words_file, tmp_path / "disk", "disk", method="head")
    assert disk.said == [
        f"No outputs of frozen parts are kept: {own_cache} cannot be written: No space left on device."
    ]
    assert not list(own_cache.iterdir())
    plain.same(memory)
    plain.same(disk)


def test_what_is_found_again_and_what_is_not(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again(name: str, model: Path, **keys: Any) -> bool:
        found = run(model, keys.pop("rows", words_file), tmp_path / name, "memory", method="head", **keys)
        assert found.said[0].startswith(kept("bert"))
        return "(from an earlier run, " in found.said[0]

    model = calm("bert")
    assert not again("first", model)
    assert again("second", model, seed=0)
    assert not again("rows", model, rows=write_rows(tmp_path / "other.csv", seed=1))
    assert not again("precision", model, train={"precision": "bf16"})
    assert not again("heads", _changed(model, tmp_path / "heads-model", num_attention_heads=4))
    assert again("second time", model)


LORA = {"name": "lora", "targets": r"layer\.2\."}


def test_runs_with_the_same_part_below_share_it_whatever_lies_above(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path
) -> None:
    model = calm("bert")
    found = [
        run(model, words_file, tmp_path / str(number), "memory", method=method).said[0]
        for number, method in enumerate((TOP, LORA | {"rank": 2}, LORA | {"rank": 4}))
    ]
    assert ["from an earlier run" in text for text in found] == [False, True, True]
    assert [text.partition(" are kept")[0].removeprefix("Outputs of ") for text in found] == [
        "bert.encoder.layer.1",
        *["base_model.model.bert.encoder.layer.1"] * 2,
    ]


def test_outputs_of_a_table_that_has_learned_since_are_computed_anew(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path
) -> None:
    """DeBERTa registers its relative positions behind the blocks, which read them."""
    positions = {"name": "pattern", "train": ["rel_embeddings"]}
    stages = [{"epochs": 1, "method": positions, "lr": 0.1}, {"epochs": 1, "method": TOP}]
    run(calm("deberta"), words_file, tmp_path / "first", "memory", method=TOP)
    (found,) = both(calm("deberta"), words_file, tmp_path, stages=stages)
    assert "(memory, " in found.said[1]


def _changed(model: Path, folder: Path, **settings: Any) -> Path:
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))
    return folder


def test_a_learned_number_below_the_boundary(calm: Callable[[str], Path], words_file: Path, tmp_path: Path) -> None:
    adapter = {"name": "adapter", "reduction": 4, "kind": "pfeiffer", "scale": "learned"}
    stages = [{"epochs": 1, "method": adapter}, {"epochs": 1, "method": "head"}]
    (found,) = both(calm("bert"), words_file, tmp_path, stages=stages)
    assert found.said[1].startswith(kept("base_model.model.bert"))


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("head", "The whole base is frozen"),
        (TOP, "bert.encoder.layer.0 and all before it are frozen"),
    ],
)
def test_what_is_frozen_is_said(
    method: object, what: str, tiny_bert: Path, words_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train(recipe_for(tiny_bert, words_file, tmp_path / "run", {"epochs": 1}, method=method))
    said = [line for line in capsys.readouterr().err.splitlines() if "are computed once" in line]
    assert [re.sub(r"\([\d.]+ [kM]B\)", "(...)", line) for line in said] == [
        f"{what}: its outputs are computed once (...)."
    ]
