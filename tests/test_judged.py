"""`data.labels`: suspect training rows are found by the base's vectors, told, and treated; other splits stay."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import luthier
from luthier import embed
from luthier.judged import embed as used
from luthier.versions import export
from small_jobs import recipe_for

ROWS, WRONG = 200, (10, 50, 90, 130)


@pytest.fixture
def flipped(tmp_path: Path) -> dict[str, str]:
    """Training and test files whose texts say their label; four training labels are wrong."""
    draw = np.random.default_rng(0)
    words = {"positive": ["good", "great", "lovely"], "negative": ["bad", "awful", "poor"]}
    files = {}
    for name, rows in {"train": ROWS, "validation": 20, "test": 20}.items():
        labels = [["negative", "positive"][row % 2] for row in range(rows)]
        texts = [
            f"the {draw.choice(words[label])} {draw.choice(['film', 'room', 'cast'])} {row}"
            for row, label in enumerate(labels)
        ]
        if name == "train":
            labels = [
                {"negative": "positive", "positive": "negative"}[one] if row in WRONG else one
                for row, one in enumerate(labels)
            ]
        pd.DataFrame({"review": texts, "sentiment": labels}).to_csv(tmp_path / f"{name}.csv", index=False)
        files[name] = str(tmp_path / f"{name}.csv")
    return files


@pytest.fixture(autouse=True)
def telling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors that say what the text says, as those of a trained base do; the tiny one's are random."""
    assert used is embed.embed

    def vectors(base: Any, table: Any, text: str, *rest: Any) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, 0.1, (len(table), 4)).astype(np.float32)
        good = np.array([any(word in one for word in ("good", "great", "lovely")) for one in table[text]])
        noise[:, 0] += np.where(good, 1, -1)
        return noise

    monkeypatch.setattr("luthier.judged.embed", vectors)


def run_of(base: Path, files: dict[str, str], output: Path, how: str) -> luthier.Run:
    recipe = recipe_for(base, Path(files["train"]), output, {"epochs": 1})
    recipe["data"] = {"files": files, "similarity": None, "labels": how}
    return luthier.train(recipe)


def changed(run: luthier.Run) -> list[tuple[str, int, str, str]]:
    with (run.path / "changes.csv").open(encoding="utf-8") as lines:
        return sorted((one["split"], int(one["row"]), one["action"], one["step"]) for one in csv.DictReader(lines))


def test_wrong_labels_are_reported(tiny_bert: Path, flipped: dict[str, str], tmp_path: Path) -> None:
    run = run_of(tiny_bert, flipped, tmp_path / "run", "report")
    assert sorted(one["row"] - 1 for one in run.data["labels"]["suspects"]) == list(WRONG)
    assert run.data["splits"]["train"]["rows"] == ROWS
    assert changed(run) == []
    assert run.data["shift"]["vectors"]["rows"] == [ROWS, 20]
    assert not run.data["shift"]["found"]
    report = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Labels that look wrong" in report
    assert "data.labels=drop" in report


@pytest.mark.parametrize(("how", "action", "left"), [("drop", "removed", ROWS - 4), ("fix", "relabelled", ROWS)])
def test_wrong_labels_are_treated_and_listed(
    how: str, action: str, left: int, tiny_bert: Path, flipped: dict[str, str], tmp_path: Path
) -> None:
    run = run_of(tiny_bert, flipped, tmp_path / "run", how)
    assert changed(run) == [("train", row + 1, action, "labels") for row in WRONG]
    assert run.data["splits"]["train"]["rows"] == left
    rows = pd.read_parquet(run.path / "rows.parquet")
    kept = rows[rows["split"] == "train"].set_index("row")["label"]
    for row in WRONG:
        assert kept.get(row + 1) == ({"fix": f'"{["negative", "positive"][row % 2]}"'}.get(how))
    assert len(rows[rows["split"] == "test"]) == 20
    export(run.path, tmp_path / "out")
    exported = pd.read_parquet(tmp_path / "out" / "train.parquet")
    assert [f'"{label}"' for label in exported["sentiment"]] == kept.tolist()
    assert luthier.open(run.path).evaluate("train").rows == left
