"""What rows are made into a network's input by, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

import perceiving
from luthier.errors import ModelError, RecipeError
from luthier.inputs import Asked, entrance
from luthier.methods import METHODS
from luthier.models.find import find


@pytest.mark.parametrize("limit", [2, 3.5, 30.5])
def test_tokens_and_pixels_are_counted_in_whole_numbers(limit: float, tiny_bert: Path) -> None:
    with pytest.raises(RecipeError, match=rf"^data\.max_length must be a whole number from 4 here; got {limit:g}\.$"):
        entrance("text", Asked(find(str(tiny_bert)), limit=limit))


def test_a_fraction_of_a_second_is_rounded_up_for_whisper(tmp_path: Path) -> None:
    base = find(str(perceiving.network("whisper", tmp_path / "model")))
    opened = entrance("audio", Asked(base, limit=1.2))
    assert (opened.modality.limit, opened.context.positions) == (2, 100)


@pytest.mark.parametrize("medium", ["tokens", "pair", "twins", "image", "audio", "prompt"])
def test_a_method_that_answers_with_words_needs_a_text(medium: str, tiny_bert: Path) -> None:
    with pytest.raises(RecipeError, match=r"^method cloze "):
        entrance(
            medium, Asked(find(str(tiny_bert)), methods=[METHODS["cloze"].model_validate({"pattern": "{text} {mask}"})])
        )


def test_a_model_without_a_processor_is_refused(tmp_path: Path) -> None:
    folder = perceiving.network("vit", tmp_path / "model")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(ModelError, match=r"^The model '.*' cannot be used here: "):
        entrance("image", Asked(find(str(folder))))
