"""Rows joined to one sequence compute what they compute alone: losses, gradients, and whole trainings."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, BloomConfig

import luthier
import tiny_models
from luthier.errors import RecipeError
from luthier.modalities.dialogue import Dialogue, chat_template
from luthier.models.quick import quicken
from luthier.objectives.next_token import NextToken
from luthier.training.microbatch import fill

ROWS = [("good film", "the room"), ("very good", "bad"), ("is", "the story is not very good film room"), ("a", "bad")]


@pytest.fixture
def modality() -> Dialogue:
    tokenizer = tiny_models.word_tokenizer()
    tokenizer.chat_template = chat_template(tokenizer, "{prompt}")
    return Dialogue(tokenizer, None, tiny_models.POSITIONS)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_losses_and_gradients_are_those_of_padded_rows(
    modality: Dialogue, tmp_path: Path, family: str, attention: str
) -> None:
    folder = tiny_models.make_speaking(family, tmp_path)
    model = quicken(AutoModelForCausalLM.from_pretrained(folder, attn_implementation=attention)).eval()
    columns = modality.encode(ROWS).columns
    found = []
    for batch in (modality.collate(columns), modality.pack(columns)):
        model.zero_grad()
        loss, count = NextToken()(model, batch)
        loss.backward()
        found.append((loss, count, {name: one.grad.clone() for name, one in model.named_parameters()}))
    (padded, tokens, reference), (packed, same, gradients) = found
    assert tokens == same
    torch.testing.assert_close(packed / same, padded / tokens, rtol=0, atol=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, reference[name], rtol=1e-4, atol=1e-5)


def test_joined_rows_are_not_padded_and_begin_anew(modality: Dialogue) -> None:
    columns = modality.encode(ROWS).columns
    joined = modality.pack(columns)
    lengths = [len(row) for row in columns["input_ids"]]
    assert set(joined) == {"input_ids", "position_ids", "target_tokens"}
    assert joined["input_ids"].shape == (1, sum(lengths))
    assert joined["position_ids"][0].tolist() == [place for length in lengths for place in range(length)]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 120))
def test_calls_are_filled(lengths: list[int], room: int) -> None:
    array = np.array(lengths)
    pieces = fill(array, room)
    assert sorted(np.concatenate(pieces).tolist()) == list(range(len(lengths)))
    assert all(array[piece].sum() <= room or len(piece) == 1 for piece in pieces)
    for before, after in pairwise(pieces):
        assert array[before].sum() + array[after[0]] > room, "no call ends while there is room for the next row"


def recipe(files: Path, model: Path, output: Path, **data: Any) -> dict[str, Any]:
    return {
        "task": {"name": "generate", "max_new_tokens": 4, "template": "{prompt}"},
        "model": str(model),
        "data": {"files": str(files), "split": {"sizes": {"validation": 6, "test": 6}}, **data},
        "train": {"epochs": 2, "batch_size": 8, "precision": "fp32", "lr": 1e-3},
        "method": "full",
        "output": str(output),
    }


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    words = np.array(tiny_models.WORDS)
    rows = [
        {
            "prompt": " ".join(draw.choice(words, draw.integers(1, 6))),
            "answer": " ".join(draw.choice(words, draw.integers(1, 9))),
        }
        for _ in range(44)
    ]
    file = tmp_path / "answers.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_training_packed_equals_training_padded(answers: Path, tmp_path: Path) -> None:
    model = tiny_models.make_speaking("llama", tmp_path / "llama")
    losses, paddings = [], []
    for packing in (False, True):
        run = luthier.train(recipe(answers, model, tmp_path / f"run{packing}", packing=packing))
        log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
        losses.append([one["loss"] for one in log if one["event"] in {"step", "evaluate"}])
        paddings.append([one["padding"] for one in log if one["event"] == "step"])
    assert losses[1] == pytest.approx(losses[0], abs=2e-4)
    assert set(paddings[1]) == {1.0} != set(paddings[0])


def test_outputs_below_packed_rows_are_not_kept(answers: Path, tmp_path: Path) -> None:
    model = tiny_models.make_speaking("llama", tmp_path / "llama")
    top = {"method": {"name": "top", "blocks": 1}}
    run = luthier.train(recipe(answers, model, tmp_path / "run", packing=True) | top)
    (said,) = [one["text"] for one in run.folder.records() if one["event"] == "frozen"]
    assert said == "No outputs of frozen parts are kept: rows are packed, and none is computed alone."


def test_refusals(answers: Path, tmp_path: Path, tiny_bert: Path, reviews: Path) -> None:
    bloom = tmp_path / "bloom"
    tokenizer = tiny_models.word_tokenizer()
    config = BloomConfig(hidden_size=16, n_layer=1, n_head=2, vocab_size=len(tokenizer), pad_token_id=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(bloom)
    tokenizer.save_pretrained(bloom)
    with pytest.raises(RecipeError, match=r"data.packing: a bloom is not told where rows begin"):
        luthier.train(recipe(answers, bloom, tmp_path / "run", packing=True))
    with pytest.raises(RecipeError, match=r"data.packing joins rows that a language model learns to write"):
        luthier.train(
            {"model": str(tiny_bert), "data": {"files": str(reviews), "packing": True}, "output": str(tmp_path / "x")}
        )
