"""Task answer from a SQuAD file to the card: windows, cache, stored, live and plain answers agree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel, AutoModelForQuestionAnswering, AutoTokenizer
from typer.testing import CliRunner

import luthier
import passages_sample
from luthier.cli import app
from luthier.data import columns, looked, source
from luthier.embed import embed
from luthier.errors import ModelError, RecipeError
from luthier.models.find import find as find_base
from luthier.objectives import inputs_of
from luthier.recipe.data import Columns, Data
from luthier.show import Console
from luthier.training.features import FrozenFeed
from luthier.training.frozen import Freeze
from luthier.training.job import State
from pair_models import BAD, GOOD, NOUNS, save_reading_pairs
from small_jobs import job_of, write_recipe


def passages(articles: int) -> tuple[passages_sample.Passage, ...]:
    """Texts whose one word of praise answers one question and whose one word of blame another; a third has no answer."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(articles):
        before = " ".join(draw.choice(NOUNS, draw.integers(1, 40)))
        first, second = draw.choice(GOOD), draw.choice(BAD)
        text = f"{before} {first} {draw.choice(NOUNS)} {second} {draw.choice(NOUNS)}"
        asked = [("is the", (str(first),)), ("very", (str(second),))] + ([("not", ())] if number % 3 == 0 else [])
        made.append((f"t{number}", text, tuple(asked)))
    return tuple(made)


