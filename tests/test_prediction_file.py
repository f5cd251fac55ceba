"""`luthier predict --file`: what cannot be read has no prediction and is told; folders need no classes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

import luthier as library
import perceiving
from luthier import prediction_file
from small_jobs import recipe_for


@pytest.fixture(scope="module")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> library.Run:
    """A run of images, with its photographs."""
    here = tmp_path_factory.mktemp("seeing")
    files, model = perceiving.images(here / "colours", 12), perceiving.network("vit", here / "model")
    return library.train(recipe_for(model, files, here / "run", {"epochs": 1}, method="head"))


@pytest.fixture
def texts(tiny_bert: Path, reviews: Path, tmp_path: Path) -> library.Run:
    return library.train(recipe_for(tiny_bert, reviews, tmp_path / "run", {"epochs": 1}, method="head"))


def photos(run: library.Run, folder: Path, count: int) -> Path:
    """A folder of photographs and nothing else."""
    folder.mkdir()
    for number, file in enumerate(sorted((run.path.parent / "colours").rglob("*.png"))[:count]):
        shutil.copy(file, folder / f"{number}.png")
    return folder


def test_a_flat_folder_with_a_damaged_image(luthier: Callable[..., Any], seeing: library.Run, tmp_path: Path) -> None:
    folder = photos(seeing, tmp_path / "new", 5)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("no image", encoding="utf-8")
    said = luthier("predict", seeing.path, "--file", folder, "--output", tmp_path / "out.csv")
    assert said.code == 0, said.err
    assert said.out == f"Wrote 5 rows to {tmp_path / 'out.csv'}\n"
    assert f"warning: 1 of 5 rows cannot be read and got no prediction: row 3 ({folder / '2.png'}: " in said.err
    written = pd.read_csv(tmp_path / "out.csv")
    assert [Path(one).name for one in written["image"]] == [f"{number}.png" for number in range(5)]
    assert (
        written["predicted"].isna().tolist()
        == written["confidence"].isna().tolist()
        == [False, False, True, False, False]
    )
    whole = seeing.predict([str(folder / f"{number}.png") for number in (0, 1, 3, 4)])
    assert written["predicted"].dropna().tolist() == [one.label for one in whole]
    assert [one.name for one in tmp_path.glob(".*")] == []


def test_nothing_that_can_be_read(luthier: Callable[..., Any], seeing: library.Run, tmp_path: Path) -> None:
    folder = photos(seeing, tmp_path / "new", 7)
    for file in folder.iterdir():
        file.write_bytes(b"")
    said = luthier("predict", seeing.path, "--file", folder, "--output", tmp_path / "out.csv")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(
        f"error: None of the 7 rows can be read: row 1 ({folder / '0.png'}: is empty: it has 0 bytes); row 2 "
    )
    assert said.err.endswith(" and 2 more.\n")
    assert [one.name for one in tmp_path.iterdir()] == ["new"]


def test_folders_of_classes_keep_their_labels(seeing: library.Run, tmp_path: Path) -> None:
    assert seeing.predict_file(seeing.path.parent / "colours", tmp_path / "out.csv") == 36
    written = pd.read_csv(tmp_path / "out.csv")
    assert sorted(set(written["label"])) == ["blue", "green", "red"]


def test_recordings_by_folder_whatever_their_column_was_called(tmp_path: Path) -> None:
    sounds, model = perceiving.sounds(tmp_path / "tones", 12), perceiving.network("wav2vec2", tmp_path / "model")
    run = library.train(recipe_for(model, sounds, tmp_path / "run", {"epochs": 1}, method="head"))
    (sounds / "metadata.csv").unlink()
    assert run.predict_file(sounds, tmp_path / "flat.csv") == 24
    assert list(pd.read_csv(tmp_path / "flat.csv").columns) == ["file_name", "predicted", "confidence"]
    for file in sounds.glob("*.wav"):
        place = sounds / file.name[:3] / file.name
        place.parent.mkdir(exist_ok=True)
        file.rename(place)
    assert run.predict_file(sounds, tmp_path / "classes.csv") == 24
    assert list(pd.read_csv(tmp_path / "classes.csv").columns) == ["file_name", "label", "predicted", "confidence"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_blank_texts_before_all_others(
    ending: str, texts: library.Run, luthier: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_file, "CHUNK", 3)
    given = ["", "   ", None, None, "the good film", None, "the bad room"]
    pd.DataFrame({"review": given}).to_json(tmp_path / "new.jsonl", orient="records", lines=True)
    output = tmp_path / f"out.{ending}"
    said = luthier("predict", texts.path, "--file", tmp_path / "new.jsonl", "--output", output)
    assert said.code == 0, said.err
    assert said.err == (
        "warning: 5 of 7 rows cannot be read and got no prediction: row 1 (it is empty); row 2 (it is empty); row 3 (it is empty); row 4 "
        "(it is empty); row 6 (it is empty).\n"
    )
    read = {"csv": pd.read_csv, "jsonl": lambda file: pd.read_json(file, lines=True), "parquet": pd.read_parquet}[
        ending
    ]
    written = read(output)
    assert list(written.columns) == ["review", "predicted", "confidence"]
    answers = texts.predict(["the good film", "the bad room"])
    assert written["predicted"].dropna().to_dict() == {4: answers[0].label, 6: answers[1].label}
    assert written["confidence"].dropna().to_dict() == pytest.approx(
        {4: answers[0].confidence, 6: answers[1].confidence}, abs=1e-4
    )


def test_a_file_that_is_not_finished_is_not_there(
    texts: library.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_file, "CHUNK", 1)
    pd.DataFrame({"review": ["the good film", "the bad room"]}).to_csv(tmp_path / "new.csv", index=False)
    answers = texts._answers
    calls: list[int] = []

    def stopped(given: Any) -> Any:
        calls.append(len(given))
        if len(calls) > 1:
            raise KeyboardInterrupt
        return answers(given)

    monkeypatch.setattr(texts, "_answers", stopped)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        texts.predict_file(tmp_path / "new.csv", tmp_path / "out.csv")
    assert sorted(tmp_path.iterdir()) == before


def test_what_the_first_rows_do_not_say_of_a_parquet_file(tmp_path: Path) -> None:
    rows: list[list[dict[str, Any]]] = [[{"a": None, "b": []}], [{"a": "x", "b": ["y"]}], [{"a": None, "b": None}]]
    prediction_file.WRITERS[".parquet"](tmp_path / "out.parquet", iter(rows))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [one for chunk in rows for one in chunk]
