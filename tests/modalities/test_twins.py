"""Two texts, each encoded as if it stood alone, and read by a network that gives a vector of each."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModel

import tiny_models
from luthier.errors import DataError, ModelError, RecipeError
from luthier.inputs import Asked, entrance
from luthier.methods import METHODS
from luthier.modalities.text import Text
from luthier.modalities.twins import Twins
from luthier.models.find import Base
from luthier.models.open import open_model
from luthier.models.twin import by_rows

ROWS = [("good film", "the very good room is not bad"), ("the phone", "bad"), ("story " * 20, "not good")]


def test_each_text_is_encoded_as_one() -> None:
    tokenizer = tiny_models.word_tokenizer()
    encoded, alone = Twins(tokenizer, 8).encode(ROWS), Text(tokenizer, 8)
    for place, name in enumerate(("first_ids", "second_ids")):
        assert encoded.columns[name] == alone.encode([row[place] for row in ROWS]).columns["input_ids"]
    assert encoded.lengths == [4 + 8, 4 + 3, 8 + 4]
    assert encoded.full_lengths == [4 + 9, 4 + 3, 22 + 4]
    assert Twins(tokenizer, 8).limit == 8
    assert Twins(tokenizer, 8).fingerprint != alone.fingerprint


def test_a_batch_has_both_texts_of_a_row() -> None:
    tokenizer = tiny_models.word_tokenizer()
    modality = Twins(tokenizer)
    batch = modality.collate(modality.encode(ROWS).columns)
    plain = tokenizer([text for row in ROWS for text in row], padding=True, return_tensors="pt")
    assert batch["input_ids"].shape[:2] == (3, 2)
    for name, value in batch.items():
        assert torch.equal(value.flatten(0, 1), plain[name])
    assert modality.unknown(modality.encode(ROWS).columns) == 0


def test_a_person_gives_two_texts() -> None:
    modality = Twins(tiny_models.word_tokenizer())
    assert modality.rows(("good", "bad")) == [("good", "bad")]
    assert modality.given(["good", "bad"]) == ("good", "bad")
    with pytest.raises(
        DataError, match=r"A model of pairs predicts two texts together, as in \(first, second\); got str"
    ):
        modality.given("good")


@pytest.mark.parametrize("family", ["bert", "bert without pooler", "roberta", "deberta", "modernbert", "llama", "gpt2"])
def test_vectors_are_means_of_the_plain_model(family: str, tmp_path: Path) -> None:
    folder = tiny_models.make(family, tmp_path)
    base = Base(str(folder), str(folder))
    opening = entrance("twins", Asked(base))
    opened = open_model(base, {}, 0, "twin")
    assert opened.new == ()
    batch = opening.modality.collate(opening.modality.encode(ROWS).columns)
    found = by_rows(opened.model.eval()(**batch).logits)
    plain = AutoModel.from_pretrained(folder).eval()
    for row, texts in zip(found, ROWS, strict=True):
        for vector, text in zip(row, texts, strict=True):
            alone = tiny_models.word_tokenizer(pad_id=1 if family == "roberta" else 0)(text, return_tensors="pt")
            hidden = plain(**{name: alone[name] for name in ("input_ids", "attention_mask")}).last_hidden_state
            assert torch.allclose(vector, hidden[0].mean(dim=0), atol=1e-5)


def test_encoders_with_decoders_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.make("t5", tmp_path)
    with pytest.raises(
        ModelError, match=r"task match makes vectors with kind: twin, which needs an encoder or a decoder, and t5"
    ):
        entrance("twins", Asked(Base(str(folder), str(folder))))


def test_words_are_no_vectors(tmp_path: Path) -> None:
    folder = tiny_models.make("bert", tmp_path)
    with pytest.raises(RecipeError) as refused:
        entrance("twins", Asked(Base(str(folder), str(folder)), methods=[METHODS["cloze"]()]))
    assert str(refused.value) == "method cloze answers with words, and this network with a vector of each text."
