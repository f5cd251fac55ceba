"""Encoded rows: content, limits, and the cache on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from transformers import AutoTokenizer

from luthier.data.encode import Rows, encode, limit_rows
from luthier.errors import DataError
from luthier.modalities import Encoded
from luthier.modalities.text import Text
from luthier.prepare import encode_all, prepare
from luthier.recipe.reading import read

TEXTS = ["the good film", "bad", "the room is very very dull and awful", "great service"]


class Counting(Text):
    """Counts how many rows it encodes."""

    encoded = 0

    def encode(self, values: Sequence[str]) -> Encoded:
        Counting.encoded += len(values)
        return super().encode(values)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    Counting.encoded = 0
    return tmp_path / "cache" / "encoded"


@pytest.fixture
def tokenizer(tiny_bert: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_bert)


def rows_of(tokenizer: Any, texts: Sequence[str] = TEXTS, limit: int = 6, fingerprint: str = "f") -> Rows:
    table = datasets.Dataset.from_dict({"text": list(texts), "other": list(range(len(texts)))})
    return encode(
        table, ["text"], np.arange(len(texts)), np.arange(len(texts)), Counting(tokenizer, limit), fingerprint
    )


def test_rows_are_those_of_the_tokenizer(tokenizer: Any) -> None:
    rows = rows_of(tokenizer)
    expected = tokenizer(TEXTS, truncation=True, max_length=6)["input_ids"]
    whole = tokenizer(TEXTS)["input_ids"]
    order = np.array([2, 0, 3])
    assert [row.tolist() for row in rows.take(order)["input_ids"]] == [expected[index] for index in order]
    assert rows.lengths.tolist() == [len(row) for row in expected]
    assert rows.full_lengths.tolist() == [len(row) for row in whole]
    assert rows.too_long(Counting(tokenizer, 6)) == {"rows": 1, "lost": len(whole[2]) - 6, "examples": [3]}


def test_kept_rows_stay_together(tokenizer: Any) -> None:
    rows = rows_of(tokenizer).keep(np.array([False, True, False, True]))
    assert len(rows) == 2
    assert rows.numbers.tolist() == rows.targets.tolist() == [1, 3]
    assert [len(row) for row in rows.take(np.array([0, 1]))["input_ids"]] == rows.lengths.tolist()
    assert rows.take(np.array([1]))["input_ids"][0].tolist() == tokenizer(TEXTS[3])["input_ids"]


def test_an_empty_split_is_possible(tokenizer: Any) -> None:
    assert len(rows_of(tokenizer, [])) == 0


def test_rows_over_the_limit_are_cut_dropped_or_refused(tokenizer: Any) -> None:
    rows, modality = rows_of(tokenizer), Counting(tokenizer, 6)
    assert limit_rows(rows, "train", "cut", modality) is rows
    assert limit_rows(rows, "train", "drop", modality).numbers.tolist() == [0, 1, 3]
    with pytest.raises(DataError) as caught:
        limit_rows(rows, "train", "error", modality)
    assert str(caught.value) == (
        "1 of 4 train rows is longer than max_length 6 (the longest has 10 tokens), such as row 3, and the recipe says too_long: "
        "error. Raise data.max_length, or write too_long: cut or drop."
    )


def test_the_second_time_nothing_is_tokenised(tokenizer: Any, tiny_bert: Path) -> None:
    first = rows_of(tokenizer)
    assert Counting.encoded == 4
    second = rows_of(AutoTokenizer.from_pretrained(tiny_bert))
    assert Counting.encoded == 4
    assert [row.tolist() for row in second.take(np.arange(4))["input_ids"]] == [
        row.tolist() for row in first.take(np.arange(4))["input_ids"]
    ]


def test_another_limit_tokenizer_or_content_is_encoded_anew(tokenizer: Any, tiny_bert: Path) -> None:
    rows_of(tokenizer)
    rows_of(tokenizer, limit=5)
    assert Counting.encoded == 8
    other = AutoTokenizer.from_pretrained(tiny_bert)
    other.add_tokens(["awful and"])
    rows_of(other)
    assert Counting.encoded == 12
    rows_of(tokenizer, fingerprint="g")
    assert Counting.encoded == 16


def test_a_changed_file_is_encoded_anew(tokenizer: Any, reviews: Path) -> None:
    def train() -> tuple[str, list[list[int]]]:
        recipe = read({"model": "x", "data": {"files": str(reviews)}}, (), {})
        prepared = prepare(recipe)
        encode_all(prepared, Counting(tokenizer), recipe.data)
        rows = prepared.rows["train"]
        return prepared.facts["fingerprint"], [row.tolist() for row in rows.take(np.arange(len(rows)))["input_ids"]]

    before = train()
    assert Counting.encoded == 120
    assert train() == before
    assert Counting.encoded == 120
    reviews.write_text(reviews.read_text().replace("film", "phone"))
    after = train()
    assert Counting.encoded == 240
    assert after[0] != before[0]
    assert after[1] != before[1]


@pytest.mark.parametrize("kept", [0, 0.3, 0.9])
def test_half_a_cache_file_is_not_used(kept: float, tokenizer: Any, own_cache: Path) -> None:
    texts = TEXTS * 2000
    expected = rows_of(tokenizer, texts).lengths.tolist()
    (file,) = own_cache.glob("*.arrow")
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[: int(len(content) * kept)])
    rows = rows_of(tokenizer, texts)
    assert rows.lengths.tolist() == expected
    assert Counting.encoded == 16000


def test_what_is_left_of_an_interrupted_encoding_is_not_used(tokenizer: Any, own_cache: Path, monkeypatch: Any) -> None:
    real = Text.encode
    calls = []

    def break_off(self: Text, values: Sequence[str]) -> Encoded:
        calls.append(len(values))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, values)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "encode", break_off)
        with pytest.raises(KeyboardInterrupt):
            rows_of(tokenizer, TEXTS * 1000)
    assert not list(own_cache.glob("*.arrow"))
    assert len(rows_of(tokenizer, TEXTS * 1000)) == 4000
