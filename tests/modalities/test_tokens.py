from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, ByT5Tokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

import tiny_models
from luthier.data.conll import batches
from luthier.data.encoding import Encoding
from luthier.errors import RecipeError
from luthier.modalities.text import Text
from luthier.modalities.tokens import Tokens
from luthier.objectives.tokens import CUT

SENTENCES = [
    ["the", "film", "is", "unheard", "of"],
    ["good"],
    ["very bad", "phone", "not  good"],  # words with spaces in them
    ["room"] * 20,
]


def columns(modality: Tokens, rows: list[list[str]]) -> tuple[list[list[int]], list[list[int]]]:
    made = modality.encode(rows).columns
    return [list(row) for row in made["input_ids"]], [list(row) for row in made["target_places"]]


def split_reference(
    tokenizer: PreTrainedTokenizerBase, rows: list[list[str]], limit: int
) -> tuple[list[list[int]], list[list[int]]]:
    """What transformers makes of rows of words, and where it puts the first piece of each."""
    encoded = tokenizer(rows, is_split_into_words=True, truncation=True, max_length=limit)
    places = []
    for number, row in enumerate(rows):
        words = encoded.word_ids(number)
        places.append([words.index(word) if word in words else -1 for word in range(len(row))])
    return encoded["input_ids"], places


@pytest.mark.parametrize("limit", [3, 4, 6, 64])
def test_words_are_those_of_transformers_split_into_words(limit: int) -> None:
    tokenizer = tiny_models.word_tokenizer()
    assert columns(Tokens(tokenizer, limit), SENTENCES) == split_reference(tokenizer, SENTENCES, limit)


def test_lengths_are_those_before_and_after_the_cut() -> None:
    encoded = Tokens(tiny_models.word_tokenizer(), 6).encode(SENTENCES)
    assert encoded.lengths == [6, 3, 6, 6]
    assert encoded.full_lengths == [7, 3, 7, 22]
    cut = [places.count(CUT) for places in encoded.columns["target_places"]]
    assert cut == [1, 0, 0, 16]  # of `not  good` the first piece is there


def test_a_row_without_words() -> None:
    tokenizer = tiny_models.word_tokenizer()
    assert columns(Tokens(tokenizer), [[], ["good"]]) == (
        [tokenizer("")["input_ids"], tokenizer("good")["input_ids"]],
        [[], [1]],
    )
    tokenizer.backend_tokenizer.post_processor = None  # as GPT-2, which adds nothing to a text
    encoded = Tokens(tokenizer).encode([[]])
    assert (encoded.columns["input_ids"], encoded.lengths, encoded.full_lengths) == ([[0]], [1], [1])
    assert Tokens(tokenizer).encode([]).lengths == []


def test_what_is_cut_on_the_left_is_cut_there() -> None:
    tokenizer = tiny_models.word_tokenizer(truncation_side="left")
    assert columns(Tokens(tokenizer, 5), SENTENCES[:1]) == split_reference(tokenizer, SENTENCES[:1], 5)


