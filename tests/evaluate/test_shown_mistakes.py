"""What the report shows of mistakes where rows are images, recordings or words with tags."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import luthier
import perceiving
from luthier.evaluate.pictures import thumbnail
from luthier.evaluate.report import gather, render

TRAIN = {"epochs": 1, "lr": 1e-9, "precision": "fp32"}


def trained(model: Path, files: Path, output: Path, **keys: Any) -> luthier.Run:
    """A run that has learned nothing, and so makes mistakes."""
    recipe = {
        "model": str(model),
        "data": {"files": str(files)},
        "method": "head",
        "train": TRAIN,
        "output": str(output),
    }
    return luthier.train(recipe | keys)


def test_images_are_shown_as_small_pictures(tmp_path: Path) -> None:
    files = perceiving.images(tmp_path / "colours", 10)
    run = trained(perceiving.network("vit", tmp_path / "model"), files, tmp_path / "run")
    facts = gather(run.path)
    shown = facts["mistakes"]["shown"]
    for one in shown:
        image = one["inputs"]["image"]
        assert Path(image["text"]).is_file()
        seen = PIL.Image.open(io.BytesIO(base64.b64decode(image["picture"].removeprefix("data:image/jpeg;base64,"))))
        assert (seen.format, seen.size) == ("JPEG", (32, 40))
    page = render(facts)
    assert page.count('<img src="data:image/jpeg;base64,') == len(shown) > 0
    assert "image from “image”" in page
    assert "tokens" not in page.split("Recipe</h2>")[0]
    Path(shown[0]["inputs"]["image"]["text"]).unlink()
    assert gather(run.path)["mistakes"]["shown"][0]["inputs"]["image"]["picture"] == ""


def test_pictures_are_at_most_128_pixels(tmp_path: Path) -> None:
    PIL.Image.effect_noise((1000, 500), 50).save(tmp_path / "large.png")
    uri = thumbnail(str(tmp_path / "large.png"))
    assert PIL.Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size == (128, 64)
    assert len(uri) < 10_000


def test_recordings_are_shown_by_their_paths(tmp_path: Path) -> None:
    files = perceiving.sounds(tmp_path / "tones", 20)
    run = trained(perceiving.network("whisper", tmp_path / "model"), files, tmp_path / "run")
    texts = [one["inputs"]["file_name"]["text"] for one in gather(run.path)["mistakes"]["shown"]]
    assert texts
    assert all(Path(text).is_file() for text in texts)
    assert "audio from “file_name”" in (run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("tag", ["ENT", "<b>"])
def test_entities_are_marked_in_their_row(tag: str, tmp_path: Path, tiny_bert: Path) -> None:
    rows = f"the O\nfilm B-{tag}\nis O\ngood O\n\nroom B-{tag}\nservice I-{tag}\nbad O\n\n"
    (tmp_path / "names.conll").write_text(rows * 30, encoding="utf-8")
    run = trained(tiny_bert, tmp_path / "names.conll", tmp_path / "run", task="tag")
    facts = gather(run.path)
    for one in facts["mistakes"]["shown"]:
        text = "".join(piece["text"] for piece in one["pieces"])
        assert text in {"the film is good", "room service bad"}
        wrong = [piece for piece in one["pieces"] if not piece["right"] and (piece["true"] or piece["answered"])]
        assert wrong
    page = render(facts)
    assert "missed, or labelled wrong" in page
    assert "'start'" not in page
    assert "<b>ENT" not in page
    assert '<sub lang="en"><b>' not in page
