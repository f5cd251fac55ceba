"""Runs as contenders: brought into one order of rows, and refused where they are not about the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from simulated_runs import write_numbers, write_run

from luthier.errors import RunError
from luthier.evaluate.contenders import contenders_of, ground_of, open_runs
from luthier.evaluate.paired import mcnemar

ROWS = 120


def finished(folder: Path, write=write_run, labels=("a", "b"), **options) -> Path:
    """A simulated run with what comparison needs: its rows by hash, and a sealed model."""
    if write is write_run:
        write(folder, list(labels), kind="binary" if len(labels) == 2 else "multiclass", rows=ROWS, **options)
    else:
        write(folder, rows=ROWS)
    table = pd.read_parquet(folder / "predictions.parquet")
    table = table.assign(review=[f"{text} {place}" for place, text in enumerate(table["review"])])
    table.to_parquet(folder / "predictions.parquet")
    known(folder, table)
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "manifest.json").write_text("{}")
    (folder / "model" / "weights").write_bytes(bytes(1000))
    return folder


def known(folder: Path, table: pd.DataFrame) -> None:
    rows = pd.DataFrame({"split": table["split"], "row": table["row"], "text": table["review"].map(hash).map(str)})
    rows.assign(label=table["label"].map(json.dumps)).to_parquet(folder / "rows.parquet")


def edit(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new), encoding="utf-8")


def shuffled(folder: Path, seed: int = 0) -> Path:
    """The same rows in another order and with other numbers, as another file has them."""
    table = pd.read_parquet(folder / "predictions.parquet").sample(frac=1, random_state=seed)
    table = table.assign(row=np.arange(len(table)) + 1)
    table.to_parquet(folder / "predictions.parquet")
    known(folder, table)
    return folder


def flipped(folder: Path, rows: int) -> Path:
    """The probabilities of the first rows the other way round."""
    table = pd.read_parquet(folder / "predictions.parquet")
    values = [row[::-1] if place < rows else row for place, row in enumerate(table["probabilities"])]
    table.assign(probabilities=values).to_parquet(folder / "predictions.parquet")
    return folder


def test_rows_in_another_order_are_the_same_rows(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), shuffled(flipped(finished(tmp_path / "other"), 15))
    entrants = open_runs([one, other])
    ground = ground_of(entrants)
    first, second = contenders_of(entrants, ground)
    assert (first.name, second.name) == ("one", "other")  # the same seed twice is no second one
    before = pd.read_parquet(one / "predictions.parquet")
    right = (before["predicted"] == before["label"]).to_numpy()
    mirrored = np.where(np.arange(ROWS) < 15, ~right, right)
    assert first.measured.figures[0]["accuracy"] == pytest.approx(right.mean())
    assert second.measured.figures[0]["accuracy"] == pytest.approx(mirrored.mean())
    pair = [one.measured.right[0]["accuracy"] for one in (first, second)]
    assert mcnemar(*pair) == pytest.approx(mcnemar(right, mirrored))
    assert int((pair[0] != pair[1]).sum()) == 15


def test_runs_that_differ_in_their_seed_alone_are_one_contender(tmp_path: Path) -> None:
    one, again, other = (finished(tmp_path / name) for name in ("lora-0", "lora-1", "head"))
    edit(again, "recipe.yaml", "seed: 0", "seed: 1")
    edit(again, "recipe.yaml", "output: runs/reviews", "output: runs/again")
    edit(other, "recipe.yaml", "- {name: lora, rank: 16}", "- {name: head}")
    entrants = open_runs([one, other, again])
    found = contenders_of(entrants, ground_of(entrants))
    assert [(one.name, one.seeds) for one in found] == [("lora-0 and 1 more seeds", (0, 1)), ("head", (0,))]
    assert found[0].measured.resampled["accuracy"].shape == (2, 1000)


def test_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "x" / "run"), finished(tmp_path / "y" / "run")
    edit(other, "recipe.yaml", "rank: 16", "rank: 4")
    entrants = open_runs([one, other])
    assert [one.name for one in contenders_of(entrants, ground_of(entrants))] == [str(one), str(other)]


def test_costs_are_those_of_the_log_and_the_files(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    extra = [
        {"event": "score", "split": "test", "rows": 120, "seconds": 0.6},
        {"event": "stop", "reason": "done", "step": 240, "seconds": 5.0, "wall_seconds": 7.5},
    ]
    with (run / "log.jsonl").open("a") as log:
        log.writelines(json.dumps(one) + "\n" for one in extra)
    entrants = open_runs([run])
    cost = contenders_of(entrants, ground_of(entrants))[0].cost
    assert (cost.parameters, cost.memory_mb, cost.seconds, cost.milliseconds) == (295682, 812.0, 7.5, pytest.approx(5))
    assert cost.bytes == sum(file.stat().st_size for file in (run / "model").iterdir())


def test_a_run_whose_curves_still_fall_is_doubted(tmp_path: Path) -> None:
    run = finished(tmp_path / "run")
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    for place, one in enumerate(one for one in lines if one["event"] == "evaluate"):
        one |= {"loss": 0.9 - 0.2 * place, "f1_macro": 0.5 + 0.1 * place}
    (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    entrants = open_runs([run])
    (doubt,) = contenders_of(entrants, ground_of(entrants))[0].doubts
    assert doubt == "run may do better than is seen here, as its curves say 'still improving': try train.epochs=8."


def test_other_rows_are_refused(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other")
    table = pd.read_parquet(other / "predictions.parquet")
    table = table.assign(review=[f"new {text}" if place < 7 else text for place, text in enumerate(table["review"])])
    known(other, table)
    with pytest.raises(RunError) as wrong:
        open_runs([one, other])
    assert str(wrong.value) == (
        f"{one} and {other} were scored on different test rows (120 and 120, of which 113 are the same), so a difference of their figures "
        f"says nothing about the models. `luthier data diff {one} {other}` shows which; give both the same data.files.test, or the same "
        "data.split and seed."
    )


def test_the_same_rows_with_other_labels_are_refused(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other")
    table = pd.read_parquet(other / "predictions.parquet")
    turned = ["a" if label == "b" else "b" for label in table["label"]]
    known(other, table.assign(label=turned))
    with pytest.raises(RunError, match=r"scored on different test rows .120 and 120, of which 0 are the same"):
        open_runs([one, other])


def test_other_labels_are_refused(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other", labels=("a", "c"))
    with pytest.raises(
        RunError, match=r"have different labels \(a, b and a, c\), so their figures are not about the same question"
    ):
        open_runs([one, other])


def test_other_tasks_are_refused(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other", write_numbers)
    with pytest.raises(
        RunError, match=r"predict different things .two classes; one number., and no figure holds for both"
    ):
        open_runs([one, other])


def test_runs_that_cannot_be_compared_say_what_to_do(tmp_path: Path) -> None:
    one = finished(tmp_path / "one")
    with pytest.raises(RunError, match=r"is named twice; a run is as good as itself\. Give each run once\."):
        open_runs([one, tmp_path / "x" / ".." / "one"])
    (one / "model" / "manifest.json").unlink()
    with pytest.raises(
        RunError, match=f"The run in {one} is not finished: `luthier train {one}/recipe.yaml` goes on with it."
    ):
        open_runs([one])
    (one / "model" / "manifest.json").write_text("{}")
    (one / "rows.parquet").unlink()
    with pytest.raises(RunError, match=r"has no rows.parquet, so its rows cannot be compared one by one"):
        open_runs([one])


def test_splits_that_differ_are_refused(tmp_path: Path) -> None:
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other")
    edit(other, "data.json", '"held_out": "test"', '"held_out": "validation"')
    with pytest.raises(
        RunError, match=r"was scored on test rows and .* on validation rows, so they cannot be compared one by one"
    ):
        open_runs([one, other])
    edit(other, "data.json", '"held_out": "validation"', '"held_out": ""')
    with pytest.raises(
        RunError, match=r"has no held-out rows, so nothing is known about how good it is\. Leave it out\."
    ):
        open_runs([one, other])
