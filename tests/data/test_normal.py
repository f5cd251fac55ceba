"""The plain form of a text, against Unicode's own definition and what it is meant to make equal."""

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.normal import INVISIBLE, mark, normal

TEXTS = st.text(alphabet=st.characters(exclude_categories=[]), max_size=20)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Good  Film\n", "good film"),
        ("ＡＢＣ１２３", "abc123"),
        ("ｶﾞ", "ガ"),
        ("Straße", "STRASSE"),
        ("ﬁne", "FINE"),
        ("café", "cafe\u0301"),
        ("酒店　很好", "酒店 很好"),
        ("价格：１００元", "价格:100元"),
        ("\ufeff房间\u200b干净", "房间干净"),
        ("a\u00a0b", "a b"),
        ("ΣΑΣ", "σας"),
        ("①", "1"),
    ],
)
def test_texts_that_only_look_different_are_equal(one: str, other: str) -> None:
    assert normal(one) == normal(other)
    assert mark(one) == mark(other)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("好", "坏"), ("a.", "a"), ("é", "e"), ("", "0")])
def test_texts_that_differ_stay_different(one: str, other: str) -> None:
    assert normal(one) != normal(other)
    assert mark(one) != mark(other)


def test_every_character_has_one_plain_form() -> None:
    for code in range(sys.maxunicode + 1):
        plain = normal(chr(code))
        assert normal(plain) == plain, hex(code)
        assert unicodedata.is_normalized("NFKC", plain), hex(code)


@settings(max_examples=300)
@given(TEXTS)
def test_a_second_time_changes_nothing(text: str) -> None:
    plain = normal(text)
    assert normal(plain) == plain
    assert plain == " ".join(plain.split())
    assert not INVISIBLE.search(plain)


@settings(max_examples=300)
@given(TEXTS)
def test_form_and_white_space_do_not_count(text: str) -> None:
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normal(unicodedata.normalize(form, text)) == normal(text)
    assert normal(f" \t{text}\u3000") == normal(text)


@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_equal_texts_are_unicodes_compatibility_caseless_matches(one: str, other: str) -> None:
    """The Unicode Standard, section 3.13, definition D146, beside white space and invisible characters."""

    def reference(text: str) -> str:
        folded = unicodedata.normalize("NFD", INVISIBLE.sub("", text)).casefold()
        folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", folded).casefold())
        return " ".join(folded.split())

    assert (normal(one) == normal(other)) == (reference(one) == reference(other))
    assert (normal(one) == normal(one.swapcase())) == (reference(one) == reference(one.swapcase()))


def test_the_hash_has_16_bytes_and_takes_any_string() -> None:
    assert len(mark("")) == len(mark("x" * 100_000)) == len(mark("\ud800")) == 16
