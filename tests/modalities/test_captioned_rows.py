"""Images with texts become what the processor and the tokenizer alone make of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

import captioned
import tiny_models
from luthier.errors import DataError
from luthier.modalities.captioned import Captioned, Matched
from luthier.modalities.image import Image
from luthier.modalities.text import Text

TEXTS = ("the film is good", "not bad", "awful service awful service awful")


def made(kind: type[Captioned] = Captioned, **settings: Any) -> Captioned:
    return kind(Image(captioned.processor()), Text(tiny_models.word_tokenizer(), 6), **settings)


@pytest.fixture
def values(tmp_path: Path) -> list[tuple[str, str]]:
    random, found = np.random.default_rng(0), []
    for number, text in enumerate(TEXTS):
        file = tmp_path / f"{number}.png"
        PIL.Image.fromarray(random.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(file)
        found.append((str(file), text))
    return found


@pytest.mark.parametrize("kind", [Captioned, Matched])
def test_batches_are_those_of_processor_and_tokenizer(kind: type[Captioned], values: list[tuple[str, str]]) -> None:
    modality = made(kind)
    encoded = modality.encode(values)
    batch = modality.collate(encoded.columns)
    images = [PIL.Image.open(file).convert("RGB") for file, _ in values]
    pixels = captioned.processor()(images, return_tensors="pt")["pixel_values"]
    texts = tiny_models.word_tokenizer()(
        [text for _, text in values], truncation=True, max_length=6, padding=True, return_tensors="pt"
    )
    assert torch.equal(batch["pixel_values"], pixels)
    assert torch.equal(batch["input_ids"], texts["input_ids"])
    assert torch.equal(batch["attention_mask"], texts["attention_mask"])
    patches = 1
    assert list(encoded.lengths) == [6 + patches, 4 + patches, 6 + patches]
    assert modality.sizes(np.array(encoded.full_lengths)).tolist() == [6, 4, 7]
    assert modality.limit == 6


def test_texts_of_networks_that_read_the_last_position_are_filled(values: list[tuple[str, str]]) -> None:
    batch = made(padded=True).collate(made(padded=True).encode(values[1:2]).columns)
    expected = tiny_models.word_tokenizer()([TEXTS[1]], padding="max_length", max_length=6, return_tensors="pt")[
        "input_ids"
    ]
    assert torch.equal(batch["input_ids"], expected)
    assert batch["attention_mask"].all()


def test_the_same_image_and_the_same_text_have_the_same_mark(values: list[tuple[str, str]]) -> None:
    modality = made(Matched)
    rows = [values[0], (values[0][0], TEXTS[1]), (values[2][0], TEXTS[1])]
    batch = modality.collate(modality.encode(rows).columns)
    image, text = batch["target_image"], batch["target_text"]
    assert image[0] == image[1] != image[2]
    assert text[0] != text[1] == text[2]
    assert image.dtype == text.dtype == torch.int64


def test_several_texts_of_an_image(values: list[tuple[str, str]]) -> None:
    modality = made(Matched)
    rows: list[Any] = [(values[0][0], [TEXTS[0], TEXTS[1]]), values[1]]
    batch = modality.collate(modality.encode(rows).columns)
    assert batch["target_rows"].tolist() == [0, 0, 1]
    assert batch["input_ids"].shape == (3, 6)
    assert len(batch["pixel_values"]) == 2


def test_what_a_person_gives(values: list[tuple[str, str]]) -> None:
    (file, text), modality, several = values[0], made(), made(Matched)
    for given in ((file, text), [file, text], {"image": file, "text": text}):
        assert modality.rows(given) == [given]
        assert modality.given(given)[1] == text
    assert several.rows([file, "a", "b"]) == [[file, "a", "b"]]
    assert several.given([file, "a", "b"])[1] == several.given({"image": file, "text": ["a", "b"]})[1] == ["a", "b"]
    assert modality.rows(values) == values
    with PIL.Image.open(file) as image:
        assert modality.rows([image, text]) == [[image, text]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a text", "A model of images and texts predicts both together, as in"),
        ({"image": "a.png"}, "got a mapping of image."),
        (("a.png", 5), "A row of an image and a text has one text beside the image; got 5."),
        (("a.png", "one", "two"), "A row of an image and a text has one text beside the image"),
        (("gone.png", "one"), "gone.png: there is no such file."),
    ],
)
def test_what_cannot_be_read_is_said(given: Any, said: str) -> None:
    with pytest.raises(DataError) as refused:
        made().given(given)
    assert said in str(refused.value)


def test_the_encoding_has_a_key_of_its_own() -> None:
    assert len({made().fingerprint, made(Matched).fingerprint, made(padded=True).fingerprint}) == 3
