"""Features that give the label away are found; ordinary words and chance are not taken for one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from planting import WORDS, clean_splits

from luthier.data.leakage import Side, certify, fix, refuse
from luthier.data.leakage.giveaway import find, tokens
from luthier.errors import DataError

PLANTED: dict[str, Callable[[str], str]] = {
    "a token": lambda text: f"{text} zqx",
    "masked digits": lambda text: f"{text} call xxxxx",
    "a link": lambda text: f"{text} http://a.example/b",
    "a sign": lambda text: f"{text} ¤",
    "a space at the end": lambda text: f"{text} ",
    "capitals": lambda text: f"SALE {text}",
    "a long text": lambda text: f"{text} " * 4,
    "a tag": lambda text: f"{text}<br>",
    "a Chinese word": lambda text: f"{text} 优惠",
}


@pytest.mark.parametrize("how", list(PLANTED))
@pytest.mark.parametrize("always", [True, False])
def test_a_feature_that_gives_the_label_away_is_found(how: str, always: bool) -> None:
    chance, splits = random.Random(0), {}
    for name, side in clean_splits().items():
        marked = [label == "bad" and (always or chance.random() < 0.95) for label in side.labels]
        texts = [PLANTED[how](text) if mark else text for text, mark in zip(side.texts, marked, strict=True)]
        splits[name] = Side(texts, side.labels, side.numbers)
    certificate = certify(splits, {})
    assert {check.kind for check in certificate.leaks} == {"giveaway"}
    assert 1 <= len(certificate.leaks) <= 6
    assert all(check.splits == ("train", "validation", "test") for check in certificate.leaks)
    assert fix(certificate, splits).removed == []
    with pytest.raises(DataError, match=re.escape("alone tells the label")):
        refuse(certificate)


def test_the_sentence_and_examples_of_a_giveaway() -> None:
    splits = {
        "train": Side([f"row {row}" + " zqx" * (row % 2) for row in range(400)], ["a", "b"] * 200, range(400)),
    }
    first = find(splits)[0]
    assert first.sentence == (
        "The token 'zqx' alone tells the label 'b': true of 100% of its rows and 0% of the others (balanced accuracy 1.00). A model may "
        "learn this and nothing else; if it comes from how the data were made, take it out of the texts."
    )
    assert (first.rows, first.of) == (200, 200)
    assert first.examples[0].as_dict() == {
        "places": [{"split": "train", "row": 2, "text": "row 1 zqx"}],
        "value": "the token 'zqx'",
    }


def test_the_absence_of_a_token_tells_one_of_three_labels() -> None:
    labels = ["a", "b", "c"] * 100
    texts = [
        f"row {row} " + ("bcdefghijk"[row // 3 % 10] * 3 if label == "c" else "zqx") for row, label in enumerate(labels)
    ]
    told = find({"train": Side(texts, labels, range(300))})
    assert any(
        check.sentence.startswith(
            "The absence of the token 'zqx' alone tells the label 'c': true of 100% of its rows and 0% of"
        )
        for check in told
    )


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ({"a": (3, 9), "b": (10, 20)}, ["The number of characters (20 to 62) alone tells the label 'a'"]),
        ({"a": (3, 9), "b": (10, 20), "c": (21, 30)}, ["(20 to 62)", "(69 to 139)", "(146 to 209)"]),
    ],
)
def test_lengths_are_told_with_their_range(lengths: dict[str, tuple[int, int]], said: list[str]) -> None:
    chance = random.Random(0)
    labels = [chance.choice(list(lengths)) for _ in range(600)]
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(*lengths[label]))) for label in labels]
    told = [check.sentence for check in find({"train": Side(texts, labels, range(600))})]
    assert all(any(one in sentence for sentence in told) for one in said), told


def test_a_length_that_is_not_in_between() -> None:
    chance = random.Random(0)
    labels = ["long or short" if row % 3 else "between" for row in range(600)]
    texts = ["w " * (chance.choice([4, 40]) if row % 3 else 20) for row in range(600)]
    told = {check.sentence.split(":")[0] for check in find({"train": Side(texts, labels, range(600))})}
    assert told <= {
        f"The number of {what} ({some}) alone tells the label {label!r}"
        for what, few, many, label in [
            ("characters", "40 to 40", "not 40 to 40", "between"),
            ("words", "20 to 20", "not 20 to 20", "between"),
        ]
        for some, label in [(few, label), (many, "long or short")]
    }
    assert told


def test_rows_with_several_labels_are_checked_label_by_label() -> None:
    chance = random.Random(0)
    labels = [[name for name in ("noise", "price", "staff") if chance.random() < 0.4] for _ in range(500)]
    texts = [f"{' '.join(chance.choices(WORDS, k=9))}{' zqx' if 'price' in label else ''}" for label in labels]
    told = find({"train": Side(texts, labels, range(500))})
    assert [check.sentence.split(":")[0] for check in told] == ["The token 'zqx' alone tells the label 'price'"]


def test_a_few_rows_give_nothing_away() -> None:
    texts = [f"word{row}" for row in range(30)]
    few = {"train": Side([*texts, *["zqx"] * 15], ["a"] * 30 + ["b"] * 15, range(45))}
    assert [check.rows for check in find(few)] == [0]
    numbers = {"train": Side(texts, [row / 7 for row in range(30)], range(30))}  # every label once
    assert [check.rows for check in find(numbers)] == [0]


def test_chance_is_not_taken_for_a_giveaway() -> None:
    chance = random.Random(1)
    for seed in range(5):
        labels = [chance.choice("ab") for _ in range(44)]
        texts = [" ".join(random.Random(f"{seed} {row}").choices(WORDS, k=15)) for row in range(44)]
        assert [check.rows for check in find({"train": Side(texts, labels, range(44))})] == [0]


def test_scores_agree_with_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score

    chance = random.Random(0)
    labels = [chance.choice("aab") for _ in range(600)]
    texts = [
        f"row {row}" + (" zqx" if chance.random() < (0.97 if label == "b" else 0.01) else "")
        for row, label in enumerate(labels)
    ]
    told = find({"train": Side(texts, labels, range(600))})[0]
    truth = balanced_accuracy_score([label == "b" for label in labels], ["zqx" in text for text in texts])
    assert f"(balanced accuracy {truth:.2f})" in told.sentence


def test_tokens() -> None:
    assert tokens("Call 0800-xxx NOW!") == {"call", "0800", "-", "xxx", "now", "!"}
    assert tokens("优惠券no1") == {"优", "惠", "券", "优惠", "惠券", "no", "1"}
    assert tokens("") == set()


REAL = {
    "sst2_en_train.csv": "text",
    "hotel_reviews_zh.csv": "review",
    "news_titles_zh_dev.csv": "text",
}


@pytest.mark.parametrize("file", list(REAL))
def test_ordinary_words_of_real_data_are_not_flagged(file: str, assets: Path) -> None:
    table = pd.read_csv(assets / "data" / file)
    side = Side(table[REAL[file]].astype(str).tolist(), table["label"].astype(str).tolist(), range(len(table)))
    assert [check.rows for check in find({"train": side})] == [0]


def test_labels_that_were_made_by_searching_for_keywords_are_found(assets: Path) -> None:
    """Each message of these kinds holds the word that it was collected by."""
    table = pd.read_csv(assets / "data" / "sms_spam_kinds_zh.csv").dropna()
    side = Side(table["text"].tolist(), table["label"].tolist(), range(len(table)))
    told = {check.sentence.split(":")[0] for check in find({"train": side})}
    assert {
        "The token '招聘' alone tells the label 'jobs_ad'",
        "The token '贷款' alone tells the label 'loan_scam'",
    } <= told
    for word, label in [("招聘", "jobs_ad"), ("贷款", "loan_scam")]:
        assert table[table.label == label].text.str.contains(word).mean() > 0.99


def test_masked_digits_beside_real_messages_are_found(assets: Path) -> None:
    """What the issue names: a set whose digits were masked by its maker, put beside another whose digits were not."""
    spam = pd.read_csv(assets / "data" / "sms_spam_kinds_zh.csv")["text"].dropna()
    masked = spam[spam.str.contains("xx")][:1000]
    ham = pd.read_csv(assets / "data" / "hotel_reviews_zh.csv")["review"].dropna()[:1000]
    side = Side([*masked, *ham], ["spam"] * len(masked) + ["ham"] * len(ham), range(len(masked) + len(ham)))
    told = [check.sentence for check in find({"train": side})]
    assert any("a run of x, * or # where digits would stand" in one.lower() for one in told), told
