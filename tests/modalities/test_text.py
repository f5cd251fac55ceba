from __future__ import annotations

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, ByT5Tokenizer, DataCollatorWithPadding

import tiny_models
from luthier.errors import RecipeError
from luthier.modalities.template import Template
from luthier.modalities.text import Text
from luthier.models.find import Base
from luthier.models.open import architecture, positions


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = random.Random(0)
    made = [" ".join(draw.choices([*tiny_models.WORDS, "unheard"], k=draw.randrange(1, 30))) for _ in range(200)]
    return [*made, " ".join(["film"] * 10), " ".join(["film"] * 11)]


@pytest.mark.parametrize("limit", [4, 12, 13, 40, None])
def test_encoding_is_that_of_the_tokenizer(limit: int | None, texts: list[str]) -> None:
    tokenizer = tiny_models.word_tokenizer()
    encoded = Text(tokenizer, limit).encode(texts)
    plain = tokenizer(texts, truncation=True, max_length=limit or tiny_models.POSITIONS)["input_ids"]
    assert [list(row) for row in encoded.columns["input_ids"]] == plain
    assert encoded.lengths == [len(row) for row in plain]


@pytest.mark.parametrize("limit", [4, 12, 13, 40])
def test_full_lengths_equal_encoding_everything_whole(limit: int, texts: list[str]) -> None:
    encoded = Text(tiny_models.word_tokenizer(), limit).encode(texts)
    tokenizer = tiny_models.word_tokenizer()
    assert encoded.full_lengths == [len(tokenizer(text)["input_ids"]) for text in texts]


def test_the_share_of_unknown_tokens_is_that_of_the_tokenizer(texts: list[str]) -> None:
    tokenizer = tiny_models.word_tokenizer()
    tokens = [token for text in texts for token in tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])]
    modality = Text(tokenizer)
    expected = tokens.count(tokenizer.unk_token) / len(tokens)
    assert expected > 0
    assert modality.unknown(modality.encode(texts).columns) == pytest.approx(expected)
    assert modality.unknown(modality.encode([]).columns) == 0


def test_no_rows() -> None:
    assert Text(tiny_models.word_tokenizer()).encode([]).lengths == []


def test_a_text_without_tokens_becomes_one_of_padding() -> None:
    tokenizer = tiny_models.word_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None  # as GPT-2, which adds nothing to a text
    encoded = Text(tokenizer).encode(["", "good film"])
    assert [list(row) for row in encoded.columns["input_ids"]] == [[0], tokenizer("good film")["input_ids"]]
    assert encoded.lengths == encoded.full_lengths == [1, 2]


def test_collate_is_transformers_own(texts: list[str]) -> None:
    tokenizer = tiny_models.word_tokenizer()
    modality = Text(tokenizer)
    rows = modality.encode(texts).columns["input_ids"]
    expected = DataCollatorWithPadding(tokenizer)([{"input_ids": row} for row in rows])
    found = modality.collate({"input_ids": [np.array(row, dtype=np.int32) for row in rows]})
    assert found.keys() == expected.keys() == {"input_ids", "attention_mask"}
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    ("max_length", "positions", "own", "limit"),
    [
        (None, None, 10**30, 512),
        (None, 64, 10**30, 64),
        (None, None, 128, 128),
        (None, 2048, 4096, 512),
        (1024, 2048, 4096, 1024),
        (1024, 512, 4096, 512),
        (16, 512, 512, 16),
    ],
)
def test_the_limit_is_the_least_of_what_is_asked_and_can_be_read(
    max_length: int | None, positions: int | None, own: int, limit: int
) -> None:
    tokenizer = tiny_models.word_tokenizer(model_max_length=own)
    assert Text(tokenizer, max_length, positions).limit == limit


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_models.word_tokenizer().save_pretrained(tmp_path / "one")
    return tmp_path / "one"


def fingerprint(folder: Path, limit: int = 16, **settings: Any) -> str:
    return Text(AutoTokenizer.from_pretrained(folder, **settings), limit).fingerprint


def test_the_fingerprint_is_that_of_a_copy(folder: Path) -> None:
    assert fingerprint(Path(shutil.copytree(folder, folder.parent / "two"))) == fingerprint(folder)


def test_a_saved_tokenizer_cuts_where_training_did(folder: Path) -> None:
    text = Text(AutoTokenizer.from_pretrained(folder), 8)
    text.save(str(folder.parent / "saved"))
    long = "good film " * 20
    plain = AutoTokenizer.from_pretrained(folder.parent / "saved")(long, truncation=True)["input_ids"]
    assert plain == list(text.encode([long]).columns["input_ids"][0])
    assert len(plain) == 8


