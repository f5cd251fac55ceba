"""Runs that write down what is said, from the recordings to the card; error rates are those of jiwer."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pandas as pd
import pytest
from transformers import AutoFeatureExtractor, AutoModelForSpeechSeq2Seq, AutoTokenizer

import luthier
import perceiving
from luthier.data.media import MEDIA
from luthier.errors import DataError, LuthierError, RecipeError
from luthier.evaluate.transcripts import TranscriptJudge, spoken
from luthier.suggest import suggest
from luthier.tasks.transcribe import Transcribe


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return perceiving.recogniser(tmp_path_factory.mktemp("whisper") / "model")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tones that say two sentences each, and one that nobody has written down."""
    folder = perceiving.spoken(tmp_path_factory.mktemp("sounds") / "said", 24)
    shutil.copy(folder / "high0.wav", folder / "silent.wav")
    with (folder / "metadata.csv").open("a", encoding="utf-8") as table:
        table.write("silent.wav,,a\n")
    return folder


def recipe(files: Path, model: Path, output: Path, **more: Any) -> dict[str, Any]:
    return {
        "task": {"name": "transcribe", "max_new_tokens": 6},
        "model": str(model),
        "data": {"files": str(files), "split": {"parts": [6, 2, 2]}, "leakage": "report", **more.pop("data", {})},
        "train": {
            "epochs": 40,
            "batch_size": 8,
            "precision": "fp32",
            "device": "cpu",
            "lr": 5e-3,
            **more.pop("train", {}),
        },
        "output": str(output),
        **more,
    }


