"""Images as people have them: every layout of pixels, and what is wrong with those that cannot be used."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image, ImageFile, ImageOps

from luthier import extras
from luthier.data.media import MEDIA, shown
from luthier.errors import DataError, ExtraError

IMAGE = MEDIA["image"]


def photo(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """Smooth patches of colour, as photographs have them."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def refusal(value: Any) -> str:
    with pytest.raises(DataError) as error:
        IMAGE.open(value)
    return str(error.value)


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "WEBP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels_that_were_saved(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(encoded(photo(), kind, **({"lossless": True} if kind == "WEBP" else {})))
    for value in (str(file), {"bytes": file.read_bytes(), "path": None}, {"bytes": None, "path": str(file)}, photo()):
        np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.asarray(photo()))
    look = IMAGE.look(str(file))
    assert look.facts == {"width": 64, "height": 48}
    assert look.remark == ""


def test_bytes_win_over_a_path_beside_them(tmp_path: Path) -> None:
    IMAGE.open({"bytes": encoded(photo(), "PNG"), "path": "gone.png"})


def test_content_is_that_of_the_pixels() -> None:
    first, again = ({"bytes": encoded(photo(), "PNG", compress_level=level), "path": None} for level in (0, 9))
    other = {"bytes": encoded(photo(seed=1), "PNG"), "path": None}
    turned = Image.fromarray(np.asarray(photo()).reshape(64, 48, 3))
    assert first["bytes"] != again["bytes"]
    assert IMAGE.look(first).content == IMAGE.look(again).content == IMAGE.look(photo()).content
    assert len({IMAGE.look(one).content for one in (first, other, turned)}) == 3


def test_the_perceptual_hash_is_that_of_imagehash() -> None:
    for seed in range(5):
        signs = imagehash.phash(photo(seed=seed)).hash.flatten()
        assert IMAGE.look(photo(seed=seed)).alike == int("".join("01"[int(sign)] for sign in signs), 2)


def test_an_image_of_one_colour_looks_like_nothing() -> None:
    assert IMAGE.look(Image.new("RGB", (40, 40), "navy")).alike is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_a_truncated_file_is_refused(kind: str) -> None:
    whole = encoded(photo(640, 480), kind)
    said = refusal({"bytes": whole[: len(whole) // 2], "path": None})
    assert said.startswith(("is cut short: ", "is damaged: ", "is no image that can be read"))


def test_a_truncated_jpg_is_said_to_be_cut_short(tmp_path: Path) -> None:
    whole = encoded(photo(640, 480), "JPEG")
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    said = refusal(str(tmp_path / "a.jpg"))
    assert said.startswith("is cut short: image file is truncated (")


def test_a_damaged_png_is_refused() -> None:
    whole = bytearray(encoded(photo(), "PNG"))
    at = whole.index(b"IDAT") + 20
    whole[at : at + 40] = bytes(40)
    assert refusal({"bytes": bytes(whole), "path": None}).startswith("is damaged: ")


def test_cmyk_is_converted() -> None:
    image = photo().convert("CMYK")
    value = {"bytes": encoded(image, "TIFF"), "path": None}
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.asarray(image.convert("RGB")))
    assert IMAGE.look(value).remark == "is CMYK: converted to RGB"
    assert IMAGE.look({"bytes": encoded(image, "JPEG"), "path": None}).remark == "is CMYK: converted to RGB"


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_is_repeated_in_three_channels(mode: str) -> None:
    image = photo().convert(mode)
    value = {"bytes": encoded(image, "PNG"), "path": None}
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.asarray(image.convert("RGB")))
    assert IMAGE.look(value).remark == "is grey"


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_of_16_bits_is_scaled_by_its_full_range(kind: str) -> None:
    levels = np.linspace(0, 65535, 48 * 64).round().astype(np.uint16).reshape(48, 64)
    value = {"bytes": encoded(Image.fromarray(levels), kind), "path": None}
    expected = np.round(levels / 65535 * 255)
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.stack([expected] * 3, axis=2))
    assert IMAGE.look(value).remark == "has 16 bits a channel: scaled to 8; is grey"


