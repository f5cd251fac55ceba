"""The linear model of counted words against scikit-learn's own, and on rows where it must succeed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.multiclass import OneVsRestClassifier

from luthier.evaluate.text_baseline import STRENGTHS, Features, oppose
from luthier.tasks.classify import Classes, Classify
from luthier.tasks.generate import Generate
from luthier.tasks.regress import Regress

WORDS = [f"w{place}" for place in range(60)]


def texts(rows: int, seed: int) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, size=8)) for _ in range(rows)]


def parts(label, seed: int = 0) -> tuple[dict, dict]:
    """Texts and labels of three splits."""
    sizes = {"train": 150, "validation": 60, "test": 60}
    rows = {name: texts(size, 10 * seed + place) for place, (name, size) in enumerate(sizes.items())}
    return {name: [one] for name, one in rows.items()}, {
        name: [label(text) for text in one] for name, one in rows.items()
    }


def noisy(text: str) -> str:
    return (
        "yes"
        if ("w1" in text.split() or "w2" in text.split() or "w3" in text.split()) != (len(text) % 11 == 0)
        else "no"
    )


@pytest.mark.parametrize("seed", range(5))
def test_it_is_scikit_learns_with_the_strength_that_validation_chose(seed: int) -> None:
    columns, labels = parts(noisy, seed)
    target = Classify().learn(labels["train"])
    encoded = {name: target.encode(one) for name, one in labels.items()}
    found = oppose(target, columns, encoded, "f1_macro")
    counter = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b").fit(
        columns["train"][0]
    )
    table = {name: counter.transform(one[0]) for name, one in columns.items()}
    fits = [
        LogisticRegression(C=1 / strength, max_iter=1000).fit(table["train"], encoded["train"])
        for strength in STRENGTHS
    ]
    by = [f1_score(encoded["validation"], one.predict(table["validation"]), average="macro") for one in fits]
    best = int(np.argmax(by))
    assert found.scores["test"] == pytest.approx(fits[best].predict_proba(table["test"]), abs=1e-5)
    assert found.what == f"words and pairs of words, regularisation {STRENGTHS[best]:g}, chosen on the validation rows"
    assert found.parameters == table["train"].shape[1] + 1
    assert set(found.scores) == {"validation", "test"}


def test_test_labels_choose_nothing() -> None:
    columns, labels = parts(noisy)
    target = Classify().learn(labels["train"])
    encoded = {name: target.encode(one) for name, one in labels.items()}
    turned = encoded | {"test": 1 - encoded["test"]}
    one, other = (oppose(target, columns, each, "f1_macro") for each in (encoded, turned))
    assert one.what == other.what
    assert (one.scores["test"] == other.scores["test"]).all()


def test_without_validation_rows_nothing_is_chosen() -> None:
    columns, labels = parts(noisy)
    target = Classify().learn(labels["train"])
    rows = {name: columns[name] for name in ("train", "test")}
    found = oppose(target, rows, {name: target.encode(labels[name]) for name in rows}, "f1_macro")
    assert found.what == "words and pairs of words, regularisation 1"


def test_several_labels_have_a_regression_each() -> None:
    columns, labels = parts(lambda text: [word for word in ("w1", "w2") if word in text.split()] or ["none"])
    target = Classify().learn(labels["train"])
    encoded = {name: target.encode(one) for name, one in labels.items()}
    features = Features(columns["train"])
    found = target.linear(features(columns["train"]), encoded["train"], 0.5)
    reference = OneVsRestClassifier(LogisticRegression(C=2, max_iter=1000)).fit(
        features(columns["train"]), encoded["train"]
    )
    assert found.scores(features(columns["test"])) == pytest.approx(
        reference.predict_proba(features(columns["test"])), abs=1e-5
    )
    assert found.parameters == 3 * (features(columns["test"]).shape[1] + 1)


def test_weights_of_classes_are_those_of_the_loss() -> None:
    columns, labels = parts(noisy)
    weighted = Classes(("no", "yes"), multilabel=False, weights=(1.0, 5.0))
    features = Features(columns["train"])(columns["train"])
    encoded = weighted.encode(labels["train"])
    reference = LogisticRegression(max_iter=1000, class_weight={0: 1.0, 1: 5.0}).fit(features, encoded)
    assert weighted.linear(features, encoded, 1.0).scores(features) == pytest.approx(
        reference.predict_proba(features), abs=1e-5
    )


def test_a_class_that_is_not_among_the_rows_has_no_probability() -> None:
    target = Classes(("a", "b", "c"), multilabel=False)
    features = Features([texts(40, 0)])([texts(40, 0)])
    found = target.linear(features, np.array([0, 2] * 20), 1.0).scores(features)
    assert found.shape == (40, 3)
    assert (found[:, 1] == 0).all()


def test_numbers_have_a_ridge_regression() -> None:
    columns, labels = parts(lambda text: float(text.split().count("w1") + len(text)))
    target = Regress().learn(labels["train"])
    encoded = {name: target.encode(one) for name, one in labels.items()}
    features = Features(columns["train"])
    found = target.linear(features(columns["train"]), encoded["train"], 0.1).scores(features(columns["test"]))
    reference = Ridge(alpha=0.1).fit(features(columns["train"]), encoded["train"]).predict(features(columns["test"]))
    assert found == pytest.approx(reference.reshape(-1, 1))


def test_chinese_is_counted_by_characters() -> None:
    good, bad = "房间很干净服务也不错", "早餐太差了隔音也不好"
    features = Features([[good, bad] * 5])
    assert features.characters
    assert features.told == "pieces of 1 to 3 characters"
    assert {"干净", "太差了"} <= set(features.counter.get_feature_names_out())


def test_pairs_that_share_words_are_seen() -> None:
    """Which words they are says nothing; that both texts have them does."""
    random = np.random.default_rng(0)
    first = texts(400, 1)
    same = random.random(400) < 0.5
    second = [
        " ".join(random.permutation(text.split())) if own else texts(1, 1000 + row)[0]
        for row, (text, own) in enumerate(zip(first, same, strict=True))
    ]
    target = Classify().learn(["same" if one else "other" for one in same])
    encoded = target.encode(["same" if one else "other" for one in same])
    columns = {"train": [first[:300], second[:300]], "test": [first[300:], second[300:]]}
    found = oppose(target, columns, {"train": encoded[:300], "test": encoded[300:]}, "accuracy")
    assert (found.scores["test"].argmax(axis=1) == encoded[300:]).mean() > 0.85


def test_a_task_without_a_linear_model_has_no_such_opponent() -> None:
    columns, _ = parts(noisy)
    target = Generate().learn(["an answer"] * 3)
    assert oppose(target, columns, {name: [None] * len(one[0]) for name, one in columns.items()}, "perplexity") is None
