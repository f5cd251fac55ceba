"""`luthier data`, and `luthier check RUN --against FILE`, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest


@pytest.fixture
def recipe(tiny_bert: Path, reviews: Path, tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        f"model: {tiny_bert}\ndata: {{files: {reviews}}}\ntrain: {{epochs: 1, precision: fp32}}\noutput: {tmp_path}/run\n"
    )
    return file


def test_preview_shows_each_row_and_its_copies(luthier, recipe: Path) -> None:
    said = luthier("data", "preview", recipe, "data.augment={name: swap, share: 1.0, rate: 0.5}", "--rows", "2")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert [line.split(":")[0].strip() for line in lines] == [lines[0].split(":")[0], "epoch 1", "epoch 2", *(
        [lines[3].split(":")[0], "epoch 1", "epoch 2"]
    )]  # fmt: skip
    original, copy = (line.split(": ", 1)[1] for line in lines[:2])
    assert sorted(original.split()) == sorted(copy.split())


def test_preview_without_augmentation_says_how(luthier, recipe: Path) -> None:
    said = luthier("data", "preview", recipe)
    assert said.code == 2
    assert (
        "data.augment names nothing, so rows stay as they are. Write, for example, data.augment=[delete,swap]."
        in said.err
    )


def test_review_writes_mistakes_and_reads_the_answers_back(luthier, recipe: Path, tmp_path: Path) -> None:
    assert luthier("train", recipe).code == 0
    run, tasks = tmp_path / "run", tmp_path / "tasks.jsonl"
    said = luthier("data", "review", run, tasks, "--to", "prodigy")
    assert said.code == 0, said.err
    assert f"suspect rows to {tasks}" in said.out
    answers = [json.loads(line) | {"answer": "accept"} for line in tasks.read_text().splitlines()]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(one) + "\n" for one in answers))
    back = luthier("data", "review", run, tmp_path / "mended", "--from", tmp_path / "answers.jsonl")
    assert back.code == 0, back.err
    assert f"{len(answers)} answers, " in back.out
    assert list((tmp_path / "mended").iterdir())


@pytest.mark.parametrize("options", [[], ["--to", "prodigy", "--from", "x.jsonl"]])
def test_review_goes_one_way(luthier, options: list[str], tmp_path: Path) -> None:
    said = luthier("data", "review", tmp_path, tmp_path / "x", *options)
    assert said.code == 2
    assert "Give --to with the tool that people use, or --from with what came back from it." in said.err


def test_diff_export_and_later_rows(luthier, recipe: Path, reviews: Path, sentences, tmp_path: Path) -> None:
    assert luthier("train", recipe).code == 0
    assert luthier("train", recipe, f"output={tmp_path}/other", "seed=1").code == 0
    run = tmp_path / "run"
    assert "Both runs have the same rows" in luthier("data", "diff", run, run).out
    moved = luthier("data", "diff", run, tmp_path / "other")
    assert "moved: before: " in moved.out
    exported = luthier("data", "export", recipe, "--output", tmp_path / "exported")
    assert exported.out == (
        f"Wrote 96 train rows, 12 validation rows, 12 test rows to {tmp_path}/exported (parquet, and {tmp_path}/exported/datasets).\n"
    )
    later = tmp_path / "later.csv"
    pd.DataFrame({"review": [f"合同 {number} 已经签了，请尽快付款" for number in range(60)]}).to_csv(later, index=False)
    said = luthier("check", run, "--against", later)
    assert said.code == 0, said.err
    assert f"luthier evaluate {run} --on {later}" in said.out
    pd.read_csv(later).assign(sentiment=None).to_csv(later, index=False)  # labels are still to come
    assert luthier("check", run, "--against", later).out == said.out
    pd.DataFrame(sentences(120, 7), columns=["review", "sentiment"]).to_csv(later, index=False)
    assert "--on" not in luthier("check", run, "--against", later).out
