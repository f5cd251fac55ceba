"""Changes of images against what Pillow itself does, and against the sizes that the papers state."""

from __future__ import annotations

import colorsys

import numpy as np
import PIL.Image
import pytest
from augmentations import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageEnhance, ImageOps

from luthier.augment.colour import Colour, enhanced, turned
from luthier.augment.crop import Crop
from luthier.augment.erase import Erase
from luthier.augment.flip import Flip
from luthier.augment.randaugment import GREY, OPERATIONS, RandAugment
from luthier.augment.ranges import box
from luthier.augment.rotate import Rotate


def pixels(image: PIL.Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def places() -> PIL.Image.Image:
    """An image whose pixels say where they are: red the column, green the row."""
    rows, columns = np.mgrid[:200, :250]
    return PIL.Image.fromarray(np.stack([columns, rows, rows * 0], axis=-1).astype(np.uint8))


def test_a_crop_is_a_part_of_the_image_of_the_asked_size() -> None:
    whole, method, shares, ratios = places(), Crop(scale=(0.3, 0.8), ratio=(0.5, 2)), [], []
    for seed in range(300):
        part = method.apply(whole, random(seed))
        left, upper = part.getpixel((0, 0))[:2]
        assert np.array_equal(pixels(part), pixels(whole.crop((left, upper, left + part.width, upper + part.height))))
        shares.append(part.width * part.height / (200 * 250))
        ratios.append(part.width / part.height)
    assert min(shares) > 0.29
    assert max(shares) < 0.81
    assert np.mean(shares) < 0.6  # large and long parts do not fit and are drawn again
    assert min(ratios) > 0.48
    assert max(ratios) < 2.1


@settings(max_examples=200, deadline=None)
@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    least=st.floats(0.01, 1),
    stretch=st.floats(0.1, 10),
    seed=st.integers(0, 100),
)
def test_a_box_lies_within_the_image(width: int, height: int, least: float, stretch: float, seed: int) -> None:
    found = box((width, height), (least, 1.0), (stretch, stretch * 2), random(seed))
    if found is not None:
        left, upper, right, lower = found
        assert 0 <= left < right <= width
        assert 0 <= upper < lower <= height


def test_where_no_crop_fits_the_image_stays_whole() -> None:
    image = picture(2, 60)
    assert Crop(scale=(1, 1), ratio=(1, 1)).apply(image, random()) is image


def test_flip_mirrors_left_and_right() -> None:
    image = picture()
    assert np.array_equal(pixels(Flip().apply(image, random())), pixels(image)[:, ::-1])


@pytest.mark.parametrize(
    ("setting", "kind"), [("brightness", "Brightness"), ("contrast", "Contrast"), ("saturation", "Color")]
)
def test_colour_is_what_pillows_enhancers_make_of_a_factor_in_range(setting: str, kind: str) -> None:
    image = picture()
    off = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0.0)
    method = Colour(**(off | {setting: 0.3}))
    possible = [pixels(getattr(ImageEnhance, kind)(image).enhance(factor)) for factor in np.linspace(0.7, 1.3, 241)]
    for seed in range(5):
        changed = pixels(method.apply(image, random(seed)))
        assert min(np.abs(changed - one).max() for one in possible) <= 1
        assert not np.array_equal(changed, pixels(image))


def test_no_strength_leaves_the_image() -> None:
    image = picture()
    off = Colour(brightness=0, contrast=0, saturation=0, hue=0)
    assert np.array_equal(pixels(off.apply(image, random())), pixels(image))


def test_enhancers_at_their_ends() -> None:
    image = picture()
    assert not pixels(enhanced(image, "Brightness", 0)).any()
    assert np.array_equal(pixels(enhanced(image, "Color", 0)), np.repeat(pixels(image.convert("L"))[..., None], 3, 2))


@pytest.mark.parametrize("turn", [0.25, -0.1, 0.5])
def test_hues_turn_as_in_the_colour_circle(turn: float) -> None:
    colours = [(200, 40, 40), (40, 200, 90), (60, 80, 220), (130, 130, 130)]
    changed = pixels(turned(PIL.Image.fromarray(np.array([colours], dtype=np.uint8)), turn))[0]
    for before, after in zip(colours, changed, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*(level / 255 for level in before))
        expected = np.array(colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value)) * 255
        assert np.abs(after - expected).max() < 8  # Pillow's hues have 256 steps


