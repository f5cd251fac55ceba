"""Runs on two texts a row, from the file to the card: what is stored, live and plain agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import luthier
from luthier.errors import DataError
from pair_models import pairs, save_reading_pairs


def write(file: Path, rows: list[tuple[Any, ...]]) -> Path:
    pd.DataFrame(rows, columns=["premise", "hypothesis", "label"]).to_csv(file, index=False)
    return file


@pytest.fixture(scope="module")
def base(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_reading_pairs(tiny_bert, tmp_path_factory.mktemp("base") / "tiny-bert-for-pairs")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows: list[tuple[Any, ...]] = [*pairs(300)]
    rows[7] = (rows[7][0], "", 1)
    rows[9] = ("", rows[9][1], 1)
    return write(tmp_path_factory.mktemp("data") / "pairs.csv", rows)


def recipe(file: Path, base: Path, output: Path, **more: Any) -> dict[str, Any]:
    return {
        "model": str(base),
        "data": {"files": str(file), "columns": {"text": "premise", "pair": "hypothesis"}},
        "train": {"epochs": 6, "lr": 3e-3, "batch_size": 16, "precision": "fp32"},
        "output": str(output),
        **more,
    }


@pytest.fixture(scope="module")
def run(file: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    return luthier.train(recipe(file, base, tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def test_it_reads_both_texts(run: luthier.Run, stored: pd.DataFrame, file: Path) -> None:
    assert run.evaluate("test").metrics["accuracy"] > 0.9
    assert list(stored)[:4] == ["row", "split", "premise", "hypothesis"]
    source = pd.read_csv(file)
    assert source["hypothesis"][stored["row"] - 1].tolist() == stored["hypothesis"].tolist()
    assert source["premise"][stored["row"] - 1].tolist() == stored["premise"].tolist()


def test_rows_that_lack_a_text_are_named(run: luthier.Run) -> None:
    assert run.data["bad_rows"] == {
        "rows": 2,
        "examples": [
            {"split": "all", "row": 8, "reason": "no text in 'hypothesis'"},
            {"split": "all", "row": 10, "reason": "no text in 'premise'"},
        ],
    }


def test_the_network_is_told_which_text_a_token_belongs_to(run: luthier.Run, stored: pd.DataFrame) -> None:
    from transformers import AutoTokenizer

    rows = list(zip(stored["premise"], stored["hypothesis"], strict=True))
    modality = run.model.modality
    batch = modality.collate(modality.encode(rows).columns)
    plain = AutoTokenizer.from_pretrained(run.path / "model")(
        *map(list, zip(*rows, strict=True)), padding=True, return_tensors="pt"
    )
    assert "token_type_ids" in plain
    assert {name: value.tolist() for name, value in plain.items()} == {
        name: value.tolist() for name, value in batch.items()
    }


def test_stored_live_and_plain_predictions_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    from transformers import pipeline

    rows = list(zip(stored["premise"], stored["hypothesis"], strict=True))
    live = run.predict(rows)
    assert [answer.label for answer in live] == stored["predicted"].tolist()
    plain = pipeline("text-classification", str(run.path / "model"))
    said = [plain({"text": first, "text_pair": second}) for first, second in rows]
    assert [int(one["label"]) for one in said] == stored["predicted"].tolist()
    sure = [answer.confidence for answer in live]
    assert [one["score"] for one in said] == pytest.approx(sure, abs=1e-5)
    assert stored["confidence"].tolist() == pytest.approx(sure, abs=1e-5)


def test_one_pair_is_one_row(run: luthier.Run) -> None:
    (alone,) = run.predict(("the film is good", "the room bad"))
    (listed,) = run.predict([("the film is good", "the room bad")])
    assert alone == listed
    with pytest.raises(DataError, match="A model of pairs predicts two texts together"):
        run.predict("the film is good")


def test_files_are_predicted_and_evaluated_by_both_columns(
    run: luthier.Run, stored: pd.DataFrame, tmp_path: Path
) -> None:
    again = stored[["premise", "hypothesis", "label"]]
    again.to_csv(tmp_path / "again.csv", index=False)
    assert run.evaluate(tmp_path / "again.csv").metrics == pytest.approx(run.evaluate("test").metrics, rel=1e-4)
    run.predict_file(tmp_path / "again.csv", tmp_path / "out.csv")
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out) == ["premise", "hypothesis", "label", "predicted", "confidence"]
    assert out["predicted"].tolist() == stored["predicted"].tolist()
    again[["premise", "label"]].to_csv(tmp_path / "half.csv", index=False)
    with pytest.raises(DataError, match="has no column 'hypothesis', which the run was trained on"):
        run.predict_file(tmp_path / "half.csv", tmp_path / "other.csv")


def test_pairs_are_compared_by_both_texts(base: Path, tmp_path: Path) -> None:
    """Rows that share one text are no duplicates; rows that share both are, and leak."""
    rows = pairs(60)
    rows += [(rows[0][0], f"{text} film", label) for _, text, label in rows[:5]]
    rows += rows[:4]
    from luthier.prepare import prepare
    from luthier.recipe.reading import read

    data = {"files": str(write(tmp_path / "pairs.csv", rows)), "similarity": None}
    found = prepare(read({"model": str(base), "data": data}))
    assert (found.found.inputs, found.found.medium) == (("premise", "hypothesis"), "pair")
    assert "by their names" in found.found.why
    assert found.facts["duplicates"]["exact"] == 4
    dropped = prepare(read({"model": str(base), "data": {**data, "duplicates": "drop"}}))
    assert sum(len(table.labels) for table in dropped.tables.values()) == 65


def test_the_report_shows_both_texts(run: luthier.Run, capsys: pytest.CaptureFixture[str]) -> None:
    from luthier.commands import predict_with

    card = (run.path / "README.md").read_text(encoding="utf-8")
    assert "reads two texts together (columns `premise` and `hypothesis` of its data)" in card
    assert 'predict([{"text": "A text to read.", "text_pair": "Another one."}])' in card
    assert 'run.predict([("A text to read.", "Another one.")])' in card
    assert "pipeline_tag: text-classification" in card
    predict_with(run.path, ["the film is good", "the room is bad"], "", None)
    assert "the film is good | the room is bad" in capsys.readouterr().out


@pytest.mark.parametrize(
    "method", ["head", {"name": "lora", "rank": 4}, {"name": "prompt", "length": 4}, "prefix", "adapter"]
)
def test_methods_read_pairs(method: Any, base: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.csv", pairs(60))
    run = luthier.train(
        recipe(file, base, tmp_path / "run", method=method, train={"epochs": 2, "lr": 1e-3, "precision": "fp32"})
    )
    stored = pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")
    live = run.predict(list(zip(stored["premise"], stored["hypothesis"], strict=True)))
    told = [list(one.probabilities.values()) for one in live]
    assert np.allclose(told, np.stack(stored["probabilities"].tolist()), atol=1e-5)


def test_both_texts_are_augmented(file: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each by draws of its own, the same in every run of the seed."""
    from luthier.data_commands import preview

    data = {
        "files": str(file),
        "columns": {"text": "premise", "pair": "hypothesis"},
        "augment": [{"name": "swap", "share": 1.0}],
    }
    one = luthier.train(recipe(file, base, tmp_path / "one", data=data, train={"epochs": 1, "precision": "fp32"}))
    two = luthier.train(recipe(file, base, tmp_path / "two", data=data, train={"epochs": 1, "precision": "fp32"}))
    losses = [[step["loss"] for step in run.folder.records() if step["event"] == "step"] for run in (one, two)]
    assert losses[0] == losses[1]
    capsys.readouterr()
    preview(one.path / "recipe.yaml", [], 3, 4, tmp_path / "preview")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 3 * 5
    changed = [[False, False] for _ in range(3)]
    for row in range(3):
        before = said[5 * row].split("): ")[1].split(" | ")
        for line in said[5 * row + 1 : 5 * row + 5]:
            copy = line.partition(": ")[2].split(" | ")
            assert [sorted(text.split()) for text in copy] == [sorted(text.split()) for text in before]
            changed[row] = [was or new != old for was, new, old in zip(changed[row], copy, before, strict=True)]
    assert all(any(column) for column in zip(*changed, strict=True))


