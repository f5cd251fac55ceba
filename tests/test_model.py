from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tiny_models
from luthier.model import Model
from luthier.tasks.classify import Classes

LIMIT = 16
KINDS = {"binary": Classes(("bad", "good"), False), "labels": Classes(("cheap", "loud", "new"), True)}


@pytest.fixture(scope="module", params=["bert", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make(request.param, tmp_path_factory.mktemp("model"))


def trained(folder: Path, target: Classes, out: Path) -> Path:
    """A classifier that tells texts apart."""
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(folder, **target.model_config)
    for one in model.parameters():
        if one.ndim > 1:
            torch.nn.init.normal_(one, std=0.3)
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(folder).save_pretrained(out)
    return out


def plainly(folder: Path, target: Classes, texts: list[str]) -> np.ndarray:
    """One text at a time, by transformers alone."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for text in texts:
        batch = tokenizer(text, truncation=True, max_length=LIMIT, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            logits = model(**batch).logits[0].numpy()
        rows.append(1 / (1 + np.exp(-logits)) if target.multilabel else np.exp(logits) / np.exp(logits).sum())
    return np.array(rows)


@pytest.mark.parametrize("target", KINDS.values(), ids=KINDS)
def test_scores_are_those_of_transformers_in_the_order_of_the_rows(
    folder: Path, target: Classes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.model.TOKENS_PER_CALL", 64)  # several calls
    draw = random.Random(0)
    texts = [" ".join(draw.choices(tiny_models.WORDS, k=draw.randrange(1, 30))) for _ in range(40)]
    saved = trained(folder, target, tmp_path)
    expected = plainly(saved, target, texts)
    assert len({tuple(row.round(4)) for row in expected}) > 30
    scores = Model(saved, target, LIMIT, "cpu").score(texts)
    assert scores.shape == (40, len(target.labels))
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_no_rows(folder: Path, tmp_path: Path) -> None:
    target = KINDS["binary"]
    assert Model(trained(folder, target, tmp_path), target, LIMIT, "cpu").score([]) == []


def test_an_empty_text_has_a_score(folder: Path, tmp_path: Path) -> None:
    target = KINDS["binary"]
    scores = Model(trained(folder, target, tmp_path), target, LIMIT, "cpu").score(["", "good film"])
    assert scores.sum(axis=1) == pytest.approx([1, 1])
