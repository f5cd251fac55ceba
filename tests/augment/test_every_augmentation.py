"""What every augmentation must do, whoever wrote it; and how they are drawn."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from augmentations import ENGLISH, MIXED, members, names, picture, sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from luthier.augment import AUGMENTATIONS, Augmentation, augment, refuse_others
from luthier.data.media.audio import Sound
from luthier.errors import RecipeError
from luthier.registry import Registry

MEMBERS = [name for name in names("text") if name != "back_translation"]
"""Back translation is too slow for hundreds of texts; test_back_translation.py has the same checks on a few."""

TEXTS = st.text(max_size=80) | st.lists(
    st.sampled_from(["good", "Room,", "的", "酒店很便宜", " ", "\n", "…", "3.5", "😀", "ＡＢ", "e\u0301"]), max_size=30
).map("".join)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Augmentation]:
    return members(tmp_path_factory.mktemp("words"))


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("name", MEMBERS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=TEXTS, seed=st.integers(0, 1000))
def test_any_text_gives_a_text_and_the_same_one_for_the_same_draw(
    name: str, made: dict[str, Augmentation], text: str, seed: int
) -> None:
    changed = made[name].apply(text, generator(seed))
    assert isinstance(changed, str)
    assert changed == made[name].apply(text, generator(seed))
    assert bool(changed.strip()) == bool(text.strip())
    if not any(unicodedata.category(character)[0] in "LN" for character in text):
        assert changed == text


@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("text", [ENGLISH, MIXED, f"\t{ENGLISH}\n\n"])
def test_white_space_at_both_ends_stays(name: str, made: dict[str, Augmentation], text: str) -> None:
    for seed in range(20):
        changed = made[name].apply(text, generator(seed))
        assert changed[: len(changed) - len(changed.lstrip())] == text[: len(text) - len(text.lstrip())]
        assert changed[len(changed.rstrip()) :] == text[len(text.rstrip()) :]


@pytest.mark.parametrize("name", MEMBERS)
def test_something_changes_at_a_high_rate(name: str, made: dict[str, Augmentation]) -> None:
    full = made[name].model_copy(update={"rate": 1.0})
    assert any(full.apply(MIXED, generator(seed)) != MIXED for seed in range(5))


ALWAYS = {"crop", "colour", "randaugment", "spectrogram"}
"""These change every row, if often only a little."""


@pytest.mark.parametrize("name", names("image"))
@settings(max_examples=40, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40), seed=st.integers(0, 1000))
def test_any_image_gives_an_image_and_the_same_one_for_the_same_draw(
    name: str, width: int, height: int, seed: int
) -> None:
    image, method = picture(width, height, seed), AUGMENTATIONS[name]()
    before = image.tobytes()
    changed = method.apply(image, generator(seed))
    assert changed.mode == "RGB"
    assert changed.width <= width
    assert changed.height <= height
    assert changed.tobytes() == method.apply(image, generator(seed)).tobytes()
    assert image.tobytes() == before


@pytest.mark.parametrize("name", [name for name in names("audio") if AUGMENTATIONS[name].part == "value"])
@settings(max_examples=40, deadline=None)
@given(samples=st.integers(1, 300), seed=st.integers(0, 1000))
def test_any_sound_gives_a_sound_and_the_same_one_for_the_same_draw(name: str, samples: int, seed: int) -> None:
    heard, method = sound(samples, seed), AUGMENTATIONS[name]()
    before = heard.samples.copy()
    changed = method.apply(heard, generator(seed))
    assert (changed.rate, changed.samples.dtype, changed.samples.shape) == (heard.rate, np.float32, heard.samples.shape)
    assert np.array_equal(changed.samples, method.apply(heard, generator(seed)).samples)
    assert np.array_equal(heard.samples, before)


@pytest.mark.parametrize("name", [*names("image"), *names("audio")])
def test_different_draws_give_different_copies(name: str) -> None:
    method = AUGMENTATIONS[name]()
    values = {"image": picture(), "audio": sound()}
    value = generator().normal(size=(50, 20)) if method.part == "spectrogram" else values[method.medium]
    copies = {seen(method.apply(value, generator(seed))) for seed in range(10)}
    assert copies != {seen(value)}
    assert len(copies) >= (1 if name == "flip" else 4)


def seen(value: Any) -> bytes:
    return bytes((value.samples if isinstance(value, Sound) else value).tobytes())


def test_only_the_part_that_an_augmentation_acts_on_is_changed() -> None:
    chain = [AUGMENTATIONS["noise"](share=1), AUGMENTATIONS["spectrogram"]()]
    heard, features = sound(), generator().normal(size=(50, 20))
    only_noise = augment(chain[:1], heard, 0, 1, 2)
    assert np.array_equal(augment(chain, heard, 0, 1, 2).samples, only_noise.samples)
    masked = augment(chain, features, 0, 1, 2, "spectrogram")
    assert np.array_equal(masked, augment(chain[1:], features, 0, 1, 2, "spectrogram"))
    assert not np.array_equal(masked, features)


@pytest.mark.parametrize(
    ("settings", "medium", "said"),
    [
        (
            ["delete", "crop"],
            "text",
            r"^data\.augment: crop changes image and these rows are text\. For text there are: delete, swap, .*back_translation\.$",
        ),
        (["swap"], "image", r"swap changes text and these rows are image\. For image there are: crop, flip, colour"),
        (["swap"], "tokens", r"swap changes text and these rows are tokens\. For tokens there are: none\.$"),
    ],
)
def test_augmentations_of_another_medium_are_refused(
    settings: list[str], medium: str, said: str, tmp_path: Path
) -> None:
    made = members(tmp_path)
    with pytest.raises(RecipeError, match=said):
        refuse_others([made[name] for name in settings], [medium])
    refuse_others([made["delete"], made["swap"]], ["text", "text"])
    refuse_others([], ["tokens"])


@pytest.mark.parametrize(
    ("name", "key"), [("crop", "scale"), ("erase", "ratio"), ("noise", "ratio"), ("gain", "decibels")]
)
def test_ends_must_be_in_order(name: str, key: str) -> None:
    with pytest.raises(ValidationError, match=r"expected \[from, to\], the smaller number first; got \[0\.9, 0\.5\]"):
        AUGMENTATIONS[name].model_validate({key: [0.9, 0.5]})


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
def test_settings_are_checked(name: str, tmp_path: Path) -> None:
    made = members(tmp_path)[name]
    assert type(made).name == name
    assert made.share == (1.0 if name in ALWAYS else 0.5)
    for wrong in (0, 1.1, -1):
        with pytest.raises(ValidationError):
            type(made).model_validate(made.model_dump(exclude={"name", "share"}) | {"share": wrong})


class Shout(Augmentation):
    name = "shout"

    def apply(self, text: str, random: np.random.Generator) -> str:
        return f"{text}!"


class Letter(Augmentation):
    name = "letter"

    def apply(self, text: str, random: np.random.Generator) -> str:
        return text + "abcdefgh"[random.integers(8)]


def test_the_share_of_rows_holds_and_the_order_is_kept() -> None:
    rows = [augment([Shout(share=0.3)], "a", 0, 0, row) for row in range(4000)]
    assert abs(np.mean([row == "a!" for row in rows]) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 4000)
    both = augment([Shout(share=1), Letter(share=1)], "a", 0, 0, 0)
    assert both[:2] == "a!"
    assert len(both) == 3


def test_a_copy_depends_on_seed_epoch_and_row_and_on_nothing_else() -> None:
    letters = [Letter(share=1) for _ in range(12)]
    first = augment(letters, "", 0, 1, 2)
    assert augment(letters, "other ", 0, 1, 2) == f"other {first}"
    assert augment(letters, "", 0, 1, 2) == first
    assert len({augment(letters, "", *where) for where in [(0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3), (2, 1, 0)]}) == 5


def test_nothing_to_do_leaves_the_text() -> None:
    assert augment([], "as it is", 0, 0, 0) == "as it is"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[Augmentation]]:
    """A package of someone else's, as pip installs it, and the registry as a new process sees it."""
    (tmp_path / "their_words.py").write_text(
        "from luthier.augment import Augmentation\n\n\n"
        "class Reverse(Augmentation):\n"
        "    name = 'reverse'\n"
        "    mark: str = ''\n\n"
        "    def apply(self, text, random):\n"
        "        return text[::-1] + self.mark\n",
        encoding="utf-8",
    )
    (tmp_path / "their_words-1.0.dist-info").mkdir()
    (tmp_path / "their_words-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: their_words\nVersion: 1.0\n"
    )
    (tmp_path / "their_words-1.0.dist-info" / "entry_points.txt").write_text(
        "[luthier.augmentations]\nreverse = their_words:Reverse\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    return Registry("augmentation", AUGMENTATIONS.group, {"delete": "luthier.augment.delete:Delete"})


def test_an_installed_package_adds_its_own(installed: Registry[Augmentation]) -> None:
    assert set(installed) == {"reverse", "delete"}
    theirs = installed["reverse"].model_validate({"share": 1, "mark": "?"})
    assert augment([theirs], "abc", 0, 0, 0) == "cba?"