@pytest.fixture(scope="module")
def run(recordings: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    return luthier.train(recipe(recordings, model, tmp_path_factory.mktemp("run") / "run", method="full"))


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def test_it_learns_what_tones_say(run: luthier.Run) -> None:
    found = run.evaluate("test")
    assert found.metrics["wer"] < 0.2
    assert set(found.metrics) == {"perplexity", "token_accuracy", "exact_match", "wer", "cer", "wer_as_written"}
    low, high = found.intervals["wer"]
    assert low <= found.metrics["wer"] <= high
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    assert "wer" not in next(one for one in log if one["event"] == "evaluate"), (
        "nothing is written while training goes on"
    )
    assert run.data["bad_rows"]["examples"] == [{"split": "all", "row": 49, "reason": "no label"}]
    assert run.data["unit"] == "seconds"


def test_error_rates_are_those_of_jiwer(run: luthier.Run, stored: pd.DataFrame) -> None:
    true, made = stored["label"].tolist(), stored["predicted"].tolist()
    assert run.evaluate("test").metrics["wer"] == pytest.approx(jiwer.wer(true, made))
    assert run.evaluate("test").metrics["cer"] == pytest.approx(jiwer.cer(true, made))


def test_stored_live_and_plain_transformers_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    files = stored["file_name"].tolist()
    assert [one.label for one in run.predict(files)] == stored["predicted"].tolist()
    card = (run.path / "README.md").read_text()
    assert "pipeline_tag: automatic-speech-recognition" in card
    folder = run.path / "model"
    network, tokenizer = AutoModelForSpeechSeq2Seq.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    sounds = [MEDIA["audio"].open(file).at(extractor.sampling_rate).samples for file in files[:4]]
    heard = extractor(sounds, sampling_rate=extractor.sampling_rate, return_tensors="pt")["input_features"]
    made = network.eval().generate(input_features=heard, max_new_tokens=6, do_sample=False)
    assert tokenizer.batch_decode(made, skip_special_tokens=True) == stored["predicted"].tolist()[:4]


def test_a_file_is_scored_and_predicted(run: luthier.Run, stored: pd.DataFrame, tmp_path: Path) -> None:
    table, output = tmp_path / "new.csv", tmp_path / "out.jsonl"
    few = stored.head(3)
    few.rename(columns={"label": "sentence"})[["file_name", "sentence"]].to_csv(table, index=False)
    assert run.evaluate(table).rows == 3
    assert run.predict_file(table, output) == 3
    assert [json.loads(line)["predicted"] for line in output.read_text().splitlines()] == few["predicted"].tolist()


def test_a_frozen_encoder_hears_each_recording_once(recordings: Path, model: Path, tmp_path: Path) -> None:
    found = {}
    for cache in ("off", "memory"):
        given = recipe(recordings, model, tmp_path / cache, train={"epochs": 2, "cache": cache})
        run = luthier.train(given, method={"name": "pattern", "train": ["decoder.layers"]})
        log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
        found[cache] = (
            [one["loss"] for one in log if one["event"] == "step"],
            next(one for one in log if one["event"] == "frozen"),
        )
    assert "Outputs of model.encoder are kept" in found["memory"][1]["text"]
    assert found["memory"][0] == pytest.approx(found["off"][0], rel=1e-4)


def test_recordings_are_changed_and_what_is_said_is_not(recordings: Path, model: Path, tmp_path: Path) -> None:
    given = recipe(recordings, model, tmp_path / "run", train={"epochs": 2}, data={"augment": [{"name": "noise"}]})
    run = luthier.train(given)
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    losses = [one["loss"] for one in log if one["event"] == "step"]
    assert losses[-1] < losses[0]


def test_what_cannot_be_is_refused(recordings: Path, model: Path, tmp_path: Path) -> None:
    given = recipe(recordings, model, tmp_path / "run")
    for more, said in (
        ({"method": "prompt"}, "method prompt puts tokens beside a text, and these rows are recordings"),
        ({"method": "head"}, "method head trains nothing by itself here"),
        ({"task": {"name": "transcribe", "language": "french"}}, "task.language: .* knows one language. Leave it out"),
        ({"data": {**given["data"], "columns": {"label": "words"}}}, "There is no column 'words' in the data"),
        (
            {"data": {**given["data"], "columns": {"label": ["sentence", "speaker"]}}},
            "what is said stands in one column",
        ),
        ({"data": {**given["data"], "columns": {"audio": "sound"}}}, "There is no column 'sound' in the data"),
    ):
        with pytest.raises(LuthierError, match=said):
            luthier.train({**given, **more})
    with pytest.raises(DataError, match="Task transcribe reads recordings, and these rows are of image"):
        Transcribe().refuse("image")
    texts = tmp_path / "texts.csv"
    pd.DataFrame({"text": ["a", "b"] * 9, "label": ["c", "d"] * 9}).to_csv(texts, index=False)
    with pytest.raises(DataError, match="Task transcribe needs one column of recordings; the columns are text, label"):
        luthier.train({**given, "data": {"files": str(texts)}})
    numbers = tmp_path / "numbers.csv"
    pd.DataFrame({"audio": [str(recordings / "high0.wav")] * 9, "score": range(9)}).to_csv(numbers, index=False)
    with pytest.raises(DataError, match=r"needs a column with what is said. Columns with text are: score"):
        luthier.train({**given, "data": {"files": str(numbers)}})
    with pytest.raises(RecipeError, match=r"train.mixing"):
        luthier.train({**given, "train": {**given["train"], "mixing": "mixup"}})


TRUE = ["One two three", "Don't stop!", "", "四五六"]
MADE = ["one too three four", "dont stop", "oh", "四六"]


def scored(texts: list[str]) -> np.ndarray:
    from luthier.evaluate.texts import SCORED

    table = np.zeros(len(texts), dtype=SCORED)
    table["tokens"], table["text"] = 1, texts
    return table


def test_rows_count_by_their_words() -> None:
    target = Transcribe().learn(TRUE)
    encoded = target.encode(TRUE)
    found = TranscriptJudge(False).metrics(encoded, scored(MADE))
    heard = [spoken(one) for one in TRUE], [spoken(one) for one in MADE]
    assert heard[0] == ["one two three", "don t stop", "", "四五六"]
    kept = [0, 1, 3]
    words = jiwer.process_words([heard[0][row] for row in kept], [heard[1][row] for row in kept])
    errors = words.substitutions + words.insertions + words.deletions
    said = words.hits + words.substitutions + words.deletions
    assert found["wer"] == pytest.approx((errors + 1) / said), "where nothing is said, each word is one too many"
    alone = [TRUE[row] for row in kept], [MADE[row] for row in kept]
    assert found["wer_as_written"] == pytest.approx((jiwer.wer(*alone) * 6 + 1) / 6)
    assert set(TranscriptJudge(True).figures) == {"perplexity", "token_accuracy", "cer", "exact_match"}


def test_marks_that_belong_to_letters_stay() -> None:
    assert spoken("नमस्ते, दुनिया!") == "नमस्ते दुनिया"
    assert spoken("ＡＢＣ  Été…") == "abc été"


def test_without_jiwer_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from luthier.evaluate import transcripts

    monkeypatch.setattr(transcripts, "installed", lambda package: False)
    assert set(TranscriptJudge(False).figures) == {"perplexity", "token_accuracy", "exact_match"}
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(LuthierError, match=r"pip install 'luthier\[transcribe\]'"):
        transcripts.word_errors(["a"], ["b"])


def test_init_finds_recordings_with_what_is_said(tmp_path: Path) -> None:
    folder = perceiving.spoken(tmp_path / "said", 6)
    table = pd.read_csv(folder / "metadata.csv")
    table["sentence"] = [f"{text} number {place}" for place, text in enumerate(table["sentence"])]
    table.to_csv(folder / "metadata.csv", index=False)
    said = suggest(str(folder))
    assert "task: transcribe" in said
    assert "label: sentence" in said
    assert "method: lora" in said