def pieces() -> PreTrainedTokenizerBase:
    """As BERT: lower case, accents and control characters off, pieces that begin with ##."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "wash",
        "##ing",
        "##ton",
        "in",
        "new",
        "york",
        ".",
        "中",
        "国",
        "1",
        "##1",
    ]
    tokenizer = Tokenizer(models.WordPiece({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def test_pieces_of_words() -> None:
    rows = [["In", "Washington", ".", "New York"], list("中国11")]
    found = columns(Tokens(pieces(), 32), rows)
    assert found == split_reference(pieces(), rows, 32)
    assert found[1] == [[1, 2, 5, 6], [1, 2, 3, 4]]


@pytest.mark.parametrize("nothing", ["\u200b", "\u200d", "\u0301", "", " ", "\x00"])
def test_a_word_of_no_piece_gets_the_unknown_token(nothing: str) -> None:
    plain = pieces()(["in", nothing, "york"], is_split_into_words=True)
    assert 1 not in plain.word_ids()  # transformers' alignment would lose it
    assert columns(Tokens(pieces()), [["in", nothing, "york"]]) == ([[2, 7, 1, 9, 3]], [[1, 2, 3]])


def byte_pairs(prefix: bool) -> PreTrainedTokenizerBase:
    """As RoBERTa: a word behind a space is another token than one without."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        special_tokens=["<s>", "<pad>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([f"{word} {word}" for word in tiny_models.WORDS] * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")


def unigrams() -> PreTrainedTokenizerBase:
    """As SentencePiece: a mark stands for the space before a word, and one is put before the first."""
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    pieces = [(f"▁{word}", -4.0) for word in tiny_models.WORDS] + [(one, -5.0) for one in "abcdefghijklmnopqrstuvwxyz"]
    pieces += [("▁", -3.0), ("中国", -4.0), *[(one, -5.0) for one in "中国人民的"]]
    tokenizer = Tokenizer(models.Unigram([*[(one, 0.0) for one in special], *pieces], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


TOKENIZERS: dict[str, Any] = {
    "bytes": lambda: byte_pairs(prefix=False),
    "bytes with a space first": lambda: byte_pairs(prefix=True),
    "unigrams": unigrams,
    "words": tiny_models.word_tokenizer,
    "pieces": pieces,
    "bytes in Python": ByT5Tokenizer,
}
English = st.lists(st.sampled_from([*tiny_models.WORDS, "don't", "U.S.", "1998", "(", ","]), min_size=1, max_size=12)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_rows_with_spaces_are_the_ids_of_the_text(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    modality = Tokens(tokenizer, 200)

    @given(English)
    def check(words: list[str]) -> None:
        assert columns(modality, [words])[0] == [list(tokenizer(" ".join(words))["input_ids"])]

    check()


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("words", [list("中国人民 的"), ["good", "unheard", "film", "\u200b", "very bad"]])
def test_each_word_has_its_own_place(kind: str, words: list[str]) -> None:
    (ids,), (places,) = columns(Tokens(TOKENIZERS[kind](), 200), [words])
    assert len(places) == len(words) == len(set(places))
    assert places == sorted(places)
    assert 0 <= places[0] <= places[-1] < len(ids)


@pytest.mark.parametrize("kind", ["unigrams", "bytes with a space first"])
def test_characters_get_no_space_before_them(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    (ids,), (places,) = columns(Tokens(tokenizer, 200), [list("中国人民")])
    text = tokenizer.decode([one for one in ids if one not in tokenizer.all_special_ids])
    assert text == "中国人民"
    assert not any(tokenizer.convert_ids_to_tokens(ids[place]).startswith(("▁", "Ġ")) for place in places)


def test_collate_pads_places_with_what_no_place_is() -> None:
    modality = Tokens(tiny_models.word_tokenizer(), 6)
    made = modality.encode(SENTENCES).columns
    arrays = {name: [np.array(row, dtype=np.int32) for row in rows] for name, rows in made.items()}
    batch = modality.collate(arrays)
    expected = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(row) for row in made["target_places"]], batch_first=True, padding_value=-100
    )
    assert torch.equal(batch["target_places"], expected)
    text = Text(tiny_models.word_tokenizer(), 6).collate({"input_ids": made["input_ids"]})
    assert all(torch.equal(batch[name], text[name]) for name in text)
    assert batch.keys() == {"input_ids", "attention_mask", "target_places"}


def test_a_batch_of_rows_without_words() -> None:
    modality = Tokens(tiny_models.word_tokenizer())
    assert modality.collate(modality.encode([[], []]).columns)["target_places"].shape == (2, 0)


def test_fingerprint_and_the_rest_are_those_of_the_text() -> None:
    text, words = Text(tiny_models.word_tokenizer(), 16), Tokens(tiny_models.word_tokenizer(), 16)
    assert words.limit == text.limit == 16
    assert words.fingerprint == Tokens(tiny_models.word_tokenizer(), 16).fingerprint
    assert len({text.fingerprint, words.fingerprint, Tokens(tiny_models.word_tokenizer(), 17).fingerprint}) == 3
    made = words.encode(SENTENCES).columns
    assert words.unknown(made) == text.unknown({"input_ids": made["input_ids"]}) > 0


def test_a_saved_tokenizer_cuts_where_training_did(tmp_path: Path) -> None:
    modality = Tokens(tiny_models.word_tokenizer(), 8)
    modality.save(str(tmp_path))
    plain = AutoTokenizer.from_pretrained(tmp_path)(SENTENCES, is_split_into_words=True, truncation=True)["input_ids"]
    assert columns(modality, SENTENCES)[0] == plain


def test_a_limit_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        Tokens(tiny_models.word_tokenizer(), 2)
    assert str(refused.value) == (
        "data.max_length is 2, and this tokenizer writes 2 tokens of its own around each row: nothing is left for the words. Raise "
        "data.max_length."
    )


def test_real_characters(assets: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "models" / "multilingual-e5-small-zhen")
    file = assets / "data" / "resume_ner_zh_dev.bmes"
    rows = [row for batch in batches(file, Encoding("utf-8")) for row in batch.column("tokens").to_pylist()]
    modality = Tokens(tokenizer)
    encoded = modality.encode(rows)
    bare = tokenizer.convert_tokens_to_ids("▁")
    assert not any(bare in row for row in encoded.columns["input_ids"])  # with transformers' splitting every second one
    assert sum(encoded.lengths) < 1.02 * (sum(map(len, rows)) + 2 * len(rows))
    assert not any(CUT in places for places in encoded.columns["target_places"])
    known = [
        tokenizer.convert_ids_to_tokens(ids[place]) == word
        for words, ids, places in zip(rows, encoded.columns["input_ids"], encoded.columns["target_places"], strict=True)
        for word, place in zip(words, places, strict=True)
    ]
    assert np.mean(known) > 0.9  # the others are unknown to it or of another width
    words = ["EU", "rejects", "German", "call", "to", "boycott", "British", "lamb", "."]
    assert columns(modality, [words]) == split_reference(tokenizer, [words], 64)