def test_a_turned_image_is_pillows_and_its_corners_have_the_mean_colour() -> None:
    image = PIL.Image.new("RGB", (60, 60), (10, 200, 90))
    assert np.abs(pixels(Rotate(degrees=45).apply(image, random())) - (10, 200, 90)).max() <= 1
    for seed in range(5):
        image, angle = picture(), random(seed).uniform(-15, 15)
        mean = tuple(np.round(pixels(image).mean(axis=(0, 1))).astype(int).tolist())
        expected = image.rotate(angle, PIL.Image.Resampling.BILINEAR, fillcolor=mean)
        assert np.abs(pixels(Rotate().apply(image, random(seed))) - pixels(expected)).max() <= 1


def test_erasing_changes_one_rectangle_of_the_asked_size_and_nothing_else() -> None:
    shares = []
    for seed in range(60):
        image = PIL.Image.new("RGB", (100, 80), (255, 0, 255))
        changed = (pixels(Erase().apply(image, random(seed))) != (255, 0, 255)).any(axis=-1)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.99
        shares.append((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / 8000)
    assert 0.015 < min(shares) < 0.06
    assert 0.15 < max(shares) < 0.21


BY_HAND = {
    "identity": lambda image: image,
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "rotate": lambda image: image.rotate(15, fillcolor=GREY),
    "solarize": lambda image: ImageOps.solarize(image, 128),
    "colour": lambda image: ImageEnhance.Color(image).enhance(1.45),
    "posterize": lambda image: ImageOps.posterize(image, 6),
    "contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.45),
    "brightness": lambda image: ImageEnhance.Brightness(image).enhance(1.45),
    "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(1.45),
    "shear_x": lambda image: image.transform(
        image.size, PIL.Image.Transform.AFFINE, (1, 0.15, 0, 0, 1, 0), fillcolor=GREY
    ),
    "shear_y": lambda image: image.transform(
        image.size, PIL.Image.Transform.AFFINE, (1, 0, 0, 0.15, 1, 0), fillcolor=GREY
    ),
}
"""Each operation at half of its utmost, written with Pillow."""


@pytest.mark.parametrize("name", list(BY_HAND))
def test_each_operation_of_randaugment_at_half_its_utmost(name: str) -> None:
    assert np.array_equal(pixels(OPERATIONS[name](picture(), 0.5)), pixels(BY_HAND[name](picture())))


@pytest.mark.parametrize(("name", "axis"), [("translate_x", 1), ("translate_y", 0)])
def test_translations_move_by_a_share_of_the_side(name: str, axis: int) -> None:
    image = picture(331, 331)
    moved = pixels(OPERATIONS[name](image, 0.5))
    expected = np.roll(pixels(image), -75, axis=axis)
    expected[(slice(None),) * axis + (slice(-75, None),)] = GREY
    assert np.array_equal(moved, expected)


def test_directions_have_two_signs_and_strength_has_none() -> None:
    image = picture()
    for name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y", "brightness"):
        assert not np.array_equal(pixels(OPERATIONS[name](image, -0.5)), pixels(OPERATIONS[name](image, 0.5)))
    for name in ("identity", "auto_contrast", "equalize", "solarize", "posterize"):
        assert np.array_equal(pixels(OPERATIONS[name](image, -0.5)), pixels(OPERATIONS[name](image, 0.5)))


def test_the_papers_fourteen_operations_are_all_drawn() -> None:
    assert len(OPERATIONS) == 14
    drawn = {random(seed).choice(list(OPERATIONS), 2)[0] for seed in range(200)}
    assert drawn == set(OPERATIONS)


def test_magnitude_zero_leaves_only_what_has_no_strength() -> None:
    image, free = picture(), ("auto_contrast", "equalize", "solarize")
    for name, operation in OPERATIONS.items():
        if name not in free:
            assert np.array_equal(pixels(operation(image, 0.0)), pixels(image)), name
    assert RandAugment(magnitude=0).apply(image, random(1)).size == image.size
