"""Vectors of rows: those that transformers gives one row at a time, computed once."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import tiny_models
from luthier import embed as embedding
from luthier.data.found import Found
from luthier.embed import embed
from luthier.errors import ModelError, RecipeError, TrainError
from luthier.models.open import Base, find
from luthier.training import keeping

LIMIT = 16
FOUND = Found("text", "other", None, "single", "")


def base(folder: Path) -> Base:
    return find(str(folder))


def rows(count: int, seed: int = 0) -> datasets.Dataset:
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(tiny_models.WORDS, k=draw.randrange(1, 30))) for _ in range(count)]
    return datasets.Dataset.from_dict({"text": texts, "other": list(range(count))})


def plainly(folder: Path, texts: list[str], limit: int = LIMIT) -> np.ndarray:
    """One row at a time, by transformers alone: the mean over all of its positions."""
    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    network = model.get_encoder() if model.config.is_encoder_decoder else model
    vectors = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=limit, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            vectors.append(network(**batch).last_hidden_state[0].mean(dim=0).numpy())
    return np.array(vectors)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama", "gpt2", "t5"])
def test_vectors_are_the_means_of_the_last_hidden_states(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "TOKENS_PER_CALL", 64)  # several calls, with padding
    folder, table, done = tiny_models.make(family, tmp_path), rows(40), []
    vectors = embed(base(folder), table, FOUND, LIMIT, "cpu", done.append)
    assert vectors.dtype == np.float32
    assert sum(done) == 40
    assert len(done) > 1
    np.testing.assert_allclose(vectors, plainly(folder, list(table["text"])), atol=2e-5)


def test_a_second_call_computes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_models.make("bert", tmp_path)
    first = embed(base(folder), rows(20), FOUND, LIMIT, "cpu").copy()
    monkeypatch.setattr(embedding, "_open", lambda *_: pytest.fail("the model was opened"))
    assert np.array_equal(embed(base(folder), rows(20), FOUND, LIMIT, "cpu"), first)
    renumbered = rows(20).remove_columns("other").add_column("note", ["x"] * 20)
    assert np.array_equal(embed(base(folder), renumbered, FOUND, LIMIT, "cpu"), first)


def test_what_changes_the_vectors_is_computed_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = tiny_models.make("bert", tmp_path / "one"), tiny_models.make("roberta", tmp_path / "other")
    opened = []
    really = embedding._open
    monkeypatch.setattr(embedding, "_open", lambda *given: opened.append(given) or really(*given))
    embed(base(one), rows(10), FOUND, LIMIT, "cpu")
    embed(base(one), rows(10), FOUND, LIMIT - 4, "cpu")
    embed(base(one), rows(10, seed=1), FOUND, LIMIT, "cpu")
    embed(base(one), rows(10).select(range(9, -1, -1)), FOUND, LIMIT, "cpu")
    embed(base(other), rows(10), FOUND, LIMIT, "cpu")
    assert len(opened) == 5


def test_nobody_writes_into_the_cache_by_accident(tmp_path: Path) -> None:
    vectors = embed(base(tiny_models.make("bert", tmp_path)), rows(5, seed=2), FOUND, LIMIT, "cpu")
    with pytest.raises(ValueError, match="read-only"):
        vectors += 1


def test_memory_where_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_models.make("bert", tmp_path)
    monkeypatch.setattr(keeping, "LIMIT", 10)
    vectors = embed(base(folder), rows(5, seed=3), FOUND, LIMIT, "cpu")
    np.testing.assert_allclose(vectors, plainly(folder, list(rows(5, seed=3)["text"])), atol=2e-5)


def test_no_room_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_models.make("bert", tmp_path)
    monkeypatch.setattr(keeping, "LIMIT", 10)
    monkeypatch.setattr(keeping.hardware, "available_memory", lambda: 100)
    with pytest.raises(TrainError) as refused:
        embed(base(folder), rows(5, seed=4), FOUND, LIMIT, "cpu")
    assert str(refused.value) == (
        "There is no room for the vectors of 5 rows: they take 0.6 kB, and it may use 0.0 kB of disk; they take 0.6 kB, and it may use "
        "0.0 kB of memory. Free some space, set LUTHIER_CACHE to a folder on another disk, or take fewer rows (data.rows)."
    )


def test_a_model_that_does_not_say_how_wide_it_is() -> None:
    config = SimpleNamespace(model_type="odd", attribute_map={})
    config.get_text_config = lambda: config
    with pytest.raises(
        ModelError,
        match=r"^A model of the kind odd does not say how wide its output is, so rows cannot become vectors with it\.$",
    ):
        embedding._width(config)


def test_rows_are_written_as_the_task_says(tmp_path: Path) -> None:
    folder = tiny_models.make_answering("bart", tmp_path / "model")
    prompts = [text for text in rows(5)["text"] if text]
    table = datasets.Dataset.from_dict({"text": prompts})
    found = Found("text", "other", None, "texts", "", medium="prompt")
    asked = SimpleNamespace(wording="{prompt} the film", languages={})
    vectors = embed(base(folder), table, found, LIMIT * 4, "cpu", target=asked)  # type: ignore[arg-type]
    expected = plainly(folder, [f"{text} the film" for text in prompts], LIMIT * 4)
    np.testing.assert_allclose(vectors, expected, atol=2e-5)
    asked = SimpleNamespace(wording=None, languages={"target_language": "de_DE"})
    with pytest.raises(RecipeError, match=r"the tokenizer of .* knows no languages"):
        embed(base(folder), table, found, LIMIT, "cpu", target=asked)  # type: ignore[arg-type]
    twice = datasets.Dataset.from_dict({"text": prompts, "more": ["room"] * len(prompts)})
    found = Found("text", "other", None, "texts", "", medium="instruction", also=("more",))
    vectors = embed(
        base(folder), twice.add_column("both", [f"{text}\nroom" for text in prompts]), replace(found, content="both")
    )
    np.testing.assert_allclose(vectors, plainly(folder, [f"{text}\n\nroom" for text in prompts], LIMIT * 4), atol=2e-5)