def test_numbers_are_predicted_of_pairs(base: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    rows = [(first, second, 20.0 + 7 * label) for first, second, label in pairs(120)]
    settings = recipe(write(tmp_path / "pairs.csv", rows), base, tmp_path / "run", task="regress")
    run = luthier.train(settings | {"train": {"epochs": 2, "lr": 3e-3, "precision": "fp32"}})
    stored = pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")
    asked = list(zip(stored["premise"], stored["hypothesis"], strict=True))
    assert [one.label for one in run.predict(asked)] == pytest.approx(stored["predicted"].tolist(), rel=1e-4)
    about = run.target.about
    plain = pipeline("text-classification", str(run.path / "model"), **about.options)
    answer = plain([{"text": asked[0][0], "text_pair": asked[0][1]}])
    said = eval(about.reading.replace("{call}", "answer"), {"answer": answer})
    assert said == pytest.approx(stored["predicted"].iloc[0], rel=1e-4)


def test_vectors_and_later_rows_are_of_both_texts(run: luthier.Run, base: Path, tmp_path: Path) -> None:
    import datasets

    from luthier.data.found import Found
    from luthier.embed import embed
    from luthier.later import against
    from luthier.models.find import find

    rows = {"a": ["the film", "the film"], "b": ["is good", "is bad"], "both": ["1", "2"]}
    found = Found("a", "b", None, "single", "", medium="pair", content="both", also=("b",))
    first, second = embed(find(str(base)), datasets.Dataset.from_dict(rows), found)
    assert not np.allclose(first, second)
    file = write(tmp_path / "later.csv", pairs(80, seed=5))
    told = against(run, str(file))
    assert told.vectors is not None
    assert told.labels is not None


def test_the_command_line_says_how_to_give_two_texts(run: luthier.Run, capsys: pytest.CaptureFixture[str]) -> None:
    from luthier.commands import summarise

    summarise(run)
    assert f'Next:   luthier predict {run.path} "some text" "another text"' in capsys.readouterr().out
