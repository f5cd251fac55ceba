"""Images: two halves of a processor against its one pass, for families with quirks of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoImageProcessor,
    Siglip2ImageProcessorPil,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    pipeline,
)

from luthier.errors import ModelError, RecipeError
from luthier.modalities.image import Image

SQUARE = {"height": 32, "width": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": SQUARE},
    "vit, oblong": {"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 20}},
    "vit, not normalised": {"image_processor_type": "ViTImageProcessor", "size": SQUARE, "do_normalize": False},
    "convnext": {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_pct": 0.8,
    },
    "convnext, warped": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    "efficientnet": {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": SQUARE,
        "include_top": True,
        "rescale_offset": True,
        "rescale_factor": 1 / 127.5,
        "image_std": [0.47, 0.47, 0.48],
    },
    "efficientnet, cropped": {
        "image_processor_type": "EfficientNetImageProcessor",
        "size": {"height": 40, "width": 40},
        "do_center_crop": True,
        "crop_size": SQUARE,
        "include_top": False,
    },
    "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": SQUARE},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE},
    "bit": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 40}, "crop_size": SQUARE},
    "mobilevit": {
        "image_processor_type": "MobileViTImageProcessor",
        "size": {"shortest_edge": 36},
        "crop_size": SQUARE,
    },
    "poolformer": {
        "image_processor_type": "PoolFormerImageProcessor",
        "size": {"shortest_edge": 32},
        "crop_size": SQUARE,
    },
}
OWN_PROPORTIONS = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 32},
    "do_center_crop": False,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of images lying and standing, larger and smaller than what processors make."""
    folder, draw = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    paths = [folder / f"{number}.png" for number in range(5)]
    for path, (height, width) in zip(paths, [(70, 90), (91, 64), (32, 32), (20, 11), (33, 150)], strict=True):
        PIL.Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
    return [str(path) for path in paths]


def opened(config: dict[str, Any], folder: Path) -> Any:
    """A processor as it is opened for a model, from a file beside its weights."""
    folder.mkdir(exist_ok=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(config), encoding="utf-8")
    return AutoImageProcessor.from_pretrained(folder)


def one_pass(processor: Any, images: list[str]) -> torch.Tensor:
    done: torch.Tensor = processor([PIL.Image.open(path) for path in images], return_tensors="pt")["pixel_values"]
    return done


@pytest.mark.parametrize("family", FAMILIES)
def test_two_halves_are_one_pass(family: str, images: list[str], tmp_path: Path) -> None:
    modality = Image(opened(FAMILIES[family], tmp_path))
    batch = modality.collate(modality.encode(images).columns)
    assert list(batch) == ["pixel_values"]
    assert batch["pixel_values"].dtype == torch.float32
    assert torch.equal(batch["pixel_values"], one_pass(opened(FAMILIES[family], tmp_path), images))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_size_makes_squares_and_is_saved(family: str, images: list[str], tmp_path: Path) -> None:
    modality = Image(opened(FAMILIES[family], tmp_path), 24)
    batch = modality.collate(modality.encode(images).columns)
    assert batch["pixel_values"].shape == (len(images), 3, 24, 24)
    assert modality.limit == 24
    modality.save(str(tmp_path / "saved"))
    assert torch.equal(batch["pixel_values"], one_pass(AutoImageProcessor.from_pretrained(tmp_path / "saved"), images))


