"""A column decoded once: reasons, remarks, measures, and a cache that knows when a file has changed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import soundfile
from PIL import Image

from luthier.data.media import MEDIA
from luthier.data.media.examined import Examined, examine
from luthier.data.media.image import Image as ImageMedium


def picture(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((40, 30))


@pytest.fixture
def column(tmp_path: Path) -> datasets.Dataset:
    """A good image, its copy in another format, another one in grey, words, nothing, and a file that is not there."""
    picture(0).save(tmp_path / "a.png")
    picture(0).save(tmp_path / "b.bmp")
    picture(1).convert("L").save(tmp_path / "c.png")
    (tmp_path / "d.jpg").write_text("words")
    return datasets.Dataset.from_dict(
        {"image": [*(str(tmp_path / name) for name in ("a.png", "b.bmp", "c.png", "d.jpg")), None, " ", "gone.jpg"]}
    )


def test_every_row_is_told(column: datasets.Dataset) -> None:
    done: list[int] = []
    found = examine(column, "image", MEDIA["image"], done.append)
    assert found.reasons == {
        3: "is no image that can be read",
        4: "no image",
        5: "no image",
        6: "there is no such file",
    }
    assert found.remarks == {2: "is grey"}
    assert sum(done) == len(column)
    looks = [MEDIA["image"].look(path) for path in column["image"][:3]]
    assert found.content.tolist() == [*(look.content for look in looks), "", "", "", ""]
    assert found.alike is not None
    assert found.alike.dtype == np.uint64
    assert found.alike.tolist() == [*(look.alike for look in looks), 0, 0, 0, 0]
    np.testing.assert_array_equal(found.facts["width"], [40, 40, 40, *[np.nan] * 4])
    np.testing.assert_array_equal(found.facts["height"], [30, 30, 30, *[np.nan] * 4])


def same(one: Examined, two: Examined) -> bool:
    return (one.content.tolist(), one.reasons, one.remarks) == (two.content.tolist(), two.reasons, two.remarks)


def test_a_second_time_nothing_is_decoded(column: datasets.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = examine(column, "image", MEDIA["image"])

    def refuse(self: Any, value: Any) -> None:
        raise AssertionError(f"decoded {value}")

    monkeypatch.setattr(ImageMedium, "look", refuse)
    done: list[int] = []
    assert same(examine(column, "image", MEDIA["image"], done.append), first)
    assert sum(done) == len(column)


def test_a_file_that_changed_is_decoded_again(column: datasets.Dataset, tmp_path: Path) -> None:
    first = examine(column, "image", MEDIA["image"])
    facts = (tmp_path / "a.png").stat()
    picture(2).save(tmp_path / "a.png")
    os.utime(tmp_path / "a.png", ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    again = examine(column, "image", MEDIA["image"])
    assert again.content[0] == MEDIA["image"].look(str(tmp_path / "a.png")).content != first.content[0]
    assert again.content[1:].tolist() == first.content[1:].tolist()


def test_bytes_are_examined_without_being_decoded_by_datasets() -> None:
    file = io.BytesIO()
    picture(0).save(file, "PNG")
    values = [{"bytes": file.getvalue(), "path": None}, None, {"bytes": b"x", "path": None}]
    rows = datasets.Dataset.from_dict({"image": values}, features=datasets.Features({"image": datasets.Image()}))
    found = examine(rows, "image", MEDIA["image"])
    assert found.content[0] == MEDIA["image"].look(picture(0)).content
    assert found.reasons == {1: "no image", 2: "is no image that can be read"}


def test_sounds_have_no_perceptual_hash(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(8_000)), 8_000)
    soundfile.write(tmp_path / "b.wav", np.zeros((4_000, 2)), 8_000)
    soundfile.write(tmp_path / "c.wav", np.zeros(0), 8_000)
    rows = datasets.Dataset.from_dict({"audio": [*(str(tmp_path / f"{name}.wav") for name in "abc"), None]})
    found = examine(rows, "audio", MEDIA["audio"])
    assert found.alike is None
    assert found.reasons == {2: "is empty: it has no samples", 3: "no audio"}
    assert found.remarks == {1: "has 2 channels: averaged; is silent"}
    np.testing.assert_array_equal(found.facts["seconds"], [1, 0.5, np.nan, np.nan])
    np.testing.assert_array_equal(found.facts["rate"], [8_000, 8_000, np.nan, np.nan])
    np.testing.assert_array_equal(found.facts["channels"], [1, 2, np.nan, np.nan])


def test_no_rows(column: datasets.Dataset) -> None:
    found = examine(column.select([]), "image", MEDIA["image"])
    assert found.content.tolist() == []
    assert found.reasons == {}


def test_rows_picked_from_a_table_are_those_examined(column: datasets.Dataset) -> None:
    found = examine(column.select([3, 1]), "image", MEDIA["image"])
    assert found.reasons == {0: "is no image that can be read"}
    assert found.content[1] == MEDIA["image"].look(column[1]["image"]).content


def test_real_photographs_and_recordings(assets: Path) -> None:
    for medium, pattern in (("image", "ants_bees/val/bees/*.jpg"), ("audio", "spoken_digits/0_*_1*.wav")):
        files = sorted(map(str, (assets / "data").glob(pattern)))
        found = examine(datasets.Dataset.from_dict({medium: files}), medium, MEDIA[medium])
        assert len(files) > 50
        assert found.reasons == {}
        assert len(set(found.content)) == len(files)
