from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

import tiny_models
from luthier.errors import RecipeError
from luthier.modalities import FIRST_VIRTUAL
from luthier.modalities.template import parse, surroundings
from luthier.modalities.text import Text

TEXTS = ["very good", "the battery is bad", "great"]


def words() -> PreTrainedTokenizerBase:
    return tiny_models.word_tokenizer(mask_token="[MASK]")


def byte_pairs() -> PreTrainedTokenizerBase:
    """As GPT-2 and RoBERTa: a word with a space before it is another token than one without."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [f"{word} {word}, ({word}" for word in (*tiny_models.WORDS, "Review", "It", "was", "all")] * 3
    special = ["<s>", "<pad>", "</s>", "<mask>"]
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<pad>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    # RoBERTa's mask takes the space before it
    fast.add_special_tokens({"mask_token": _stripping("<mask>")})
    return fast


def _stripping(token: str) -> object:
    from tokenizers import AddedToken

    return AddedToken(token, lstrip=True, special=True)


def rows(tokenizer: PreTrainedTokenizerBase, pattern: str) -> list[list[int]]:
    return [
        list(row)
        for row in Text(tokenizer, 64, None, parse(pattern).template(tokenizer)).encode(TEXTS).columns["input_ids"]
    ]


def whole(tokenizer: PreTrainedTokenizerBase, pattern: str) -> list[list[int]]:
    """The pattern filled in first and tokenised at once."""
    filled = [pattern.format(text=text, mask=tokenizer.mask_token) for text in TEXTS]
    return [list(row) for row in tokenizer(filled)["input_ids"]]


PATTERNS = [
    "{text} It was {mask}.",
    "{mask} film: {text}",
    "Review: {text} All in all, it was {mask}",
    "{text} ({mask})",
    "the story is {mask}, {text}.",
]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("make", [words, byte_pairs])
def test_rows_are_those_of_the_filled_pattern(make: object, pattern: str) -> None:
    tokenizer = make()
    assert rows(tokenizer, pattern) == whole(tokenizer, pattern)


@pytest.mark.parametrize("pattern", [*PATTERNS, "{text}，总之很{mask}。", "评价：{mask}。{text}"])
def test_rows_of_a_real_tokenizer_are_those_of_the_filled_pattern(pattern: str, assets: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "models" / "multilingual-e5-small-zhen")
    ours, theirs = (
        [tokenizer.decode(row).replace(" ", "") for row in found]
        for found in (rows(tokenizer, pattern), whole(tokenizer, pattern))
    )
    assert ours == theirs  # its pieces may be cut otherwise where two parts meet without a space


@pytest.mark.parametrize("make", [words, byte_pairs])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_word_is_what_the_tokenizer_would_write_into_the_gap(make: object, pattern: str) -> None:
    tokenizer = make()
    for word in ("good", "bad"):
        filled = tokenizer(pattern.format(text="the phone", mask=word))["input_ids"]
        assert parse(pattern).word(tokenizer, word) == [filled[whole_gap(tokenizer, pattern)]]


def whole_gap(tokenizer: PreTrainedTokenizerBase, pattern: str) -> int:
    ids = tokenizer(pattern.format(text="the phone", mask=tokenizer.mask_token))["input_ids"]
    return int(ids.index(tokenizer.mask_token_id))


def test_a_chinese_word_in_the_gap_is_one_token(assets: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(assets / "models" / "multilingual-e5-small-zhen")
    found = [parse("{text}，总之很{mask}。").word(tokenizer, word) for word in "好差"]
    assert [tokenizer.convert_ids_to_tokens(ids) for ids in found] == [["好"], ["差"]]


def test_soft_tokens_are_numbered_from_the_left_and_lie_beyond_every_vocabulary() -> None:
    tokenizer = words()
    pattern = parse("{soft:2} {text} {soft:the film} {mask} {soft}")
    ids = tokenizer.convert_tokens_to_ids
    virtual = [FIRST_VIRTUAL + number for number in range(5)]
    template = pattern.template(tokenizer)
    assert template.before == tuple(virtual[:2])
    assert template.after == (*virtual[2:4], ids("[MASK]"), virtual[4])
    assert pattern.starts(tokenizer) == (None, None, ids("the"), ids("film"), None)


@pytest.mark.parametrize("pattern", ["{text} It was {mask}", "{text} It was", "{text} It was {mask} "])
def test_without_a_mask_token_the_row_ends_where_the_answer_follows(pattern: str) -> None:
    tokenizer = tiny_models.word_tokenizer()
    template = parse(pattern).template(tokenizer)
    assert not template.closed
    row = Text(tokenizer, 64, None, template).encode(["good"]).columns["input_ids"][0]
    assert list(row) == tokenizer("good It was")["input_ids"][:-1]


def test_what_the_tokenizer_writes_by_itself() -> None:
    assert surroundings(words()) == ([2], [3])
    bare = words()
    bare.backend_tokenizer.post_processor = None
    assert surroundings(bare) == ([], [])


@pytest.mark.parametrize(
    ("pattern", "behind"),
    [("{text} {mask}", True), ("{mask} {text}", False), ("{text}", True), ("a {mask} b {text}", False)],
)
def test_which_side_of_the_text_the_gap_is_on(pattern: str, behind: bool) -> None:
    assert parse(pattern).answer_behind == behind


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("It was {mask}", "{text} once, where each row's text stands"),
        ("{text} {text} {mask}", "{text} once, where each row's text stands"),
        ("{text} {mask} {mask}", "{mask} once, where the answer stands"),
        ("{text} {label}", "only {text}, {mask}, {soft}, {soft:5} and {soft:some words} in braces"),
        ("{text} {mask:2}", "only {text}, {mask}, {soft}, {soft:5} and {soft:some words} in braces"),
        ("{text} {", "only {text}, {mask}, {soft}, {soft:5} and {soft:some words} in braces"),
        ("{text} {soft:0}", "a number or words in {soft:...}"),
        ("{text} {soft: }", "a number or words in {soft:...}"),
    ],
)
def test_patterns_that_mean_nothing(pattern: str, expected: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(pattern)
    assert str(refused.value) == expected


def test_a_masked_tokenizer_needs_a_gap() -> None:
    with pytest.raises(RecipeError) as refused:
        parse("{text} It was").template(words())
    assert str(refused.value) == (
        "method cloze: the template has no {mask}, the place of the word that this model is to predict."
    )


@pytest.mark.parametrize("pattern", ["{text} It was {mask}.", "{mask} {text}", "{text} {mask} {soft}"])
def test_without_a_mask_token_the_gap_must_be_last(pattern: str) -> None:
    with pytest.raises(RecipeError) as refused:
        parse(pattern).template(tiny_models.word_tokenizer())
    assert str(refused.value) == (
        "method cloze: this tokenizer has no mask token, so the word to predict is the one that follows: {mask} must stand "
        "last in the template, or be left out."
    )
