"""Runs that predict numbers, from the file to the card: what is stored, live and plain agree, in the units of the file."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import r2_score

import luthier

WORTH = {"good": 120.0, "great": 190.0, "bad": -110.0, "awful": -200.0, "the": 0.0, "film": 0.0, "room": 0.0}


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(0)
    texts = sorted({" ".join(draw.choices(sorted(WORTH), k=draw.randint(2, 6))) for _ in range(260)})
    draw.shuffle(texts)
    worth = [round(5000 + sum(WORTH[word] for word in text.split()), 2) for text in texts]
    file = tmp_path_factory.mktemp("ratings") / "ratings.csv"
    pd.DataFrame({"text": texts, "worth": worth, "words": [len(text.split()) for text in texts]}).to_csv(
        file, index=False
    )
    return file


def trained(ratings: Path, model: Path, label: Any, output: Path, **task: Any) -> luthier.Run:
    return luthier.train(
        {
            "task": {"name": "regress", **task},
            "model": str(model),
            "data": {"files": str(ratings), "columns": {"text": "text", "label": label}},
            "train": {"epochs": 8, "lr": 3e-3, "batch_size": 8, "precision": "fp32"},
            "output": str(output),
        }
    )


@pytest.fixture(scope="module")
def run(ratings: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    return trained(ratings, tiny_bert, "worth", tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def test_it_learns_in_the_units_of_the_file(run: luthier.Run, ratings: Path, stored: pd.DataFrame) -> None:
    found = run.evaluate("test")
    assert found.metrics["r2"] > 0.5
    assert found.metrics["r2"] == pytest.approx(r2_score(stored["label"], stored["predicted"]))
    assert found.baseline is not None
    assert found.baseline.figures["mae"] > found.metrics["mae"] > 1
    source = pd.read_csv(ratings)
    assert source["worth"][stored["row"] - 1].tolist() == stored["label"].tolist()


def test_stored_live_and_plain_predictions_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    from transformers import pipeline

    live = run.predict(stored["text"].tolist())
    assert [answer.label for answer in live] == pytest.approx(stored["predicted"].tolist(), rel=1e-5)
    assert {answer.confidence for answer in live} == {None}
    (output,) = run.data["target"]["outputs"]
    plain = pipeline("text-classification", str(run.path / "model"), function_to_apply="none")
    said = [output["mean"] + output["deviation"] * plain(text)[0]["score"] for text in stored["text"]]
    assert said == pytest.approx(stored["predicted"].tolist(), rel=1e-5)


def test_predictions_have_no_columns_that_say_nothing(run: luthier.Run, ratings: Path, tmp_path: Path) -> None:
    assert list(pd.read_parquet(run.path / "predictions.parquet")) == ["row", "split", "text", "label", "predicted"]
    run.predict_file(ratings, tmp_path / "out.csv")
    assert list(pd.read_csv(tmp_path / "out.csv")) == ["text", "worth", "words", "predicted"]


def test_a_file_is_evaluated_by_its_numbers(run: luthier.Run, stored: pd.DataFrame, tmp_path: Path) -> None:
    again = stored.rename(columns={"label": "worth"})[["text", "worth"]]
    again.to_csv(tmp_path / "again.csv", index=False)
    assert run.evaluate(tmp_path / "again.csv").metrics == pytest.approx(run.evaluate("test").metrics, rel=1e-4)


def test_the_report_and_the_command_line_show_numbers(run: luthier.Run, capsys: pytest.CaptureFixture[str]) -> None:
    from luthier.commands import evaluate_run, predict_with

    assert "Predicted against true" in (run.path / "report.html").read_text(encoding="utf-8")
    evaluate_run(run.path, "test", as_json=False)
    predict_with(run.path, ["the good film"], "", None)
    said = capsys.readouterr().out
    assert "training mean" in said
    assert "Spearman" in said
    assert "confidence" not in said


def test_several_columns_are_several_numbers(ratings: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = trained(ratings, tiny_bert, ["worth", "words"], tmp_path / "run", loss="huber")
    (answer,) = run.predict(["the good good film"])
    assert set(answer.label) == {"worth", "words"}
    stored = pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")
    table = np.array([[row["worth"], row["words"]] for row in stored["label"]])
    answers = np.array([[row["worth"], row["words"]] for row in stored["predicted"]])
    assert run.evaluate("test").metrics["r2"] == pytest.approx(r2_score(table, answers))
    assert luthier.open(run.path).target.model_config["id2label"] == {0: "worth", 1: "words"}