@given(
    height=st.integers(1, 130),
    width=st.integers(1, 130),
    family=st.sampled_from(sorted(FAMILIES)),
    seed=st.integers(0, 9),
)
@settings(max_examples=40, deadline=None)
def test_two_halves_are_one_pass_for_any_image(
    height: int, width: int, family: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    processor = opened(FAMILIES[family], tmp_path_factory.mktemp("processor"))
    image = PIL.Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    modality = Image(processor)
    batch = modality.collate(modality.encode([image]).columns)
    assert torch.equal(batch["pixel_values"], processor([image], return_tensors="pt")["pixel_values"])


def test_the_margin_around_a_crop_keeps_its_share(tmp_path: Path) -> None:
    processor = Image(opened(FAMILIES["bit"], tmp_path), 16).processor
    assert dict(processor.size) == {"shortest_edge": 20}
    assert dict(processor.crop_size) == {"height": 16, "width": 16}


def test_a_square_is_cropped_where_the_family_does_so(images: list[str], tmp_path: Path) -> None:
    resized = Image(opened(FAMILIES["convnext"], tmp_path), 24)
    expected = opened(FAMILIES["convnext"] | {"size": {"shortest_edge": 24}}, tmp_path)
    assert torch.equal(resized.collate(resized.encode(images).columns)["pixel_values"], one_pass(expected, images))


def test_images_of_their_own_proportions_need_a_size(images: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        Image(opened(OWN_PROPORTIONS, tmp_path))
    assert str(refused.value) == (
        "The image processor of this model keeps each image's own proportions (size: {'shortest_edge': 32}), and a batch needs images of "
        "one size. Set data.max_length: the pixels of a side of the square that each image becomes, such as 224."
    )
    modality = Image(opened(OWN_PROPORTIONS, tmp_path), 32)
    expected = opened(OWN_PROPORTIONS | {"size": SQUARE}, tmp_path)
    assert torch.equal(modality.collate(modality.encode(images).columns)["pixel_values"], one_pass(expected, images))


def test_a_processor_of_patches_is_refused() -> None:
    with pytest.raises(ModelError) as refused:
        Image(Siglip2ImageProcessorPil())
    assert str(refused.value) == (
        "The image processor Siglip2ImageProcessorPil of this model cannot be used here: expected one that makes pixel_values of shape (3, "
        "height, width) of an image, and whose colours can be rescaled and normalised after it has resized and cropped. Take another model."
    )


class Entangled(ViTImageProcessorPil):  # type: ignore[misc]
    """Darkens images that it resizes and rescales in one pass."""

    def _preprocess(self, images: list[np.ndarray], do_resize: bool, do_rescale: bool, **others: Any) -> Any:
        shown = [image // 2 if do_resize and do_rescale else image for image in images]
        return super()._preprocess(shown, do_resize=do_resize, do_rescale=do_rescale, **others)


def test_a_processor_whose_halves_differ_is_refused() -> None:
    with pytest.raises(
        ModelError, match="whose colours can be rescaled and normalised after it has resized and cropped"
    ):
        Image(Entangled(size=SQUARE))


@pytest.mark.parametrize(("family", "patches"), [("vit", 4), ("vit, oblong", 3 * 2), ("convnext, warped", 24 * 24)])
def test_lengths_are_patches_of_sixteen_pixels(family: str, patches: int, images: list[str], tmp_path: Path) -> None:
    encoded = Image(opened(FAMILIES[family], tmp_path)).encode(images)
    assert encoded.lengths == encoded.full_lengths == [patches] * len(images)


def test_the_limit_is_the_longer_side(tmp_path: Path) -> None:
    assert Image(opened(FAMILIES["vit, oblong"], tmp_path)).limit == 48


def test_rows_are_bytes_and_stay_so_in_arrow(images: list[str], tmp_path: Path) -> None:
    modality = Image(opened(FAMILIES["vit"], tmp_path))
    columns = modality.encode(images).columns
    stored = datasets.Dataset.from_dict(dict(columns))
    assert stored.features["pixel_values"] == datasets.List(datasets.Value("uint8"))
    assert {len(row) for row in columns["pixel_values"]} == {3 * 32 * 32}
    read = {"pixel_values": stored.with_format("numpy")["pixel_values"]}
    assert torch.equal(modality.collate(read)["pixel_values"], modality.collate(columns)["pixel_values"])


def test_paths_bytes_and_decoded_images_are_the_same(images: list[str], tmp_path: Path) -> None:
    modality = Image(opened(FAMILIES["clip"], tmp_path))
    path = images[0]
    forms = [path, {"bytes": Path(path).read_bytes(), "path": None}, PIL.Image.open(path)]
    rows = modality.encode(forms).columns["pixel_values"]
    assert np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0], rows[2])


def test_no_rows(tmp_path: Path) -> None:
    encoded = Image(opened(FAMILIES["vit"], tmp_path)).encode([])
    assert (list(encoded.lengths), list(encoded.columns["pixel_values"])) == ([], [])


def test_the_fingerprint_follows_settings_and_not_places(tmp_path: Path) -> None:
    config = FAMILIES["convnext"]
    fingerprint = Image(opened(config, tmp_path / "one")).fingerprint
    assert Image(opened(config, tmp_path / "two")).fingerprint == fingerprint
    others = [
        Image(opened(config | {"crop_pct": 0.9}, tmp_path / "three")).fingerprint,
        Image(opened(config | {"resample": 2}, tmp_path / "four")).fingerprint,
        Image(opened(config, tmp_path / "one"), 24).fingerprint,
        Image(opened(FAMILIES["siglip"], tmp_path / "five")).fingerprint,
        Image(opened(FAMILIES["vit"], tmp_path / "six")).fingerprint,
    ]
    assert len({fingerprint, *others}) == 6


def test_a_plain_pipeline_sees_the_same(images: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = ViTForImageClassification(ViTConfig(image_size=24, patch_size=8, num_labels=3, **sizes)).eval()
    modality = Image(opened(FAMILIES["vit"], tmp_path), 24)
    model.save_pretrained(tmp_path / "saved")
    modality.save(str(tmp_path / "saved"))
    with torch.no_grad():
        expected = model(**modality.collate(modality.encode(images).columns)).logits.softmax(dim=-1)
    found = pipeline("image-classification", str(tmp_path / "saved"))(images)
    for scores, row in zip(found, expected, strict=True):
        named = {one["label"]: one["score"] for one in scores}
        assert [named[f"LABEL_{index}"] for index in range(3)] == pytest.approx(row.tolist(), abs=1e-6)


def test_photographs_for_a_real_model(assets: Path) -> None:
    processor = AutoImageProcessor.from_pretrained(assets / "models" / "efficientnet-lite0")
    photographs = [str(path) for path in sorted(assets.glob("data/ants_bees/val/*/*.jpg"))[::20]]
    modality = Image(processor)
    encoded = modality.encode(photographs)
    whole = processor([PIL.Image.open(path).convert("RGB") for path in photographs], return_tensors="pt")
    assert torch.equal(modality.collate(encoded.columns)["pixel_values"], whole["pixel_values"])
    assert set(encoded.lengths) == {196}
    assert modality.limit == 224
