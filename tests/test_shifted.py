"""`luthier check` says whether the test rows are like the training rows: of texts, images and recordings."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

import captioned
import describing
import perceiving
import tiny_models
from luthier import shifted
from luthier.embed import embed
from small_jobs import recipe_for, write_recipe

POSITIVE, NEGATIVE = ["good", "great", "lovely"], ["bad", "awful", "poor"]
FILLER = ["film", "room", "service", "phone", "story", "battery", "hotel", "cast", "screen", "price"]
"""Words that the tiny BERT knows."""

NONE = "No shift was found: a classifier cannot tell test rows from training rows"
FOUND = r"There is a (slight|clear|strong) shift: a classifier tells test rows from training rows"


@pytest.fixture
def said(luthier: Callable[..., Any], tmp_path: Path) -> Callable[..., str]:
    """What `luthier check` says of the shift."""

    def check(model: Any, files: Any, *overrides: str, data: Mapping[str, Any] | None = None, **keys: Any) -> str:
        recipe = recipe_for(model, tmp_path, tmp_path / "run", **keys)
        recipe |= {"model": model if isinstance(model, dict) else str(model), "data": {"files": files, **(data or {})}}
        printed = luthier("check", write_recipe(recipe, tmp_path / "r.yaml"), *overrides)
        assert printed.code == 0, printed.err
        (line,) = [line for line in printed.out.splitlines() if line.startswith("- shift: ")]
        return str(line.removeprefix("- shift: "))

    return check


def texts(file: Path, rows: int, seed: int, others: list[str] | None = None, positive: float = 0.5) -> str:
    """Rows of words that say their label; `others` are the words that are no matter."""
    draw = np.random.default_rng(seed)
    lines = ["review,sentiment"]
    for _ in range(rows):
        good = draw.random() < positive
        words = [draw.choice(POSITIVE if good else NEGATIVE), *draw.choice(others or FILLER, 4)]
        lines.append(f"{' '.join(words)},{'positive' if good else 'negative'}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def test_a_shift_in_texts_is_found(said: Callable[..., str], tiny_bert: Path, tmp_path: Path) -> None:
    train, test = texts(tmp_path / "train.csv", 300, 0, FILLER[:6]), texts(tmp_path / "test.csv", 100, 1, FILLER[4:])
    sentence = said(tiny_bert, {"train": train, "test": test})
    assert re.match(FOUND, sentence)
    assert "Labels are about as frequent" in sentence
    assert sentence.endswith("Scores on the test rows may not be those of rows like the training rows.")


def test_a_shift_in_labels_is_found(said: Callable[..., str], tiny_bert: Path, tmp_path: Path) -> None:
    train, test = texts(tmp_path / "train.csv", 300, 0), texts(tmp_path / "test.csv", 100, 1, positive=0.9)
    assert "Labels are not as frequent: " in said(tiny_bert, {"train": train, "test": test})


@pytest.mark.parametrize("seed", range(4))
def test_random_splits_are_not_called_so(seed: int, said: Callable[..., str], tiny_bert: Path, tmp_path: Path) -> None:
    file = texts(tmp_path / "all.csv", 400, seed)
    sentence = said(tiny_bert, file, f"seed={seed}", data={"similarity": None, "split": {"parts": [0.6, 0.1, 0.3]}})
    assert sentence.startswith(NONE)
    assert "Labels are about as frequent" in sentence


def darker(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        PIL.Image.fromarray((np.asarray(PIL.Image.open(file)) * 0.6).astype(np.uint8)).save(file)


def noisier(folder: Path) -> None:
    for file in folder.rglob("*.wav"):
        wave, rate = soundfile.read(file)
        soundfile.write(file, wave + np.random.default_rng(0).normal(0, 0.2, len(wave)), rate)


MEDIA: Mapping[str, tuple[Callable[..., Path], str, Callable[[Path], None]]] = {
    "images": (perceiving.images, "vit", darker),
    "recordings": (perceiving.sounds, "wav2vec2", noisier),
}


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("planted", [False, True])
def test_media(medium: str, planted: bool, said: Callable[..., str], tmp_path: Path) -> None:
    make, family, change = MEDIA[medium]
    train, test = make(tmp_path / "one", 40), make(tmp_path / "other", 20, 1)
    if planted:
        change(test)
    network = perceiving.network(family, tmp_path / "model")
    sentence = said(network, {"train": str(train), "test": str(test)}, method="head")
    assert re.match(FOUND if planted else NONE, sentence), sentence


@pytest.mark.parametrize("make", [describing.networks, describing.encoder_decoder])
@pytest.mark.parametrize("planted", [False, True])
def test_captions_are_looked_at_by_their_images(
    make: Callable[[Path], Any], planted: bool, said: Callable[..., str], tmp_path: Path
) -> None:
    train, test = describing.captions(tmp_path / "one", 90), describing.captions(tmp_path / "other", 45, 1)
    if planted:
        darker(test.parent)
    model = make(tmp_path / "model")
    columns = {"image": "photo", "label": "caption"}
    files, task = {"train": str(train), "test": str(test)}, {"name": "generate", "max_new_tokens": 6}
    sentence = said(model, files, data={"columns": columns, "similarity": None}, task=task, method="full")
    assert re.match(FOUND if planted else NONE, sentence), sentence


def test_nothing_to_compare_is_said(said: Callable[..., str], tiny_bert: Path, tmp_path: Path) -> None:
    file = texts(tmp_path / "all.csv", 200, 0)
    why = "Whether test rows are like the training rows was not looked at: "
    assert said(tiny_bert, file, data={"split": {"parts": [0.8, 0.2]}}) == f"{why}there is no test split."
    few = said(tiny_bert, file, data={"split": {"parts": [0.9, 0.05, 0.05]}})
    assert few.startswith("Whether the test rows are like the training rows cannot be said: that takes 20 of each.")


def test_a_large_base_reads_fewer_rows(
    said: Callable[..., str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counting(monkeypatch)
    file = texts(tmp_path / "all.csv", 400, 0)
    data = {"similarity": None, "split": {"parts": [0.5, 0.1, 0.4]}}
    weights = AutoModelForSequenceClassification.from_pretrained(tiny_bert).num_parameters()
    monkeypatch.setattr(shifted, "WORK", weights * 7 * 30)  # rows are of 7 tokens
    assert said(tiny_bert, file, data=data).startswith(NONE)
    assert read == [30, 30]
    monkeypatch.setattr(shifted, "WORK", weights * 7 * 19.9)
    assert said(tiny_bert, file, data=data) == (
        f"Whether test rows are like the training rows was not looked at: {tiny_bert} is too large to read 20 rows of each side here; "
        "luthier check RUN --against FILE reads them."
    )


def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows were read at each call."""
    read: list[int] = []

    def counted(base: Any, table: Any, *rest: Any) -> np.ndarray:
        read.append(len(table))
        return embed(base, table, *rest)

    monkeypatch.setattr("luthier.shifted.embed", counted)
    return read


