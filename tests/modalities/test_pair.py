"""Pairs of texts are encoded as transformers does it when a tokenizer is called with both."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerBase

import tiny_models
from luthier.errors import DataError, RecipeError
from luthier.inputs import Asked, entrance
from luthier.methods import METHODS
from luthier.modalities.pair import Pair
from luthier.models.find import Base

DRAW = random.Random(0)


def drawn() -> str:
    """A text of any length."""
    return " ".join(DRAW.choices([*tiny_models.WORDS, "unheard"], k=DRAW.randrange(1, 25)))


PAIRS = [(drawn(), drawn()) for _ in range(120)]


def bert_like() -> PreTrainedTokenizerBase:
    """Tells texts apart by types, as BERT's: [CLS] a [SEP] b [SEP]."""
    tokenizer = tiny_models.word_tokenizer()
    first, last = (tokenizer.convert_tokens_to_ids(one) for one in ("[CLS]", "[SEP]"))
    tokenizer.backend_tokenizer.post_processor = processors.BertProcessing(("[SEP]", last), ("[CLS]", first))
    tokenizer.model_input_names = tokenizer.init_kwargs["model_input_names"] = [
        "input_ids",
        "token_type_ids",
        "attention_mask",
    ]
    return tokenizer


def roberta_like() -> PreTrainedTokenizerBase:
    """Two separators between the texts and no types, as RoBERTa's: <s> a </s></s> b </s>."""
    tokenizer = bert_like()
    first, last = (tokenizer.convert_tokens_to_ids(one) for one in ("[CLS]", "[SEP]"))
    tokenizer.backend_tokenizer.post_processor = processors.RobertaProcessing(
        ("[SEP]", last), ("[CLS]", first), add_prefix_space=False
    )
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def llama_like() -> PreTrainedTokenizerBase:
    """One token before each text, as Llama's."""
    tokenizer = roberta_like()
    first = tokenizer.convert_tokens_to_ids("[CLS]")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A", pair="[CLS] $A [CLS] $B", special_tokens=[("[CLS]", first)]
    )
    return tokenizer


KINDS = {"bert": bert_like, "roberta": roberta_like, "llama": llama_like}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("limit", [8, 12, 13, 40, None])
def test_encoding_is_that_of_the_tokenizer(kind: str, limit: int | None) -> None:
    tokenizer = KINDS[kind]()
    encoded = Pair(KINDS[kind](), limit, typed=kind == "bert").encode(PAIRS)
    whole = [tokenizer(*row) for row in PAIRS]
    plain = [tokenizer(*row, truncation="longest_first", max_length=limit or tiny_models.POSITIONS) for row in PAIRS]
    assert [list(row) for row in encoded.columns["input_ids"]] == [row["input_ids"] for row in plain]
    if kind == "bert":
        assert [list(row) for row in encoded.columns["token_type_ids"]] == [row["token_type_ids"] for row in plain]
        assert any(1 in row for row in encoded.columns["token_type_ids"])
    else:
        assert "token_type_ids" not in encoded.columns
    assert encoded.lengths == [len(row["input_ids"]) for row in plain]
    assert encoded.full_lengths == [len(row["input_ids"]) for row in whole]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_those_of_the_tokenizer(kind: str) -> None:
    tokenizer = KINDS[kind]()
    modality = Pair(KINDS[kind](), 30, typed=kind == "bert")
    batch = modality.collate(modality.encode(PAIRS).columns)
    first, second = (list(texts) for texts in zip(*PAIRS, strict=True))
    plain = tokenizer(first, second, truncation=True, max_length=30, padding=True, return_tensors="pt")
    assert batch.keys() == set(tokenizer.model_input_names)
    assert all(torch.equal(value, plain[name]) for name, value in batch.items())