def test_the_fingerprint_is_that_of_a_saved_tokenizer(folder: Path) -> None:
    text = Text(AutoTokenizer.from_pretrained(folder), 16)
    text.save(str(folder.parent / "two"))
    assert fingerprint(folder.parent / "two") == text.fingerprint


def test_the_fingerprint_does_not_depend_on_what_was_encoded_before(folder: Path) -> None:
    text = Text(AutoTokenizer.from_pretrained(folder), 16)
    before = text.fingerprint
    text.encode(["good film"])  # leaves truncation switched on in the tokenizer
    assert text.fingerprint == before
    text.encode(["good film " * 20])  # and this leaves it switched off
    assert text.fingerprint == before


def test_the_fingerprint_changes_with_whatever_changes_ids(folder: Path) -> None:
    found = {fingerprint(folder), fingerprint(folder, limit=17)}
    found.add(fingerprint(folder, truncation_side="left"))
    file = folder / "tokenizer.json"
    rules = file.read_text()
    file.write_text(rules.replace('"film": 9', '"movie": 9'))
    assert file.read_text() != rules
    found.add(fingerprint(folder))
    file.write_text(rules.replace('"type": "Whitespace"', '"type": "WhitespaceSplit"'))
    assert file.read_text() != rules
    found.add(fingerprint(folder))
    assert len(found) == 5


def test_a_tokenizer_in_python_works_too() -> None:
    tokenizer = ByT5Tokenizer()
    text = Text(tokenizer, 8)
    encoded = text.encode(["abc", "abcdefghijkl"])
    assert [list(row) for row in encoded.columns["input_ids"]] == tokenizer(
        ["abc", "abcdefghijkl"], truncation=True, max_length=8
    )["input_ids"]
    assert encoded.full_lengths == [4, 13]
    assert text.fingerprint == Text(ByT5Tokenizer(), 8).fingerprint != Text(ByT5Tokenizer(extra_ids=3), 8).fingerprint


@pytest.mark.parametrize("family", tiny_models.FAMILIES)
def test_a_row_at_the_limit_can_be_read(family: str, tmp_path: Path) -> None:
    folder = tiny_models.make(family, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=10**30)
    text = Text(tokenizer, None, positions(architecture(Base("base", str(folder)))))
    encoded = text.encode(["film " * 1000])
    assert encoded.lengths == [text.limit] != encoded.full_lengths
    # RoBERTa counts positions from the one behind its padding token
    assert text.limit == tiny_models.POSITIONS - (2 if family == "roberta" else 0)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        assert model(**text.collate(encoded.columns)).logits.isfinite().all()


def test_real_texts(assets: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "models" / "multilingual-e5-small-zhen")
    lines = (assets / "data" / "hotel_reviews_zh.csv").read_text(encoding="utf-8").splitlines()[1:300]
    encoded = Text(tokenizer, 64).encode(lines)
    assert [list(row) for row in encoded.columns["input_ids"]] == tokenizer(lines, truncation=True, max_length=64)[
        "input_ids"
    ]
    assert encoded.full_lengths == [len(row) for row in tokenizer(lines)["input_ids"]]
    assert max(encoded.full_lengths) > 64


TEMPLATE = Template(before=(9, 8), after=(4,))


def test_only_the_text_is_cut_where_there_is_a_template() -> None:
    tokenizer = tiny_models.word_tokenizer()
    encoded = Text(tokenizer, 8, None, TEMPLATE).encode(["good film", "the phone is very bad", ""])
    good, film, the, phone, is_ = tokenizer.convert_tokens_to_ids(["good", "film", "the", "phone", "is"])
    assert [list(row) for row in encoded.columns["input_ids"]] == [
        [2, 9, 8, good, film, 4, 3],
        [2, 9, 8, the, phone, is_, 4, 3],
        [2, 9, 8, 4, 3],
    ]
    assert (encoded.lengths, encoded.full_lengths) == ([7, 8, 5], [7, 10, 5])


def test_the_fingerprint_knows_the_template() -> None:
    tokenizer = tiny_models.word_tokenizer()
    templates = (None, TEMPLATE, replace(TEMPLATE, spaced=True), replace(TEMPLATE, closed=False), Template((), (4,)))
    assert len({Text(tokenizer, 16, None, one).fingerprint for one in templates}) == len(templates)
    assert Text(tokenizer, 16, None, TEMPLATE).fingerprint == Text(tokenizer, 16, None, TEMPLATE).fingerprint


def test_a_template_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        Text(tiny_models.word_tokenizer(), 5, None, TEMPLATE)
    assert str(refused.value) == (
        "The template takes 5 tokens, and a row has 5 at most: nothing of the text would be left. Shorten the template, or raise "
        "data.max_length."
    )
