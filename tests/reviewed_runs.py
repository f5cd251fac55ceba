"""Run folders as far as a review reads them, and people who answer its tasks, for the tests of reviewing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from luthier.data import source
from luthier.recipe.data import Data

LABELS = ["bad", "fine", "good"]
ROWS = 40
HELD_OUT = range(25, 40)


def labelled_rows() -> pd.DataFrame:
    """Texts with commas, line breaks, quotes and Chinese, each with a label drawn at random."""
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {"review": [f'text, {n}\n"quoted" 你好' for n in range(ROWS)], "sentiment": draw.choice(LABELS, ROWS)}
    )


def probabilities(labels: int, several: bool) -> np.ndarray:
    logits = np.random.default_rng(1).normal(size=(len(HELD_OUT), labels)) * 2
    return 1 / (1 + np.exp(-logits)) if several else np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def folder_of_run(
    tmp_path: Path, file: Path, held: list[Any], label: Any = "sentiment", separator: str | None = None
) -> Path:
    """A run folder as far as a review reads it: rows 26 to 40 of the file are the test split."""
    several = isinstance(held[0], list)
    names = sorted({one for value in held for one in value}) if several else LABELS
    scores = probabilities(len(names), several)
    predicted = (
        [[n for n, p in zip(names, row, strict=True) if p >= 0.5] for row in scores]
        if several
        else [names[index] for index in scores.argmax(axis=1)]
    )
    run = tmp_path / "run"
    run.mkdir()
    data = {"files": str(file), "columns": {"text": "review", "label": label, "separator": separator}}
    YAML().dump({"task": "classify", "model": "m", "data": data}, run / "recipe.yaml")
    kind = "multilabel" if several else "multiclass"
    facts = {"files": {"all": [str(file)]}, "held_out": "test", "target": {"labels": names, "kind": kind}}
    (run / "data.json").write_text(
        json.dumps(facts | {"columns": data["columns"] | {"medium": "text", "kind": "single"}})
    )
    texts = next(iter(source.read(Data(files=str(file))).splits.values()))["review"]
    pd.DataFrame(
        {
            "row": [row + 1 for row in HELD_OUT],
            "split": "test",
            "review": [texts[row] for row in HELD_OUT],
            "label": held,
            "predicted": predicted,
            "confidence": scores.max(axis=1),
            "probabilities": list(scores),
        }
    ).to_parquet(run / "predictions.parquet")
    return run


SEVERAL = [["dear"], ["dear", "noisy"], [], ["noisy"]]


def tasks_of(file: Path) -> list[dict[str, Any]]:
    return json.loads(file.read_text(encoding="utf-8"))


Person = Callable[[dict[str, Any]], list[str] | None]
"""From a task's data to the labels that somebody gives it, or None to skip it."""


def label_studio_export(tasks: Path, person: Person, annotators: int = 1) -> Path:
    """What the server exports as JSON after somebody went through the tasks."""
    done = []
    for number, task in enumerate(tasks_of(tasks), start=1):
        labels = person(task["data"])
        result = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": labels}}
        annotation = {"was_cancelled": labels is None, "result": [result] if labels else []}
        stamps = {"created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z", "lead_time": 1.0}
        every = [
            {"id": 10 * number + who, "completed_by": who, **annotation, **stamps} for who in range(1, annotators + 1)
        ]
        done.append({"id": number, **task, "annotations": every})
    export = tasks.with_name("export.json")
    export.write_text(json.dumps(done, ensure_ascii=False), encoding="utf-8")
    return export


def prodigy_export(tasks: Path, person: Person) -> Path:
    """What db-out gives after somebody went through the tasks."""
    export = tasks.with_name("answers.jsonl")
    with export.open("w", encoding="utf-8") as stream:
        for line in tasks.read_text(encoding="utf-8").splitlines():
            task = json.loads(line)
            labels = person({"text": task["text"], **task["meta"]})
            done = task | {"answer": "ignore" if labels is None else "accept", "accept": labels or [], "_timestamp": 1}
            stream.write(json.dumps(done, ensure_ascii=False) + "\n")
    return export