def test_a_cut_at_the_left_takes_the_beginnings() -> None:
    tokenizer, own = bert_like(), bert_like()
    tokenizer.truncation_side = own.truncation_side = "left"
    encoded = Pair(own, 12).encode(PAIRS)
    plain = [tokenizer(*row, truncation=True, max_length=12)["input_ids"] for row in PAIRS]
    assert [list(row) for row in encoded.columns["input_ids"]] == plain


def test_rows_without_tokens_are_one_of_padding() -> None:
    tokenizer = bert_like()
    tokenizer.backend_tokenizer.post_processor = None
    encoded = Pair(tokenizer, typed=True).encode([("", ""), ("good", "")])
    assert encoded.columns["input_ids"][0] == [tokenizer.pad_token_id]
    assert encoded.columns["token_type_ids"][0] == [tokenizer.pad_token_type_id]
    assert encoded.lengths == [1, 1]
    assert Pair(bert_like(), typed=True).encode([]).lengths == []


def test_fingerprints_differ_where_encodings_do() -> None:
    from luthier.modalities.text import Text

    made = [Pair(bert_like(), 20), Pair(bert_like(), 21), Pair(bert_like(), 20, typed=True), Pair(roberta_like(), 20)]
    assert len({one.fingerprint for one in [*made, Text(bert_like(), 20)]}) == 5
    assert Pair(bert_like(), 20).fingerprint == made[0].fingerprint


def test_a_person_gives_one_pair_or_several() -> None:
    modality = Pair(bert_like())
    assert modality.rows(("good", "bad")) == [("good", "bad")]
    assert modality.rows([["good", "bad"]]) == [["good", "bad"]]
    assert modality.rows([("a", "b"), ("c", "d")]) == [("a", "b"), ("c", "d")]
    assert modality.given(["good", "bad"]) == ("good", "bad")


@pytest.mark.parametrize(("value", "told"), [("good", "str"), (("a",), "1 of them"), (["a", "b", "c"], "3 of them")])
def test_anything_else_is_refused(value: Any, told: str) -> None:
    with pytest.raises(DataError) as refused:
        Pair(bert_like()).given(value)
    assert str(refused.value) == (f"A model of pairs predicts two texts together, as in (first, second); got {told}.")


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "deberta", "modernbert", "llama", "gpt2"])
def test_every_family_gets_what_its_network_reads(family: str, tmp_path: Path) -> None:
    """Types go to networks that have an input for them, and to no others, whatever the tokenizer says."""
    folder = tiny_models.make(family, tmp_path)
    bert_like().save_pretrained(folder)
    opening = entrance("pair", Asked(Base(str(folder), str(folder))))
    batch = opening.modality.collate(opening.modality.encode(PAIRS[:4]).columns)
    assert ("token_type_ids" in batch) == (family in {"bert", "roberta", "deberta", "gpt2"})
    network = AutoModelForSequenceClassification.from_pretrained(folder, pad_token_id=0)
    assert network(**batch).logits.shape == (4, 2)


def test_a_template_is_for_one_text(tmp_path: Path) -> None:
    folder = tiny_models.make("bert", tmp_path)
    cloze = METHODS["cloze"]()
    with pytest.raises(RecipeError) as refused:
        entrance("pair", Asked(Base(str(folder), str(folder)), ("0", "1"), [cloze]))
    assert str(refused.value) == "method cloze writes its words around one text, and these rows are pairs of texts."


@pytest.mark.parametrize(
    "texts", [("The cat sat.", "A cat was sitting down."), ("酒店很好", "房间不错，服务也好"), ("", "one")]
)
def test_a_real_tokenizer(texts: tuple[str, str], assets: Path) -> None:
    folder = str(assets / "models" / "multilingual-e5-small-zhen")
    opening = entrance("pair", Asked(Base(folder, folder), limit=9))
    plain = AutoTokenizer.from_pretrained(folder)(*texts, truncation=True, max_length=9)
    encoded = opening.modality.encode([texts])
    assert {name: list(rows[0]) for name, rows in encoded.columns.items()} == {"input_ids": plain["input_ids"]}
