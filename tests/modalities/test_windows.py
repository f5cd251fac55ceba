"""Windows of a question and a text are those that transformers gives with `stride` and `return_overflowing_tokens`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

import passages_sample
import tiny_models
from luthier.errors import DataError, ModelError, RecipeError
from luthier.modalities.windows import BEGINS, ENDS, NULL, OWNER, SIZES, TEXT, Windows

DRAW = random.Random(0)


def drawn(words: int) -> str:
    return " ".join(DRAW.choices([*tiny_models.WORDS, "unheard"], k=words))


ROWS = [(drawn(DRAW.randrange(1, 7)), drawn(DRAW.randrange(1, 120))) for _ in range(60)]


def bert_like() -> PreTrainedTokenizerBase:
    """[CLS] question [SEP] text [SEP]."""
    tokenizer = tiny_models.word_tokenizer()
    first, last = (tokenizer.convert_tokens_to_ids(one) for one in ("[CLS]", "[SEP]"))
    tokenizer.backend_tokenizer.post_processor = processors.BertProcessing(("[SEP]", last), ("[CLS]", first))
    return tokenizer


@pytest.mark.parametrize("limit", [16, 40])
@pytest.mark.parametrize("typed", [True, False], ids=["typed", "untyped"])
def test_windows_are_those_of_transformers(limit: int, typed: bool) -> None:
    tokenizer = bert_like()
    modality = Windows(tokenizer, limit, None, typed)
    encoded = modality.encode(ROWS)
    for row, (question, text) in enumerate(ROWS):
        expected = tokenizer(
            question,
            text,
            truncation="only_second",
            max_length=limit,
            stride=(limit - 3) // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            return_token_type_ids=True,
        )
        assert joined(expected["input_ids"]) == list(encoded.columns["input_ids"][row])
        assert [len(one) for one in expected["input_ids"]] == list(encoded.columns[SIZES][row])
        if typed:
            assert joined(expected["token_type_ids"]) == list(encoded.columns["token_type_ids"][row])
        offsets = [
            (begin, end) if part == 1 else (0, 0)
            for window, places in enumerate(expected["offset_mapping"])
            for part, (begin, end) in zip(expected.sequence_ids(window), places, strict=True)
        ]
        assert offsets == list(zip(encoded.columns[BEGINS][row], encoded.columns[ENDS][row], strict=True))
        assert "".join(map(chr, encoded.columns[TEXT][row])) == text
        assert (
            encoded.lengths[row]
            == encoded.full_lengths[row]
            == len(expected["input_ids"]) * len(expected["input_ids"][0])
        )


def joined(windows: list[list[int]]) -> list[int]:
    return [one for window in windows for one in window]


def test_a_batch_has_windows_on_its_first_axis() -> None:
    modality = Windows(bert_like(), 16, None, typed=True)
    columns = modality.encode(ROWS[:7]).columns
    batch = modality.collate(columns)
    sizes = [size for row in columns[SIZES] for size in row]
    assert batch["input_ids"].shape == (len(sizes), max(sizes))
    assert batch["attention_mask"].sum(dim=1).tolist() == sizes
    assert batch[OWNER].tolist() == [row for row, own in enumerate(columns[SIZES]) for _ in own]
    assert not batch[NULL].any()
    for name in ("input_ids", "token_type_ids", BEGINS, ENDS):
        kept = [row[:size].tolist() for row, size in zip(batch[name], sizes, strict=True)]
        assert joined(kept) == joined(columns[name]), name
    padding = batch["attention_mask"] == 0
    assert (batch["input_ids"][padding] == modality.tokenizer.pad_token_id).all()
    assert not batch[ENDS][padding].any()
    assert ["".join(chr(one) for one in row if one >= 0) for row in batch[TEXT]] == [text for _, text in ROWS[:7]]


def test_every_word_of_a_text_stands_in_some_window() -> None:
    modality = Windows(bert_like(), 16)
    encoded = modality.encode(ROWS)
    for (_, text), begins, ends in zip(ROWS, encoded.columns[BEGINS], encoded.columns[ENDS], strict=True):
        seen = {text[begin:end] for begin, end in zip(begins, ends, strict=True)}
        assert set(text.split()) <= seen


def test_a_long_question_takes_half_of_a_window_and_what_it_loses_is_counted() -> None:
    tokenizer = bert_like()
    question, text = drawn(30), drawn(50)
    encoded = Windows(tokenizer, 23).encode([(question, text)])
    short = " ".join(question.split()[:10])
    assert list(encoded.columns["input_ids"][0]) == list(
        Windows(tokenizer, 23).encode([(short, text)]).columns["input_ids"][0]
    )
    assert encoded.full_lengths[0] - encoded.lengths[0] == 20


def test_an_empty_text_is_one_window_without_places() -> None:
    modality = Windows(bert_like(), 16)
    batch = modality.collate(modality.encode([("good film", ""), ("bad", "the room")]).columns)
    assert batch[OWNER].tolist() == [0, 1]
    assert not batch[ENDS][0].any()
    assert (batch[TEXT][0] == -100).all()


def test_without_rows_there_are_columns_all_the_same() -> None:
    encoded = Windows(bert_like(), 16, None, typed=True).encode([])
    assert set(encoded.columns) == {"input_ids", "token_type_ids", BEGINS, ENDS, SIZES, TEXT}
    assert not encoded.lengths


def test_what_stands_for_no_answer_is_found_where_it_is() -> None:
    last = bert_like()
    end, mark = (last.convert_tokens_to_ids(one) for one in ("[SEP]", "[CLS]"))
    last.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="$A [SEP] [CLS]", pair="$A [SEP] $B [SEP] [CLS]", special_tokens=[("[SEP]", end), ("[CLS]", mark)]
    )
    modality = Windows(last, 32)
    batch = modality.collate(modality.encode([("good film", "the room is bad"), ("bad", "the room")]).columns)
    assert batch[NULL].tolist() == [8, 5]
    without = PreTrainedTokenizerFast(tokenizer_object=bert_like().backend_tokenizer, pad_token="[PAD]")
    modality = Windows(without, 32)
    assert modality.collate(modality.encode([("good film", "the room is bad")]).columns)[NULL].tolist() == [0]


def test_places_are_characters_of_the_text_in_every_script() -> None:
    tokenizer = tiny_models.word_tokenizer()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    rows = [(asked[0][0], text) for _, text, asked in passages_sample.CHINESE] + [("谁？", "𠮷野家 👍 ok")]
    encoded = Windows(tokenizer, 24).encode(rows)
    for (_, text), begins, ends in zip(rows, encoded.columns[BEGINS], encoded.columns[ENDS], strict=True):
        assert {text[begin:end] for begin, end in zip(begins, ends, strict=True) if end} == set(text)


GIVEN: Any = {"question": "Who?", "context": "Anna."}


@pytest.mark.parametrize("value", [GIVEN, ("Who?", "Anna."), ["Who?", "Anna."]])
def test_a_row_to_predict_is_a_mapping_or_both_texts(value: Any) -> None:
    modality = Windows(bert_like(), 16)
    assert modality.given(value) == ("Who?", "Anna.")
    assert modality.rows(value) == [value]
    assert modality.rows([value, value]) == [value, value]


@pytest.mark.parametrize("value", ["Who?", {"question": "Who?"}, ("Who?",), ("Who?", None), 3])
def test_other_rows_are_refused(value: Any) -> None:
    with pytest.raises(
        DataError, match=r'reads {"question": "\.\.\.", "context": "\.\.\."}, or \(question, context\); got'
    ):
        Windows(bert_like(), 16).given(value)


def test_a_limit_without_room_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"data.max_length is 4, and this tokenizer writes 3 tokens of its own around a question"
    ):
        Windows(bert_like(), 4)


def test_a_tokenizer_without_places_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = bert_like()
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(
        ModelError, match=r"needs a tokenizer that says where each token stands.*Take a model with a tokenizer.json"
    ):
        Windows(tokenizer, 16)


def test_the_key_of_the_cache_changes_with_the_windows() -> None:
    keys = [Windows(bert_like(), *settings).fingerprint for settings in ((16,), (32,), (16, None, True))]
    assert len(set(keys)) == 3
    assert keys[0] == Windows(bert_like(), 16).fingerprint


def test_it_is_saved_as_a_plain_tokenizer(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    Windows(bert_like(), 16).save(str(tmp_path))
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again.model_max_length == 16
    assert torch.equal(
        torch.tensor(again("good film", "the room")["input_ids"]),
        torch.tensor(bert_like()("good film", "the room")["input_ids"]),
    )
    assert np.array_equal(again("bad")["input_ids"], bert_like()("bad")["input_ids"])