@pytest.fixture(scope="module")
def base(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Told what is question and what is text, as BERT is."""
    return save_reading_pairs(tiny_bert, tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return passages_sample.write(tmp_path_factory.mktemp("data"), passages(150))


def recipe(file: Path, base: Path, output: Path, **train: Any) -> dict[str, Any]:
    settings = {"epochs": 27, "lr": 3e-3, "batch_size": 16, "precision": "fp32", "device": "cpu"}
    return {
        "task": {"name": "answer", "max_answer_length": 4},
        "model": str(base),
        "data": {"files": str(file), "split": {"by": "group", "column": "title"}, "max_length": 24},
        "train": settings | train,
        "output": str(output),
    }


@pytest.fixture(scope="module")
def run(file: Path, base: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    place = tmp_path_factory.mktemp("run")
    written = write_recipe(recipe(file, base, place / "run"), place / "recipe.yaml")
    done = CliRunner().invoke(app, ["train", str(written)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return luthier.open(place / "run")


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def test_it_learns_to_find_answers_and_to_give_none(run: luthier.Run) -> None:
    result = run.evaluate()
    assert result.metrics["f1"] > 0.8
    assert result.metrics["refused"] > 0.8
    assert result.baseline is not None
    assert result.baseline.figures["f1"] < 0.3
    assert set(result.intervals) == set(result.metrics)


def test_some_texts_are_read_in_several_windows(run: luthier.Run) -> None:
    told = run.data["splits"]["train"]
    assert told["length"]["max"] >= 3 * 24
    assert told["too_long"]["rows"] == 0
    assert set(told["labels"]) == {"with an answer", "without an answer"}


def test_stored_and_live_answers_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    rows = [{"question": one.question, "context": one.context} for one in stored.itertuples()]
    live = luthier.open(run.path).predict(rows)
    assert [one.label for one in live] == stored["predicted"].tolist()
    assert [one.confidence for one in live] == pytest.approx(stored["confidence"].tolist(), abs=1e-5)
    for one, row in zip(live, rows, strict=True):
        start, text = one.label["start"], one.label["text"]
        assert text == (row["context"][start : start + len(text)] if text else "")
        assert 0 <= (one.confidence or 0) <= 1


def test_plain_transformers_opens_the_model_and_gives_the_same_logits(run: luthier.Run, stored: pd.DataFrame) -> None:
    plain = AutoModelForQuestionAnswering.from_pretrained(run.path / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(run.path / "model")
    assert tokenizer.model_max_length == 24
    modality, network = run.model.modality, run.model.network
    rows = list(zip(stored["question"], stored["context"], strict=True))[:10]
    batch = modality.collate(modality.encode(rows).columns)
    inputs = {name: value for name, value in batch.items() if not name.startswith("target")}
    given = tokenizer(
        *map(list, zip(*rows, strict=True)),
        truncation="only_second",
        stride=(24 - 3) // 4,
        return_overflowing_tokens=True,
        padding=True,
        return_tensors="pt",
    )
    given.pop("overflow_to_sample_mapping")
    assert "token_type_ids" in given
    assert {name: value.tolist() for name, value in given.items()} == {
        name: value.tolist() for name, value in inputs.items()
    }
    with torch.no_grad():
        outputs, own = plain(**given), network(**inputs).logits
    assert torch.allclose(torch.stack([outputs.start_logits, outputs.end_logits], dim=-1), own, atol=1e-5)


def test_the_code_of_the_card_runs(run: luthier.Run, capsys: pytest.CaptureFixture[str]) -> None:
    card = (run.path / "README.md").read_text(encoding="utf-8")
    plain, own = (part.partition("```")[0] for part in card.split("```python\n")[1:3])
    exec(plain, {})
    exec(own, {})
    assert "Prediction(label=" in capsys.readouterr().out


def test_files_and_the_command_line_answer(run: luthier.Run, stored: pd.DataFrame, tmp_path: Path) -> None:
    asked = stored[["question", "context"]].head(4)
    asked.to_csv(tmp_path / "asked.csv", index=False)
    done = CliRunner().invoke(
        app, ["predict", str(run.path), "--file", str(tmp_path / "asked.csv"), "--output", str(tmp_path / "told.csv")]
    )
    assert done.exit_code == 0, done.output
    told = pd.read_csv(tmp_path / "told.csv", keep_default_na=False)
    assert told["predicted text"].tolist() == [one["text"] for one in stored["predicted"].head(4)]
    assert told["predicted start"].tolist() == [one["start"] for one in stored["predicted"].head(4)]
    single = CliRunner().invoke(app, ["predict", str(run.path), "the is", "film is good room"])
    assert single.exit_code == 0, single.output
    assert run.predict(("the is", "film is good room"))[0].label["text"] in single.output


def test_scores_of_a_file_are_those_of_its_rows(run: luthier.Run, file: Path) -> None:
    result = run.evaluate(file)
    assert result.rows == sum(len(asked) for *_, asked in passages(150))
    assert result.metrics["f1"] > 0.8


def test_the_report_shows_the_worst_with_what_is_around(run: luthier.Run, stored: pd.DataFrame, tmp_path: Path) -> None:
    report = json.loads((run.path / "report.json").read_text(encoding="utf-8"))
    wrong = [row for row in report["mistakes"]["shown"] if row["error"] == 1]
    exact = next(one["value"] for one in report["scores"]["figures"] if one["name"] == "exact_match")
    assert report["mistakes"]["count"] == round((1 - exact) * len(stored))
    for row in wrong:
        assert row["pieces"][0]["text"].split(" \N{EM DASH} ")[0] in {"is the", "very", "not"}
        assert any(piece["true"] or piece["answered"] for piece in row["pieces"])


def test_what_a_frozen_base_computes_is_kept_and_changes_nothing(file: Path, base: Path, tmp_path: Path) -> None:
    log, scores = {}, {}
    for cache in ("off", "memory"):
        made = recipe(file, base, tmp_path / cache, cache=cache, epochs=2) | {"method": "head"}
        done = luthier.train(made)
        scores[cache] = np.stack(pd.read_parquet(done.path / "predictions.parquet")["scores"].tolist())
        records = [json.loads(line) for line in (done.path / "log.jsonl").read_text().splitlines()]
        log[cache] = next(one["text"] for one in records if one["event"] == "frozen")
        steps = [one["loss"] for one in records if one["event"] == "step"]
        scores[f"{cache} loss"] = np.array(steps)
    assert log["memory"].startswith("Outputs of bert are kept for 315 rows"), log
    assert np.allclose(scores["off loss"], scores["memory loss"], atol=1e-4)
    assert np.allclose(scores["off"], scores["memory"], atol=1e-3)


def test_features_of_windows_are_those_of_their_rows(file: Path, base: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe(file, base, tmp_path / "run", cache="memory") | {"method": "head"})
    feed = job.feed
    Freeze(ready.applied.anatomy, "memory", None, Console(quiet=True)).enter(job, State())
    kept = job.work.feed
    assert isinstance(kept, FrozenFeed)
    rows = np.array([5, 0, 17, 3])
    plain = feed.batch(rows, job.device)
    with torch.no_grad():
        whole = ready.model.eval()(**inputs_of(plain)).logits
        short = job.work.model.eval()(**inputs_of(kept.batch(rows, job.device))).logits
    there = plain["attention_mask"].bool()
    assert len(there) > len(rows)
    assert torch.allclose(whole[there], short[there], atol=1e-5)


def test_vectors_of_rows_are_means_over_all_their_windows(file: Path, base: Path) -> None:
    (rows,) = source.read(Data(files=str(file))).splits.values()
    found = looked.look({"all": rows}, columns.infer(rows, Columns(), "answers"))
    table, opened = found.splits["all"].select(range(12)), find_base(str(base))
    vectors = embed(opened, table, found.found, 24, "cpu")
    plain = AutoModel.from_pretrained(base).eval()
    tokenizer = AutoTokenizer.from_pretrained(base)
    for vector, row in zip(vectors, table, strict=True):
        given = tokenizer(
            row["question"],
            row["context"],
            truncation="only_second",
            max_length=24,
            stride=5,
            return_overflowing_tokens=True,
        )
        windows = [torch.tensor([one]) for one in given["input_ids"]]
        types = [torch.tensor([one]) for one in given["token_type_ids"]]
        with torch.no_grad():
            states = [
                plain(one, token_type_ids=kind).last_hidden_state[0] for one, kind in zip(windows, types, strict=True)
            ]
        assert np.allclose(vector, torch.cat(states).mean(dim=0).numpy(), atol=1e-5)


def test_check_says_that_the_recipe_is_good(file: Path, base: Path, tmp_path: Path) -> None:
    written = write_recipe(recipe(file, base, tmp_path / "run"), tmp_path / "recipe.yaml")
    done = CliRunner().invoke(app, ["check", str(written)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "questions are 'question'; what answers them is 'context'; answers are 'answers'." in done.output
    assert "The recipe is good." in done.output


def test_later_rows_are_compared(run: luthier.Run, file: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(run.path), "--against", str(file)], catch_exceptions=False)
    assert done.exit_code == 0, done.output


def test_what_would_move_answers_is_refused(file: Path, base: Path, tmp_path: Path) -> None:
    made = recipe(file, base, tmp_path / "run")
    with pytest.raises(RecipeError, match=r"data\.augment: delete"):
        luthier.train(made | {"data": made["data"] | {"augment": "delete"}})
    with pytest.raises(RecipeError, match=r"data\.labels: report"):
        luthier.train(made | {"data": made["data"] | {"labels": "report"}})
    with pytest.raises(RecipeError, match=r"data\.packing joins rows that a language model learns to write"):
        luthier.train(made | {"data": made["data"] | {"packing": True}})


def test_networks_without_such_a_head_and_methods_that_answer_in_words_are_refused(
    file: Path, base: Path, tmp_path: Path
) -> None:
    import perceiving
    import tiny_models

    made = recipe(file, base, tmp_path / "run")
    vit = perceiving.network("vit", tmp_path / "vit")
    with pytest.raises(
        ModelError, match="vit, has no head for this task in transformers; it must be one that reads text"
    ):
        luthier.train(made | {"model": str(vit)})
    speaking = tiny_models.make_speaking("bert", tmp_path / "speaking")
    with pytest.raises(RecipeError, match="method cloze answers with words, and this task marks an answer in a text"):
        luthier.train(made | {"model": str(speaking), "method": {"name": "cloze", "pattern": "{text} {mask}"}})


@pytest.mark.parametrize("family", ["roberta", "distilbert", "gpt2", "llama", "modernbert"])
def test_other_families_answer_too(family: str, file: Path, tmp_path: Path) -> None:
    import tiny_models

    model = tiny_models.make(family, tmp_path / "model")
    made = recipe(passages_sample.write(tmp_path, passages(30)), model, tmp_path / "run", epochs=1)
    done = luthier.train(made)
    assert done.evaluate().rows > 0
    plain = AutoModelForQuestionAnswering.from_pretrained(done.path / "model")
    assert type(plain).__name__.endswith("ForQuestionAnswering")


def test_chinese_is_scored_by_characters(base: Path, tmp_path: Path) -> None:
    made = recipe(passages_sample.write(tmp_path, passages_sample.CHINESE * 3), base, tmp_path / "run", epochs=1)
    made["data"]["split"] = {"by": "random"}
    done = luthier.train(made)
    assert done.target.facts["characters"]
    assert "CMRC" in (done.path / "report.html").read_text(encoding="utf-8")
