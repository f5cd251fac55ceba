"""Slices and calibration of a run, from the command line to the files that it leaves."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, log_loss

import luthier as library
from small_jobs import recipe_for


@pytest.fixture(scope="module")
def trained(tiny_bert: Path, sentences, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reviews of two shops: of the small one half of the labels are drawn."""
    folder, draw = tmp_path_factory.mktemp("slices"), random.Random(0)
    rows = pd.DataFrame(sentences(600, 3), columns=["review", "sentiment"])
    rows["shop"] = [draw.choice(["large", "large", "small"]) for _ in range(600)]
    rows["stars"] = [draw.randint(1, 5) for _ in range(600)]
    rows["note"] = [f"note {number}" for number in range(600)]
    rows["price"] = [f"{draw.random() * 5000:.2f}" if draw.random() < 0.7 else "" for _ in range(600)]
    rows["day"] = pd.date_range("2025-01-01", periods=600, freq="D").strftime("%d/%m/%Y")
    drawn = [shop == "small" and draw.random() < 0.6 for shop in rows["shop"]]
    rows.loc[drawn, "sentiment"] = [draw.choice(["positive", "negative"]) for _ in range(sum(drawn))]
    rows.to_csv(folder / "reviews.csv", index=False)
    recipe = recipe_for(
        tiny_bert, folder / "reviews.csv", folder / "run", {"epochs": 6, "batch_size": 8, "lr": 3e-3}, method="full"
    )
    recipe["data"] |= {
        "split": {"parts": [0.5, 0.25, 0.25]},
        "duplicates": "ignore",
        "columns": {"text": "review", "label": "sentiment"},
    }
    library.train(recipe)
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_other_columns_are_kept_and_rows_grouped_by_them(luthier, trained: Path) -> None:
    kept = pd.read_parquet(trained / "columns.parquet")
    assert list(kept) == ["(row)", "(split)", "shop", "stars", "price", "day", "length (tokens)"]
    source = pd.read_csv(trained.parent / "reviews.csv")
    assert kept["shop"].tolist() == source["shop"][kept["(row)"] - 1].tolist()
    answers = pd.read_parquet(trained / "predictions.parquet")
    assert kept["(row)"].tolist() == answers["row"].tolist()
    found = json.loads(luthier("evaluate", trained, "--by", "shop", "--json").out)
    test = answers[answers["split"] == "test"].reset_index()
    shops = source["shop"][test["row"] - 1].reset_index(drop=True)
    for one in found["shown"]:
        part = test[shops == one["value"]]
        assert one["figures"]["accuracy"] == pytest.approx(accuracy_score(part["label"], part["predicted"]))
    said = luthier("evaluate", trained, "--by", "shop")
    assert "test rows by shop" in said.out
    assert f"p is corrected for all {found['looked_at']} groups of the run" in said.out
    assert "Where it is weak" in (trained / "report.html").read_text(encoding="utf-8")
    assert "first shop = " in (trained / "report.html").read_text(encoding="utf-8")


def test_numbers_and_dates_of_a_csv_are_cut_at_their_quartiles(luthier, trained: Path) -> None:
    kept, source = pd.read_parquet(trained / "columns.parquet"), pd.read_csv(trained.parent / "reviews.csv")
    rows = source.iloc[kept["(row)"] - 1].reset_index(drop=True)
    pd.testing.assert_series_equal(kept["price"], rows["price"])
    pd.testing.assert_series_equal(kept["stars"], rows["stars"])
    assert (kept["day"] == pd.to_datetime(rows["day"], format="%d/%m/%Y")).all()
    test = rows[kept["(split)"] == "test"]
    days = json.loads(luthier("evaluate", trained, "--by", "day", "--json").out)["shown"]
    assert sum(one["rows"] for one in days) == 150
    assert days[0]["value"].startswith("2025-01-0")
    prices = json.loads(luthier("evaluate", trained, "--by", "price", "--json").out)["shown"]
    assert [(one["value"], one["rows"]) for one in prices] == [("(empty)", test["price"].isna().sum())]
    stars = json.loads(luthier("evaluate", trained, "--by", "stars", "--json").out)["shown"]
    assert [one["value"] for one in stars] == sorted(one["value"] for one in stars)
    assert len(stars) > 1


