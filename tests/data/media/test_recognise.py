"""Which columns hold images or sounds."""

from __future__ import annotations

import io
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
from PIL import Image

from luthier.data.media import MEDIA, recognise


def told(values: list[Any], feature: Any = None) -> str | None:
    features = datasets.Features({"it": feature}) if feature else None
    return recognise(datasets.Dataset.from_dict({"it": values}, features=features), "it")


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "PNG")
    return file.getvalue()


def flac() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(100), 8_000, format="FLAC")
    return file.getvalue()


def test_every_medium_is_called_as_its_key_and_endings_are_of_one_only() -> None:
    assert {name: medium.name for name, medium in MEDIA.items()} == {"image": "image", "audio": "audio"}
    assert len(MEDIA) == 2
    assert not MEDIA["image"].endings & MEDIA["audio"].endings


@pytest.mark.parametrize(
    ("feature", "medium"),
    [
        (datasets.Image(), "image"),
        (datasets.Image(decode=False), "image"),
        (datasets.Audio(decode=False), "audio"),
        (datasets.Value("int64"), None),
    ],
)
def test_features_tell(feature: Any, medium: str | None) -> None:
    assert told([None], feature) == medium


def test_endings_of_strings_tell() -> None:
    assert told(["a.jpg", "b/c.PNG", " d.webp "]) == "image"
    assert told(["a.wav", "b.mp3", "c.Flac"]) == "audio"
    assert told(["a.jpg", "b.wav"]) is None
    assert told(["a good film", "see a.jpg below"]) is None
    assert told(["a.csv"]) is None


def test_nine_in_ten_are_enough_and_empty_cells_do_not_count() -> None:
    assert told([*["a.jpg"] * 9, "unknown", None, "", " "]) == "image"
    assert told([*["a.jpg"] * 8, "unknown", "unknown"]) is None
    assert told([None, ""], datasets.Value("string")) is None
    assert told([], datasets.Value("string")) is None


def test_rows_all_over_a_long_column_are_looked_at() -> None:
    assert told([*["a.jpg"] * 50_000, *["some words"] * 50_000]) is None
    assert told([*[None] * 50_000, *["a.jpg"] * 50_000]) == "image"


def test_mappings_are_told_by_their_paths_or_bytes() -> None:
    assert told([{"bytes": b"?", "path": "a.jpg"}]) == "image"
    assert told([{"bytes": png(), "path": None}]) == "image"
    assert told([{"bytes": png(), "path": "1234"}, {"bytes": None, "path": None}]) == "image"
    assert told([{"bytes": flac(), "path": None}]) == "audio"
    assert told([{"bytes": b"words", "path": None}]) is None
    assert told([{"bytes": png(), "path": None, "size": 3}]) is None
    assert told([["a.jpg"]]) is None
