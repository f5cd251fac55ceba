"""The commands, typed as a person would type them, from a csv to predictions."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from luthier.recipe.reading import read


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, sentences: Callable[..., list[tuple[str, str]]]
) -> Path:
    """A finished run of a tiny model, made once for this module."""
    from luthier.pipeline import train

    folder = tmp_path_factory.mktemp("trained")
    pd.DataFrame(sentences(160, 1), columns=["review", "sentiment"]).to_csv(folder / "reviews.csv", index=False)
    recipe = {
        "model": str(tiny_bert),
        "data": {"files": str(folder / "reviews.csv")},
        "train": {"epochs": 5, "lr": 3e-3, "batch_size": 8, "precision": "fp32"},
        "seed": 1,  # with 0 this network stays at one label
        "output": str(folder / "run"),
    }
    return train(recipe).path


def test_from_a_csv_to_predictions(luthier, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert luthier("init", "reviews.csv").out == (
        "Wrote recipe.yaml. Next: luthier check recipe.yaml, then luthier train recipe.yaml\n"
    )
    checked = luthier("check", "recipe.yaml", f"model={tiny_bert}", "method=full")
    assert checked.code == 0, checked.err
    assert "text is 'review', as the recipe says; label is 'sentiment', as the recipe says" in checked.out
    assert "random, stratified 8:1:1, seed 0" in checked.out
    assert "The recipe is good. Next: luthier train recipe.yaml" in checked.out
    assert not (tmp_path / "runs").exists()

    settings = (f"model={tiny_bert}", "method=full", "train={epochs: 5, lr: 3e-3, batch_size: 8}")
    done = luthier("train", "recipe.yaml", *settings)
    assert done.code == 0, done.err
    assert "epoch 5: validation loss" in done.err
    assert "rows of test" in done.out
    assert "Report: runs/reviews/report.html" in done.out
    names = {one.name for one in Path("runs/reviews").iterdir() if not one.name.startswith(".")}
    assert names == {
        *("recipe.yaml", "data.json", "changes.csv", "rows.parquet", "log.jsonl", "checkpoints", "model"),
        *("predictions.parquet", "columns.parquet", "report.html", "report.json", "README.md"),
    }
    again = luthier("train", "recipe.yaml", *settings)
    assert "is finished already; --restart trains it anew" in again.err
    assert again.out == done.out

    said = luthier("predict", "runs/reviews", "the lovely film", "the awful room")
    assert said.code == 0
    assert [line.split()[-4] for line in said.out.splitlines() if "film" in line or "room" in line] == [
        "positive",
        "negative",
    ]


def test_evaluate_prints_figures_with_intervals(luthier, trained: Path) -> None:
    said = luthier("evaluate", trained)
    assert "F1, macro" in said.out
    assert "16 rows of test" in said.out
    result = json.loads(luthier("evaluate", trained, "--json").out)
    low, high = result["intervals"]["f1_macro"]
    assert low <= result["metrics"]["f1_macro"] <= high
    assert result["rows"] == 16
    assert json.loads(luthier("evaluate", trained, "--on", "train", "--json").out)["rows"] == 128


def test_evaluate_on_another_file_equals_predicting_it(luthier, trained: Path, tmp_path: Path, sentences) -> None:
    from sklearn.metrics import f1_score

    rows = pd.DataFrame(sentences(40, 9), columns=["review", "sentiment"])
    rows.to_csv(tmp_path / "later.csv", index=False)
    said = luthier("predict", trained, "--file", tmp_path / "later.csv", "--output", tmp_path / "out.csv")
    assert said.out == f"Wrote 40 rows to {tmp_path}/out.csv\n"
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns) == ["review", "sentiment", "predicted", "confidence"]
    assert out["review"].tolist() == rows["review"].tolist()
    expected = f1_score(out["sentiment"], out["predicted"], average="macro")
    result = json.loads(luthier("evaluate", trained, "--on", tmp_path / "later.csv", "--json").out)
    assert result["metrics"]["f1_macro"] == pytest.approx(expected)


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_predictions_in_other_formats(luthier, trained: Path, tmp_path: Path, ending: str) -> None:
    pd.DataFrame({"review": ["the good film", "", "the poor cast"]}).to_csv(tmp_path / "new.csv", index=False)
    luthier("predict", trained, "--file", tmp_path / "new.csv", "--output", tmp_path / f"out{ending}")
    read_back = {".jsonl": lambda file: pd.read_json(file, lines=True), ".parquet": pd.read_parquet}[ending]
    out = read_back(tmp_path / f"out{ending}")
    assert out["predicted"].tolist()[::2] == ["positive", "negative"]
    assert len(out) == 3


def test_report_is_written_anew(luthier, trained: Path) -> None:
    (trained / "report.html").unlink()
    assert luthier("report", trained).out.strip() == str(trained / "report.html")
    page = (trained / "report.html").read_text(encoding="utf-8")
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("https://www.w3.org", "").split("<pre")[0]


def test_recipe_reference_and_schema(luthier) -> None:
    assert "`train.batch_size`" in luthier("recipe").out
    assert json.loads(luthier("recipe", "--schema").out)["properties"]["train"]


def test_version(luthier) -> None:
    assert luthier("--version").out == "0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("train", "none.yaml"), "error: There is no recipe 'none.yaml'. `luthier init DATA` writes one.\n"),
        (
            ("evaluate", "runs/none"),
            "error: There is no run in 'runs/none': expected a folder that `luthier train` wrote.\n",
        ),
        (
            ("predict", "runs/none"),
            'error: Give rows or a file: luthier predict RUN "a text" (or photo.jpg), or luthier predict RUN --file new.csv '
            "--output out.csv\n",
        ),
        (
            ("train", "none.yaml", "--resume", "--restart"),
            "error: --resume goes on with a run and --restart deletes it: give one of them.\n",
        ),
        (
            ("demo", "demo/none"),
            "error: There is no demo 'demo/none'; there are demo/reviews-en and demo/reviews-zh.\n",
        ),
    ],
)
def test_mistakes_end_with_a_sentence_and_code_2(
    luthier, arguments, sentence: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = luthier(*arguments)
    assert (said.code, said.err, said.out) == (2, sentence, "")
    assert not list(tmp_path.iterdir())


def test_nothing_to_resume(luthier, reviews: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    luthier("init", "reviews.csv")
    said = luthier("train", "recipe.yaml", "--resume")
    assert (said.code, said.err) == (
        2,
        "error: There is nothing to resume in runs/reviews. Leave --resume away to start.\n",
    )


def test_init_keeps_a_recipe_that_is_there(luthier, reviews: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.yaml").write_text("mine")
    said = luthier("init", "reviews.csv")
    assert said.code == 2
    assert "recipe.yaml is there already; give another name with --output, or --force to overwrite it." in said.err
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    assert luthier("init", "reviews.csv", "--force").code == 0
    assert read(tmp_path / "recipe.yaml").data.files == "reviews.csv"


def test_predictions_need_the_text_column_and_a_known_ending(luthier, trained: Path, tmp_path: Path) -> None:
    pd.DataFrame({"reviews": ["a"]}).to_csv(tmp_path / "new.csv", index=False)
    said = luthier("predict", trained, "--file", tmp_path / "new.csv")
    assert said.err == (
        f"error: {tmp_path}/new.csv has no column 'review', which the run was trained on; did you mean 'reviews'?\n"
    )
    pd.DataFrame({"review": ["a"]}).to_csv(tmp_path / "new.csv", index=False)
    said = luthier("predict", trained, "--file", tmp_path / "new.csv", "--output", tmp_path / "out.xlsx")
    assert said.err == f"error: Predictions are written as .csv, .jsonl, .parquet; got --output {tmp_path}/out.xlsx.\n"


def test_a_label_that_training_lacks(luthier, trained: Path, tmp_path: Path) -> None:
    pd.DataFrame({"review": ["the film"], "sentiment": ["mixed"]}).to_csv(tmp_path / "new.csv", index=False)
    said = luthier("evaluate", trained, "--on", tmp_path / "new.csv")
    assert said.code == 2
    assert "has the label 'mixed', which the training rows do not have (known: negative, positive)" in said.err


def test_an_unfinished_run_says_how_to_go_on(luthier, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text((trained / "recipe.yaml").read_text())
    said = luthier("evaluate", tmp_path)
    assert (
        said.err
        == f"error: The run in '{tmp_path}' is not finished: `luthier train {tmp_path}/recipe.yaml` goes on with it.\n"
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom luthier.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'pandas', 'sklearn', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("init", "check", "train", "evaluate", "predict", "report", "demo", "recipe"):
        assert command in done.stdout


@pytest.mark.parametrize("kind", ["list", "columns", "separator"])
def test_multi_label_from_file_to_scores(luthier, kind: str, tiny_bert: Path, tmp_path: Path) -> None:
    marks = [["noisy"], ["dear", "noisy"], [], ["dear"]] * 30
    rows = pd.DataFrame(
        {"text": [f"the room {'awful ' * ('noisy' in one)}{'price ' * ('dear' in one)}" for one in marks]}
    )
    file, columns = tmp_path / "rows.csv", "{text: text, label: topics}"
    if kind == "list":
        file = tmp_path / "rows.jsonl"
        rows.assign(topics=marks).to_json(file, orient="records", lines=True)
    elif kind == "columns":
        columns = "{text: text, label: [dear, noisy]}"
        rows.assign(**{name: [int(name in one) for one in marks] for name in ("dear", "noisy")}).to_csv(
            file, index=False
        )
    else:
        columns = "{text: text, label: topics, separator: '|'}"
        rows.assign(topics=["|".join(one) for one in marks]).to_csv(file, index=False)
    (tmp_path / "recipe.yaml").write_text(
        f"model: {tiny_bert}\ndata: {{files: {file}, columns: {columns}}}\n"
        f"train: {{epochs: 8, lr: 5e-3, batch_size: 8}}\noutput: {tmp_path}/run\n"
    )
    said = luthier("train", tmp_path / "recipe.yaml")
    assert said.code == 0, said.err
    result = json.loads(luthier("evaluate", tmp_path / "run", "--json").out)
    assert result["rows"] == 12
    assert result["metrics"]["f1_macro"] > 0.8
    assert "dear, noisy" in luthier("predict", tmp_path / "run", "the room awful price").out


def test_figures_name_the_class_that_they_are_about(luthier, trained: Path) -> None:
    assert "Precision of positive" in luthier("evaluate", trained).out
    assert "{positive}" not in luthier("evaluate", trained).out


def test_restart_never_deletes_what_luthier_has_not_written(
    luthier, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    luthier("init", "reviews.csv")
    before = sorted(one.name for one in tmp_path.iterdir())
    said = luthier("train", "recipe.yaml", f"model={tiny_bert}", "output=.", "--restart")
    assert (
        said.err == "error: . is not empty and holds no luthier run (it has 'recipe.yaml'). Give another output=...\n"
    )
    assert sorted(one.name for one in tmp_path.iterdir() if not one.name.startswith(".lock")) == before


def test_restart_keeps_the_old_run_until_the_new_one_can_begin(luthier, trained: Path) -> None:
    recipe = trained / "recipe.yaml"
    (trained / "mine.txt").write_text("notes")
    said = luthier("train", recipe, "data.files=typo.csv", "--restart")
    assert said.code == 2
    assert luthier("evaluate", trained).code == 0
    assert luthier("train", recipe, "train.epochs=1", "--restart").code == 0
    assert (trained / "mine.txt").read_text() == "notes"


def test_predicting_never_overwrites_without_force(luthier, trained: Path, reviews: Path) -> None:
    before = reviews.read_text()
    said = luthier("predict", trained, "--file", reviews, "--output", reviews)
    assert (
        said.err == f"error: {reviews} is there already; give another name with --output, or --force to overwrite it.\n"
    )
    assert reviews.read_text() == before
    said = luthier("predict", trained, "fine", "--output", "x.csv")
    assert (
        said.err == "error: --output says where to write the rows of --file; predictions of single rows are printed.\n"
    )


def test_check_refuses_a_device_that_is_not_there(luthier, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    (tmp_path / "recipe.yaml").write_text(f"model: {tiny_bert}\ndata: {{files: {reviews}}}\n")
    said = luthier("check", tmp_path / "recipe.yaml", "train.device=cuda")
    assert said.code == 2
    assert "train.device is 'cuda', but PyTorch" in said.err


def test_a_limit_beyond_the_model_is_lowered_and_said(luthier, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(f"model: {tiny_bert}\ndata: {{files: {reviews}, max_length: 500}}\n")
    said = luthier("check", tmp_path / "recipe.yaml")
    assert "data.max_length is 500, and this model reads 64 tokens at most: 64 is used." in said.err


def test_rows_that_do_not_exist(luthier, trained: Path) -> None:
    said = luthier("evaluate", trained, "--on", "validaton")
    assert said.err == (
        "error: There are no rows called 'validaton' to evaluate on; there are train, validation, test, or a file of labelled rows.\n"
    )


def test_init_where_nothing_can_be_written(luthier, reviews: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = luthier("init", reviews, "--output", tmp_path / "file" / "recipe.yaml")
    assert said.code == 2
    assert "cannot be written" in said.err
    assert luthier("init", reviews, "--output", tmp_path / "new" / "recipe.yaml").code == 0
