"""A Run in Python: what it predicts is what was scored, and what plain transformers says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import luthier
from luthier.errors import DataError, RunError


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_stored_live_and_plain_predictions_agree(
    reviews: Path, tiny_bert: Path, tmp_path: Path, precision: str, method: str
) -> None:
    from transformers import pipeline

    run = luthier.train(
        {"model": str(tiny_bert), "data": {"files": str(reviews)}, "output": str(tmp_path / "run")},
        method=method,
        train={"epochs": 2, "lr": 1e-3, "precision": precision},
    )
    stored = pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")
    live = run.predict(stored["review"].tolist())
    assert [answer.label for answer in live] == stored["predicted"].tolist()
    table = np.array([list(answer.probabilities.values()) for answer in live])
    assert np.allclose(table, np.stack(stored["probabilities"].to_list()), atol=1e-6)
    plain = pipeline("text-classification", str(run.path / "model"), top_k=None)
    for text, answer in zip(stored["review"], live, strict=True):
        assert {one["label"]: one["score"] for one in plain(text)[0]} == pytest.approx(answer.probabilities, abs=1e-6)


def test_rows_are_numbered_as_in_the_file(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = luthier.train(
        {"model": str(tiny_bert), "data": {"files": str(reviews)}}, train={"epochs": 1}, output=str(tmp_path / "run")
    )
    stored, source = pd.read_parquet(run.path / "predictions.parquet"), pd.read_csv(reviews)
    assert set(stored["split"]) == {"validation", "test"}
    for row in stored.itertuples():
        assert source["review"][row.row - 1] == row.review
        assert source["sentiment"][row.row - 1] == row.label
    assert luthier.open(run.path).evaluate("validation").rows == 12


def test_integer_labels_stay_integers(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(reviews)
    rows["sentiment"] = (rows["sentiment"] == "positive").astype(int)
    rows.to_csv(tmp_path / "numbers.csv", index=False)
    run = luthier.train(
        {"model": str(tiny_bert), "data": {"files": str(tmp_path / "numbers.csv")}}, output=str(tmp_path / "run")
    )
    assert {type(answer.label) for answer in run.predict(["the good film", "the bad film"])} == {int}


def test_mistakes(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = luthier.train(
        {"model": str(tiny_bert), "data": {"files": str(reviews)}}, train={"epochs": 1}, output=str(tmp_path / "run")
    )
    assert run.predict([]) == []
    with pytest.raises(DataError, match=r"A model of texts predicts a text or a list of texts; got int."):
        run.predict(["fine", 3])  # type: ignore[list-item]
    with pytest.raises(RunError, match="There is no run in"):
        luthier.open(tmp_path / "nothing")
