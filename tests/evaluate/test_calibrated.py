"""Calibration of simulated runs: several classes, several labels, and precisions that hold on no other rows."""

import json

import numpy as np
import pandas as pd
import pytest
from simulated_runs import REVIEWS, several, single, write_run
from sklearn import metrics as reference

from luthier.calibrated import calibrate
from luthier.errors import DataError, RunError
from luthier.evaluate.calibrate import Goal, tempered
from luthier.run import Run

ROWS = 400
NAMES = {"binary": ["no", "yes"], "multiclass": ["a", "b", "c"], "multilabel": ["noisy", "dirty", "dear"]}


def finished(folder, kind, times=0.3, skills=(1.5, 1.5)):
    """A run with validation and test rows that is surer than it should be."""
    names = NAMES[kind]
    write_run(folder, names, kind=kind, rows=ROWS)
    parts = []
    for seed, split in enumerate(("validation", "test")):
        targets, scores = (
            several(ROWS, 3, seed) if kind == "multilabel" else single(ROWS, len(names), seed, skills[seed])
        )
        scores = tempered(scores, times, kind == "multilabel")
        said = (scores >= 0.5) if kind == "multilabel" else np.eye(len(names))[scores.argmax(axis=1)]
        true = targets if kind == "multilabel" else np.eye(len(names))[targets]
        labels, answers = ([[names[i] for i in np.flatnonzero(row)] for row in one] for one in (true, said))
        if kind != "multilabel":
            labels, answers = [one[0] for one in labels], [one[0] for one in answers]
        table = {"row": range(ROWS), "split": split, "review": REVIEWS["en"][0], "label": labels, "predicted": answers}
        parts.append(pd.DataFrame(table | {"confidence": scores.max(axis=1), "probabilities": list(scores)}))
    pd.concat(parts, ignore_index=True).to_parquet(folder / "predictions.parquet")
    data = json.loads((folder / "data.json").read_text())
    data["columns"] |= {"medium": "text", "kind": "single"}
    (folder / "data.json").write_text(json.dumps(data))
    (folder / "model").mkdir()
    (folder / "model" / "manifest.json").write_text("{}")
    return Run(folder)


@pytest.mark.parametrize(("kind", "label"), [("binary", ""), ("multiclass", "b"), ("multilabel", "")])
def test_figures_of_the_test_rows_are_those_of_scikit_learn(tmp_path, kind, label):
    run = finished(tmp_path / "run", kind)
    facts = calibrate(run, Goal(0.6), label)
    table = pd.read_parquet(run.path / "predictions.parquet")
    test = table[table["split"] == "test"]
    names = NAMES[kind]
    chances = np.stack(test["probabilities"]).astype(float)
    assert facts["temperature"] > 1.2
    for one in facts["thresholds"]:
        true, said = (
            np.array([one["label"] in row if kind == "multilabel" else one["label"] == row for row in test[column]])
            for column in ("label", "predicted")
        )
        np.testing.assert_array_equal(said, chances[:, names.index(one["label"])] >= one["threshold"])
        assert one["test"]["precision"]["value"] == pytest.approx(reference.precision_score(true, said))
        assert one["test"]["recall"]["value"] == pytest.approx(reference.recall_score(true, said))
        assert one["validation"]["precision"]["value"] >= 0.6
    assert [one["label"] for one in facts["thresholds"]] == {"binary": ["yes"], "multiclass": ["b"]}.get(kind, names)
    shown = {one["name"]: one for one in facts["figures"]}
    if kind == "multiclass":
        expected = reference.log_loss(test["label"], chances / chances.sum(axis=1, keepdims=True), labels=names)
        assert shown["log_loss"]["after"] == pytest.approx(expected, rel=1e-5)
    assert shown["ece"]["after"] < shown["ece"]["before"]
    assert facts["better"]["interval"][0] > 0
    assert Run(run.path).evaluate("test").metrics["log_loss"] == pytest.approx(shown["log_loss"]["after"])


def test_the_test_rows_choose_nothing(tmp_path):
    """Other test rows, with labels turned around: the same temperature and threshold."""
    run = finished(tmp_path / "run", "binary")
    table = pd.read_parquet(run.path / "predictions.parquet")
    other = finished(tmp_path / "other", "binary")
    test = table["split"] == "test"
    table.loc[test, "label"] = ["yes" if label == "no" else "no" for label in table.loc[test, "label"]]
    table.to_parquet(other.path / "predictions.parquet")
    first, second = (calibrate(one, Goal(None, 1, 3)) for one in (run, other))
    assert first["temperature"] == second["temperature"]
    assert first["thresholds"][0]["threshold"] == second["thresholds"][0]["threshold"]
    assert first["figures"] != second["figures"]


def test_a_precision_that_the_test_rows_do_not_reach_is_said(tmp_path):
    run = finished(tmp_path / "run", "binary", skills=(3, 0.2))
    facts = calibrate(run, Goal(0.95))
    assert len(facts["notes"]) == 1
    assert "below the 0.95 that was reached on the validation rows by more than chance" in facts["notes"][0]
    assert "Ask for more, or give more validation rows." in (run.path / "report.html").read_text(encoding="utf-8")
    assert calibrate(finished(tmp_path / "good", "binary", skills=(3, 3)), Goal(0.9))["notes"] == []


def test_what_cannot_be_calibrated_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"Of 3 classes one can have a threshold: name it with --class, such as --class a"
    ):
        calibrate(finished(tmp_path / "three", "multiclass"), Goal(0.6))
    run = finished(tmp_path / "numbers", "binary")
    recipe = (
        (run.path / "recipe.yaml").read_text().replace("{name: classify, weights: null}", "{name: regress, loss: mse}")
    )
    (run.path / "recipe.yaml").write_text(recipe)
    from luthier.tasks.regress import Regress

    data = json.loads((run.path / "data.json").read_text())
    (run.path / "data.json").write_text(json.dumps(data | {"target": Regress().learn([1.0, 2.0, 3.5]).facts}))
    with pytest.raises(RunError, match=r"predicts one number, which has no probabilities to calibrate\."):
        calibrate(Run(run.path))
