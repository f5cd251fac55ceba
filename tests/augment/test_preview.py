"""What people see of augmented rows: lines of text, a sheet of images, files to listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import soundfile
from augmentations import picture, sound
from media_jobs import hearing, images, recipe, seeing, sounds

from luthier.augment import augment
from luthier.augment.delete import Delete
from luthier.augment.flip import Flip
from luthier.augment.gain import Gain
from luthier.augment.preview import GAP, SIDE, Copied, copied, sheet, show
from small_jobs import write_recipe


def test_texts_are_lines(tmp_path: Path) -> None:
    chain = [Delete(share=1, rate=0.5)]
    row = copied(chain, ["text"], (4, "good", "one two three four"), 7, 2)
    assert row.copies == tuple(augment(chain, "one two three four", 7, epoch, 4) for epoch in range(2))
    assert show(["text"], [row], tmp_path).splitlines() == [
        "row 5 (good): one two three four",
        f"  epoch 1: {row.copies[0]}",
        f"  epoch 2: {row.copies[1]}",
    ]
    assert not list(tmp_path.iterdir())


def test_the_sheet_shows_each_image_and_its_copies_side_by_side() -> None:
    image = picture(SIDE - 4, SIDE - 4)
    row = copied([Flip(share=1)], ["image"], (0, "ants", image), 0, 2)
    whole = np.asarray(sheet([row, Copied(9, "bees", image, (image,))]))
    assert whole.shape == (2 * (SIDE + GAP), 3 * SIDE, 3)
    for line, column, expected in [(0, 0, image), (0, 1, row.copies[0]), (0, 2, row.copies[1]), (1, 1, image)]:
        top, left = line * (SIDE + GAP) + GAP, column * SIDE
        assert np.array_equal(whole[top : top + SIDE - 4, left : left + SIDE - 4], np.asarray(expected))
    assert (whole[-SIDE:, 2 * SIDE :] == 255).all()  # the second row has one copy
    assert np.array_equal(np.asarray(row.copies[0]), np.asarray(image)[:, ::-1])


def test_sounds_are_files(tmp_path: Path) -> None:
    row = copied([Gain(share=1, decibels=(-6, -6))], ["audio"], (2, "loud", sound()), 0, 1)
    said = show(["audio"], [row], tmp_path / "here")
    assert (
        said
        == f"Wrote 1 sounds and their copies into {tmp_path / 'here'}, to listen to. Masks in spectrograms are not heard."
    )
    for name, expected in [("row-3.wav", row.value), ("row-3-epoch-1.wav", row.copies[0])]:
        samples, rate = soundfile.read(tmp_path / "here" / name, dtype="float32")
        assert rate == 8000
        assert np.array_equal(samples, expected.samples)


@pytest.mark.parametrize("medium", ["image", "audio"])
def test_the_command_writes_into_the_given_folder(medium: str, luthier: Any, tmp_path: Path) -> None:
    asked = {
        "image": lambda: recipe(seeing(tmp_path), images(tmp_path / "data", 12), tmp_path / "run", ["crop"]),
        "audio": lambda: recipe(hearing(tmp_path), sounds(tmp_path / "data", 12), tmp_path / "run", ["noise"]),
    }[medium]()
    file = write_recipe(asked, tmp_path / "recipe.yaml")
    said = luthier("data", "preview", file, "--rows", "2", "--epochs", "3", "--to", tmp_path / "shown")
    assert said.code == 0, said.err
    assert str(tmp_path / "shown") in said.out
    written = sorted(path.name for path in (tmp_path / "shown").iterdir())
    if medium == "image":
        assert written == ["preview.png"]
        assert PIL.Image.open(tmp_path / "shown" / "preview.png").size == (4 * SIDE, 2 * (SIDE + GAP))
    else:
        assert len(written) == 8


def test_the_command_refuses_other_media(luthier: Any, tmp_path: Path) -> None:
    asked = recipe(seeing(tmp_path), images(tmp_path / "data", 12), tmp_path / "run", ["swap"])
    said = luthier("data", "preview", write_recipe(asked, tmp_path / "recipe.yaml"))
    assert said.code == 2
    assert (
        "data.augment: swap changes text and these rows are image. For image there are: crop, flip, colour" in said.err
    )