def colour_png_of_16_bits(levels: np.ndarray) -> bytes:
    """Pillow writes none, so by the specification (W3C PNG, third edition)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_colours_of_16_bits_are_scaled() -> None:
    levels = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), dtype=np.uint16)
    value = {"bytes": colour_png_of_16_bits(levels), "path": None}
    assert np.abs(pixels(IMAGE.open(value)) - levels / 257).max() <= 1
    assert IMAGE.look(value).remark == "has 16 bits a channel: scaled to 8"


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_levels_of_32_bits_are_scaled_by_their_own_range(dtype: type) -> None:
    levels = (np.arange(256).reshape(16, 16) * 10 - 500).astype(dtype)
    value = {"bytes": encoded(Image.fromarray(levels), "TIFF"), "path": None}
    np.testing.assert_array_equal(pixels(IMAGE.open(value))[..., 0], np.arange(256).reshape(16, 16))


def test_transparent_parts_of_a_palette_become_white() -> None:
    image = photo().quantize(16)
    value = {"bytes": encoded(image, "PNG", transparency=3), "path": None}
    shown_as, clear = pixels(IMAGE.open(value)), np.asarray(image) == 3
    assert clear.any()
    np.testing.assert_array_equal(shown_as[clear], 255)
    np.testing.assert_array_equal(shown_as[~clear], np.asarray(image.convert("RGB"))[~clear])
    assert IMAGE.look(value).remark == "has transparent parts: they become white"


def test_half_transparent_pixels_are_laid_over_white() -> None:
    image = photo().convert("RGBA")
    image.putalpha(128)
    value = {"bytes": encoded(image, "PNG"), "path": None}
    expected = np.asarray(photo()) * (128 / 255) + 255 * (127 / 255)
    assert np.abs(pixels(IMAGE.open(value)) - expected).max() <= 1


def test_an_alpha_channel_that_hides_nothing_is_not_worth_a_word() -> None:
    look = IMAGE.look({"bytes": encoded(photo().convert("RGBA"), "PNG"), "path": None})
    assert look.remark == ""
    assert look.content == IMAGE.look(photo()).content


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_used(kind: str) -> None:
    frames = [photo(seed=seed).quantize(200).convert("RGB") for seed in range(3)]
    more = {"lossless": True} if kind == "WEBP" else {}
    value = {"bytes": encoded(frames[0], kind, save_all=True, append_images=frames[1:], **more), "path": None}
    assert np.abs(pixels(IMAGE.open(value)).astype(int) - np.asarray(frames[0])).max() <= 1
    assert IMAGE.look(value).remark == "is animated: its first frame is used"


def test_of_several_pages_the_first_is_used() -> None:
    value = {"bytes": encoded(photo(), "TIFF", save_all=True, append_images=[photo(seed=1)]), "path": None}
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.asarray(photo()))
    assert IMAGE.look(value).remark == "holds several images: its first is used"


def png_that_claims(width: int, height: int) -> bytes:
    """A small file with a large size in its header."""
    made = bytearray(encoded(Image.new("L", (4, 4)), "PNG"))
    made[16:24] = struct.pack(">II", width, height)
    made[29:33] = struct.pack(">I", zlib.crc32(bytes(made[12:29])))
    return bytes(made)


@pytest.mark.parametrize(("width", "height"), [(20_000, 10_000), (10_000, 9_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_too_many_pixels_are_refused_before_they_are_decoded(width: int, height: int) -> None:
    assert refusal({"bytes": png_that_claims(width, height), "path": None}) == (
        f"has {width * height:,} pixels, more than the limit of 89,478,485 (Pillow's guard against decompression bombs)"
    )


def test_the_limit_is_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"bytes": encoded(photo(), "PNG"), "path": None}
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 48)
    IMAGE.open(value)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    IMAGE.open(value)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("These are words, and no image.\n" * 100)
    assert refusal(str(tmp_path / "a.jpg")) == "is no image that can be read"
    (tmp_path / "b.jpg").touch()
    assert refusal(str(tmp_path / "b.jpg")) == "is empty: it has 0 bytes"
    assert refusal({"bytes": b"", "path": None}) == "is empty: it has 0 bytes"
    assert refusal(str(tmp_path / "c.jpg")) == "there is no such file"
    assert refusal("a\0b.jpg") == "there is no such file"
    assert refusal(str(tmp_path)) == "is a folder"
    assert refusal(7) == "is neither a path nor a mapping of bytes and path, but int"
    assert refusal("x" * 5000) == "cannot be opened: File name too long"


@pytest.mark.parametrize("trouble", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_trouble_of_the_machine_is_not_laid_to_the_image(monkeypatch: pytest.MonkeyPatch, trouble: Exception) -> None:
    def fail(image: Image.Image) -> None:
        raise trouble

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(type(trouble)):
        IMAGE.open({"bytes": encoded(photo(), "PNG"), "path": None})


def test_too_many_open_files_are_not_laid_to_one_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photo(), "PNG"))

    def fail(path: Path, mode: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="Too many open files"):
        IMAGE.open(str(tmp_path / "a.png"))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(photo(), "PNG"))
    (tmp_path / "a.png").chmod(0)
    assert refusal(str(tmp_path / "a.png")) == "cannot be opened: Permission denied"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_exif_says(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    value = {"bytes": encoded(photo(), "PNG", exif=exif), "path": None}
    with Image.open(io.BytesIO(value["bytes"])) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored))
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), expected)
    size = {"width": 48, "height": 64} if orientation > 4 else {"width": 64, "height": 48}
    assert IMAGE.look(value).facts == size


def test_a_telephone_lying_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    photo().save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(pixels(IMAGE.open(str(tmp_path / "a.png"))), np.rot90(np.asarray(photo()), -1))


def test_exif_data_that_cannot_be_read_do_no_harm_to_the_pixels() -> None:
    whole = encoded(photo(), "PNG", exif=exif_of_a_camera())
    at = whole.index(b"eXIf")
    chunk = bytearray(whole[at : at + 4 + int.from_bytes(whole[at - 4 : at])])
    chunk[4:8] = b"none"
    value = {
        "bytes": whole[:at] + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[at + len(chunk) + 4 :],
        "path": None,
    }
    np.testing.assert_array_equal(pixels(IMAGE.open(value)), np.asarray(photo()))
    assert IMAGE.look(value).remark == "has EXIF data that cannot be read: it is not turned"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_bytes_are_recognised(kind: str) -> None:
    assert IMAGE.recognises(encoded(photo(), kind))
    assert not IMAGE.recognises(b"RIFF....WAVEfmt ")
    assert not IMAGE.recognises(b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_whatever_is_damaged_there_is_an_image_or_a_sentence(kind: str) -> None:
    whole = encoded(photo(), kind, **({"exif": exif_of_a_camera()} if kind in {"JPEG", "PNG", "WEBP"} else {}))

    @settings(max_examples=60, deadline=None)
    @given(some.lists(some.tuples(some.integers(0, len(whole) - 1), some.integers(0, 255)), min_size=1, max_size=8))
    def damage(changes: list[tuple[int, int]]) -> None:
        bad = bytearray(whole)
        for place, value in changes:
            bad[place] = value
        with suppress(DataError):
            assert IMAGE.look({"bytes": bytes(bad), "path": None}).facts["width"] > 0

    damage()


def exif_of_a_camera() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    return exif


def test_without_pillow_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])

    monkeypatch.setattr(extras.importlib, "import_module", find_nothing)
    with pytest.raises(ExtraError, match=r"pip install 'luthier\[image\]'"):
        IMAGE.open("a.png")


def test_a_value_in_a_sentence() -> None:
    assert shown("a/b.png") == "a/b.png"
    assert shown({"bytes": b"x", "path": "b.png"}) == "b.png"
    assert shown({"bytes": b"x", "path": None}) == "(bytes)"
    assert shown(photo()) == "(Image)"


def test_real_photographs(assets: Path) -> None:
    for file in sorted((assets / "data" / "ants_bees" / "train" / "ants").glob("*.jpg"))[:10]:
        with Image.open(file) as image:
            expected = np.asarray(image.convert("RGB"))
        np.testing.assert_array_equal(pixels(IMAGE.open(str(file))), expected)
