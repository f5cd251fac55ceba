"""Keeping the best evaluation, through the real pipeline, for methods whose weights are not the network's own (peft#2256)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

import luthier
from small_jobs import recipe_for

METHODS: dict[str, dict[str, Any]] = {
    "prompt": {"length": 3},
    "ptuning": {"length": 3},
    "prefix": {"length": 3},
    "adapter": {"reduction": 4},
    "lora": {"rank": 4},
}


def table(file: Path, rows: list[tuple[str, str]]) -> str:
    file.write_text(
        "\n".join(["review,sentiment", *(f"{text},{label}" for text, label in rows)]) + "\n", encoding="utf-8"
    )
    return str(file)


@pytest.mark.parametrize("method", METHODS)
def test_an_early_best_epoch_is_what_is_saved(
    method: str, tiny_bert: Path, tmp_path: Path, sentences: Callable[[int, int], list[tuple[str, str]]]
) -> None:
    # most training rows are negative and most validation rows positive: the more is learned, the higher is the loss there
    rows, held = sentences(96, 0), sentences(40, 1)
    rows = [(text, label) for number, (text, label) in enumerate(rows) if label == "negative" or number % 12 == 1]
    held = [(text, label) for number, (text, label) in enumerate(held) if label == "positive" or number % 12 == 0]
    files = {"train": table(tmp_path / "train.csv", rows), "validation": table(tmp_path / "held.csv", held)}
    settings = {"epochs": 4, "batch_size": 8, "lr": 3e-3, "schedule": "constant", "monitor": "loss"}
    recipe = recipe_for(tiny_bert, Path(), tmp_path / "run", settings, method={"name": method, **METHODS[method]})
    run = luthier.train({**recipe, "data": {"files": files}})
    lines = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines())
    losses = {line["step"]: line["loss"] for line in lines if line["event"] == "evaluate"}
    best = min(losses, key=losses.__getitem__)
    assert best < max(losses), losses
    assert max(losses.values()) > losses[best] + 0.05
    scores = run.model.score([text for text, _ in held])
    labels = list(run.target.labels)
    answers = np.array([labels.index(label) for _, label in held])
    assert log_loss(answers, scores, labels=[0, 1]) == pytest.approx(losses[best], abs=1e-4)
