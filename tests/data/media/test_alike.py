"""Groups of the same and of alike images, against the comparison of all pairs."""

from __future__ import annotations

import io
from pathlib import Path

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image, ImageEnhance

from luthier.data.media import MEDIA, alike
from luthier.data.media.alike import groups
from luthier.data.media.examined import Examined
from luthier.errors import DataError


def examined(hashes: list[int], content: list[str] | None = None) -> Examined:
    names = content or [str(row) for row in range(len(hashes))]
    return Examined(np.array(names, dtype=object), np.array(hashes, dtype=np.uint64), {}, {}, {})


def by_all_pairs(found: Examined, distance: int) -> list[int]:
    """The first row of each row's group."""
    graph = networkx.Graph()
    graph.add_nodes_from(range(len(found.content)))
    hashes = [] if found.alike is None else found.alike.tolist()
    for right in range(len(found.content)):
        for left in range(right):
            same = found.content[left] and found.content[left] == found.content[right]
            near = hashes and hashes[left] and hashes[right] and (hashes[left] ^ hashes[right]).bit_count() <= distance
            if same or near:
                graph.add_edge(left, right)
    first = {row: min(group) for group in networkx.connected_components(graph) for row in group}
    return [first[row] for row in range(len(found.content))]


def clustered(rows: int, seed: int) -> list[int]:
    """Hashes of 32 set bits, some with a few bits exchanged, as perceptual hashes of changed copies have them."""
    draw = np.random.default_rng(seed)
    made: list[int] = []
    for _ in range(rows):
        if made and draw.random() < 0.5:
            bits = draw.choice(64, draw.integers(0, 13), replace=False)
            made.append(made[draw.integers(len(made))] ^ sum(1 << int(bit) for bit in bits))
        else:
            made.append(sum(1 << int(bit) for bit in draw.choice(64, 32, replace=False)))
    return made


@pytest.mark.parametrize("distance", range(12))
def test_groups_are_those_of_all_pairs(distance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined(clustered(300, distance))
    expected = by_all_pairs(found, distance)
    assert distance == 0 or len(set(expected)) < 300
    for price in (0, 10**9):  # by bands, by all pairs
        monkeypatch.setattr(alike, "PRICE", price)
        for together in (50, 4_000_000):
            monkeypatch.setattr(alike, "TOGETHER", together)
            assert groups(found, distance).first.tolist() == expected


@settings(max_examples=100, deadline=None)
@given(
    some.lists(some.tuples(some.integers(0, 2**8), some.sampled_from(["", *"abcdefgh"])), max_size=12),
    some.integers(0, 11),
)
def test_few_bits_and_equal_contents(rows: list[tuple[int, str]], distance: int) -> None:
    of_content: dict[str, int] = {}  # the same pixels have the same hash
    hashes = [of_content.setdefault(content, value) if content else 0 for value, content in rows]
    found = examined(hashes, [content for _, content in rows] or None)
    assert groups(found, distance).first.tolist() == by_all_pairs(found, distance)


def test_equal_contents_without_hashes() -> None:
    found = Examined(np.array(["a", "b", "", "a", ""], dtype=object), None, {2: "x", 4: "y"}, {}, {})
    both = groups(found)
    assert both.first.tolist() == both.equal.tolist() == [0, 1, 2, 0, 4]
    assert both.facts == {"groups": 1, "exact": 1, "near": 0, "crowded": 0}


def test_the_counts_tell_equal_from_alike() -> None:
    found = groups(examined([0b1111, 0b1111, 0b1110, 0b1111 << 60], ["a", "a", "b", "c"]))
    assert found.first.tolist() == [0, 0, 0, 3]
    assert found.equal.tolist() == [0, 0, 2, 3]
    assert found.facts == {"groups": 1, "exact": 1, "near": 1, "crowded": 0}


def test_images_without_structure_are_alone() -> None:
    assert groups(examined([0, 0, 1])).first.tolist() == [0, 1, 2]


def test_no_rows() -> None:
    assert groups(examined([])).first.tolist() == []


@pytest.mark.parametrize("distance", [-1, 12])
def test_a_distance_out_of_range_is_refused(distance: int) -> None:
    with pytest.raises(
        DataError, match=rf"the distance of images that look alike must be from 0 to 11 bits; got {distance}\."
    ):
        groups(examined([1]), distance)


def as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def test_changed_copies_of_real_photographs_are_found_and_no_others(assets: Path) -> None:
    files = sorted((assets / "data" / "ants_bees").glob("val/*/*.jpg"))[::3]
    photographs = [MEDIA["image"].open(str(file)) for file in files]
    changed = {
        "saved again": lambda image: as_jpeg(image, 30),
        "smaller": lambda image: image.resize((image.width // 3, image.height // 3)),
        "grey": lambda image: image.convert("L").convert("RGB"),
        "more contrast": lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    }
    looks = [MEDIA["image"].look(image) for image in photographs]
    for name, change in changed.items():
        both = [*looks, *(MEDIA["image"].look(change(image)) for image in photographs)]
        found = groups(examined([look.alike or 0 for look in both], [look.content for look in both]))
        count = len(photographs)
        assert found.first[:count].tolist() == list(range(count))
        assert (found.first[count:] == np.arange(count)).mean() >= 0.95, name
