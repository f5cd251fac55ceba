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
from luthier.data.mislabeled import Suspect, Suspects
from luthier.errors import DataError, RecipeError
from luthier.judged import embed as used
from luthier.judged import prepare_judged
from luthier.recipe.reading import read
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

    def vectors(base: Any, table: Any, found: Any, *rest: Any, **named: Any) -> np.ndarray:
        noise = np.random.default_rng(0).normal(0, 0.1, (len(table), 4)).astype(np.float32)
        good = np.array([any(word in one for word in ("good", "great", "lovely")) for one in table[found.text]])
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


def with_several(files: dict[str, str], folder: Path) -> dict[str, str]:
    """The same rows with lists of labels, of which the first wrong one also has a label that no other row has."""
    for name, file in files.items():
        table = pd.read_csv(file)
        lists = [
            [one, "rare"] if (name, row) == ("train", WRONG[0]) else [one] for row, one in enumerate(table.sentiment)
        ]
        table.assign(sentiment=lists).to_json(folder / f"{name}.jsonl", orient="records", lines=True)
    return {name: str(folder / f"{name}.jsonl") for name in files}


def refusal(how: str, label: str) -> str:
    return (
        f"data.labels: {how} would leave training without the label '{label}', because all its rows look mislabelled. Look at them "
        "with data.labels: report."
    )


def test_a_label_that_goes_with_the_suspects_is_refused(
    tiny_bert: Path, flipped: dict[str, str], tmp_path: Path
) -> None:
    files = with_several(flipped, tmp_path)
    data = {"files": files, "similarity": None}
    with pytest.raises(DataError) as refused:
        prepare_judged(read({"model": str(tiny_bert), "data": {**data, "labels": "drop"}}))
    assert str(refused.value) == refusal("drop", "rare")
    fixed = prepare_judged(read({"model": str(tiny_bert), "data": {**data, "labels": "fix"}}))
    assert fixed.facts["target"]["labels"] == ["negative", "positive", "rare"]
    assert sorted(fixed.tables["train"].labels[WRONG[0]]) == ["negative", "rare"]


@pytest.mark.parametrize("how", ["drop", "fix"])
def test_a_label_of_which_every_row_is_suspect_is_refused(
    how: str, tiny_bert: Path, flipped: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """cleanlab leaves a row of each class, so the suspects are planted; another finder may not."""
    table = pd.read_csv(flipped["train"])
    table.loc[list(WRONG), "sentiment"] = "odd"
    table.to_csv(flipped["train"], index=False)
    suspects = tuple(Suspect(row, row + 1, "odd", "negative", 0.9, 0.1, (), "planted") for row in WRONG)
    monkeypatch.setattr("luthier.judged.mislabeled.find", lambda *rest: Suspects(suspects, ROWS, ROWS, ()))
    data = {"files": flipped, "similarity": None, "labels": how}
    with pytest.raises(DataError) as refused:
        prepare_judged(read({"model": str(tiny_bert), "data": data}))
    assert str(refused.value) == refusal(how, "odd")


def test_numbers_have_no_wrong_class(tiny_bert: Path, tmp_path: Path) -> None:
    file = tmp_path / "numbers.csv"
    file.write_text("text,y\n" + "".join(f"text {row},{row}.5\n" for row in range(60)), encoding="utf-8")
    recipe = read(
        {
            "task": "regress",
            "model": str(tiny_bert),
            "data": {"files": str(file), "columns": {"text": "text", "label": "y"}, "labels": "drop"},
            "output": str(tmp_path / "run"),
        }
    )
    with pytest.raises(RecipeError) as refused:
        prepare_judged(recipe)
    assert str(refused.value) == (
        "data.labels: drop looks for rows that carry the name of another class, and these labels are numbers. Write data.labels: ignore; "
        "the report shows the rows that the model is furthest from."
    )