def test_calibration_is_in_all_that_the_run_says(luthier, run: Path) -> None:
    texts = ["the lovely film", "the awful room", "the film"]
    raw = library.open(run).model.score(texts)
    before = pd.read_parquet(run / "predictions.parquet")
    said = luthier("calibrate", run, "--cost", "fp=1,fn=4")
    assert said.code == 0, said.err
    told = " ".join(said.out.split())  # titles wrap
    assert "fitted on 150 validation rows" in told
    assert "Thresholds for cost 1 of a false positive, 4 of a false negative" in told
    facts = json.loads((run / "data.json").read_text())["calibration"]
    heat, cut = facts["temperature"], facts["thresholds"][0]["threshold"]
    opened = library.open(run)
    now = opened.model.score(texts)
    expected = np.exp(np.log(raw) / heat)
    np.testing.assert_allclose(now, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4)
    assert [one.label for one in opened.predict(texts)] == ["positive" if row[1] >= cut else "negative" for row in now]
    after = pd.read_parquet(run / "predictions.parquet")
    assert list(after) == list(before)
    chances = np.stack(after["probabilities"])[:, 1]
    assert after["predicted"].tolist() == ["positive" if one >= cut else "negative" for one in chances]
    test = (after["split"] == "test").to_numpy()
    figures = json.loads(luthier("evaluate", run, "--json").out)["metrics"]
    assert figures["log_loss"] == pytest.approx(log_loss(after["label"][test] == "positive", chances[test]), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(accuracy_score(after["label"][test], after["predicted"][test]))
    old = log_loss(before["label"][test] == "positive", np.stack(before["probabilities"])[test][:, 1])
    shown = {one["name"]: one for one in facts["figures"]}
    assert shown["log_loss"]["before"] == pytest.approx(old, rel=1e-5)
    assert shown["log_loss"]["after"] == pytest.approx(figures["log_loss"], rel=1e-5)
    predicted = " ".join(luthier("predict", run, *texts).out.split())
    assert f"Predictions (temperature {heat:.3g}, positive from {cut:.3g})" in predicted
    assert "What calibration changed" in (run / "report.html").read_text(encoding="utf-8")
    assert f"the logits are divided by {heat:.4g}, and “positive” is answered from" in (run / "README.md").read_text()


def test_calibrating_again_begins_with_the_network(luthier, run: Path) -> None:
    assert luthier("calibrate", run, "--cost", "fn=4").code == 0
    first = json.loads((run / "data.json").read_text())["calibration"]
    assert luthier("calibrate", run).code == 0
    again = json.loads((run / "data.json").read_text())
    assert again["calibration"]["temperature"] == pytest.approx(first["temperature"], rel=1e-3)
    assert again["target"]["thresholds"] == {}
    for one, other in zip(first["figures"], again["calibration"]["figures"], strict=True):
        assert one["before"] == pytest.approx(other["before"], rel=1e-4)


def test_a_run_that_stopped_between_the_files_is_calibrated_right(luthier, run: Path) -> None:
    old = (run / "data.json").read_text()
    assert luthier("calibrate", run).code == 0
    whole = json.loads((run / "data.json").read_text())["calibration"]
    (run / "data.json").write_text(old)
    assert luthier("calibrate", run).code == 0
    again = json.loads((run / "data.json").read_text())["calibration"]
    assert again["temperature"] == pytest.approx(whole["temperature"], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--precision", "0.9", "--cost", "fn=2"), "A threshold is for --precision or for --cost: give one of them."),
        (("--precision", "1.5"), "--precision is a share above 0 and up to 1; got 1.5."),
        (
            ("--cost", "fx=2"),
            "--cost is what a false positive and a false negative cost, as fp=1,fn=5, both above 0; got 'fx=2'.",
        ),
        (("--class", "positive"), "--class says which class gets a threshold: say what for"),
        (("--cost", "fn=4", "--class", "positiv"), "There is no label 'positiv'; did you mean 'positive'?"),
    ],
)
def test_options_that_make_no_sense_are_refused(luthier, trained: Path, options, sentence: str) -> None:
    before = (trained / "data.json").read_bytes()
    said = luthier("calibrate", trained, *options)
    assert said.code == 2
    assert sentence in " ".join(said.err.split())
    assert (trained / "data.json").read_bytes() == before


def test_rows_that_would_fit_and_judge_are_refused(luthier, run: Path) -> None:
    table = pd.read_parquet(run / "predictions.parquet")
    for lacking, why in (("test", "to show what it does"), ("validation", "to fit them on")):
        table[table["split"] != lacking].to_parquet(run / "predictions.parquet")
        assert f"has no {lacking} rows {why}" in " ".join(luthier("calibrate", run).err.split())


def test_grouping_rows_of_another_split_is_refused(luthier, trained: Path) -> None:
    said = luthier("evaluate", trained, "--by", "shop", "--on", "train")
    assert "--by groups the test rows, whose columns the run has kept" in " ".join(said.err.split())