def test_vectors_of_suspect_labels_are_used_again(
    said: Callable[..., str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cleanlab", reason="cleanlab is not installed")
    read = counting(monkeypatch)
    file = texts(tmp_path / "all.csv", 200, 0)
    data = {"labels": "report", "similarity": None, "split": {"parts": [0.6, 0.1, 0.3]}}
    assert said(tiny_bert, file, data=data).startswith(NONE)
    assert read == []


def test_a_base_that_gives_no_vectors_is_said(
    said: Callable[..., str], tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("luthier.embed.WIDTHS", ())
    sentence = said(tiny_bert, texts(tmp_path / "all.csv", 200, 0))
    assert sentence == (
        "Whether test rows are like the training rows was not looked at: A model of the kind bert does not say how wide its output is, so "
        "rows cannot become vectors with it."
    )


def test_networks_beside_each_other_give_no_vectors(said: Callable[..., str], tmp_path: Path) -> None:
    photos = sorted(perceiving.images(tmp_path / "rows", 40).rglob("*.png"))
    lines = [f"{photo},the room is good {row},{'yn'[row % 2]}" for row, photo in enumerate(photos)]
    (tmp_path / "rows.csv").write_text("\n".join(["image,text,label", *lines]) + "\n", encoding="utf-8")
    columns = {"image": "image", "text": "text", "label": "label"}
    sentence = said(
        captioned.towers("gated", tmp_path / "towers"),
        str(tmp_path / "rows.csv"),
        data={"columns": columns},
        method="head",
    )
    assert sentence == (
        "Whether test rows are like the training rows was not looked at: Towers gives no vectors of positions, so rows cannot become "
        "vectors with it."
    )


def test_conversations_are_read_as_the_task_says(said: Callable[..., str], tmp_path: Path) -> None:
    model, file = tiny_models.make("llama", tmp_path), tmp_path / "talks.jsonl"
    AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model)).save_pretrained(model)
    draw = np.random.default_rng(0)
    talks = [[" ".join(draw.choice(FILLER, 4)) for _ in range(2)] for _ in range(120)]
    roles = ("user", "assistant")
    rows = [
        {"messages": [{"role": role, "content": text} for role, text in zip(roles, talk, strict=True)]}
        for talk in talks
    ]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    task = {"name": "generate", "template": "User: {prompt} Assistant:"}
    sentence = said(model, str(file), data={"similarity": None, "split": {"parts": [0.6, 0.1, 0.3]}}, task=task)
    assert sentence.startswith(NONE), sentence  # without the template they could not be read
