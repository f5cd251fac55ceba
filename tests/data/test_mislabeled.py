"""Wrong labels planted in made-up vectors are found, explained, dropped or mended; right ones are left alone."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data import mislabeled
from luthier.data.probe import linear_probe
from luthier.errors import ExtraError

NAMES = ("art", "news", "sport")


def clusters(rows: int, classes: int, seed: int, distance: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """Vectors around one centre a class, and the class of each."""
    random = np.random.default_rng(seed)
    classes_of = random.integers(classes, size=rows)
    centres = np.eye(classes, 8) * distance
    return (centres[classes_of] + random.normal(size=(rows, 8))).astype(np.float32), classes_of


def flipped(classes_of: np.ndarray, classes: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Some rows moved to another class, and which."""
    random = np.random.default_rng(seed)
    planted = random.choice(len(classes_of), count, replace=False)
    wrong = classes_of.copy()
    wrong[planted] = (wrong[planted] + random.integers(1, classes, size=count)) % classes
    return wrong, planted


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_planted_flips_are_found(classes: int, seed: int) -> None:
    vectors, true = clusters(600, classes, seed)
    wrong, planted = flipped(true, classes, 30, seed)
    found = mislabeled.find(vectors, [NAMES[label] for label in wrong])
    rows = {suspect.index for suspect in found.suspects}
    hits = rows & set(planted.tolist())
    assert len(hits) / 30 > 0.75  # how many there are is an estimate
    assert len(hits) / len(rows) > 0.9
    assert all(one.likely == NAMES[true[one.index]] for one in found.suspects if one.index in hits)
    assert all(one.given == NAMES[wrong[one.index]] != one.likely for one in found.suspects)
    assert {one.index for one in found.suspects[:20]} <= hits
    qualities = [suspect.quality for suspect in found.suspects]
    assert qualities == sorted(qualities)
    assert found.judged == found.rows == 600
    share = f"{len(rows) / 600:.1%}"
    assert found.sentence == f"{len(rows)} of 600 training rows ({share}) look mislabelled."


def test_right_labels_are_left_alone() -> None:
    vectors, true = clusters(400, 2, seed=5, distance=12.0)
    found = mislabeled.find(vectors, true.tolist())
    assert found.suspects == ()
    assert found.sentence == "None of 400 training rows looks mislabelled."


def by_cleanlab(vectors: np.ndarray, targets: np.ndarray, seed: int) -> np.ndarray:
    """Probabilities of each label by itself, by scikit-learn alone, (rows, labels)."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    columns = [
        cross_val_predict(linear_probe(), vectors, column, cv=folds, method="predict_proba")[:, 1]
        for column in targets.T
    ]
    return np.stack(columns, axis=1)


def test_one_label_a_row_as_cleanlab_does_it() -> None:
    from cleanlab.filter import find_label_issues
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    vectors, true = clusters(300, 3, seed=1, distance=2.0)
    wrong, _ = flipped(true, 3, 20, seed=1)
    folds = StratifiedKFold(5, shuffle=True, random_state=7)
    probabilities = cross_val_predict(linear_probe(), vectors, wrong, cv=folds, method="predict_proba")
    expected = find_label_issues(
        wrong, probabilities, filter_by="both", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    found = mislabeled.find(vectors, [NAMES[label] for label in wrong], seed=7)
    assert len(expected) > 10
    assert [suspect.index for suspect in found.suspects] == expected.tolist()
    for suspect in found.suspects:
        assert suspect.probability == pytest.approx(probabilities[suspect.index].max())
        assert suspect.quality == pytest.approx(probabilities[suspect.index, wrong[suspect.index]])


def test_several_labels_a_row_as_cleanlab_does_it() -> None:
    from cleanlab.multilabel_classification.filter import find_multilabel_issues_per_class

    random = np.random.default_rng(3)
    true = random.random((400, 3)) < 0.4
    vectors = (true @ np.eye(3, 8) * 3 + random.normal(size=(400, 8))).astype(np.float32)
    planted = random.choice(400, 20, replace=False)
    targets = true.copy()
    targets[planted, random.integers(3, size=20)] ^= True
    labels = [[name for name, there in zip(NAMES, row, strict=True) if there] for row in targets]
    probabilities = by_cleanlab(vectors, targets, seed=0)
    numbers = [np.flatnonzero(row).tolist() for row in targets]
    expected = np.array(find_multilabel_issues_per_class(numbers, probabilities, filter_by="both", n_jobs=1))
    found = mislabeled.find(vectors, labels)
    assert sorted(one.index for one in found.suspects) == np.flatnonzero(expected.any(axis=1)).tolist()
    for one in found.suspects:
        likely = {NAMES[place] for place in np.flatnonzero(targets[one.index] ^ expected[one.index])}
        assert set(one.likely) == likely
    assert len(set(planted) & {one.index for one in found.suspects}) > 12
    missing = next(one for one in found.suspects if len(one.likely) == len(one.given) + 1)
    new = set(missing.likely) - set(missing.given)
    assert f"{new.pop()!r} seems missing (probability 0." in missing.reason


def test_neighbours_are_the_nearest_by_cosine() -> None:
    vectors, true = clusters(200, 2, seed=2)
    wrong, _ = flipped(true, 2, 10, seed=2)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = np.arange(1000, 1200)
    found = mislabeled.find(vectors, wrong.tolist(), numbers=numbers)
    assert len(found.suspects) > 5
    for suspect in found.suspects:
        order = np.argsort(-(unit @ unit[suspect.index]), kind="stable")
        nearest = [row for row in order if row != suspect.index][:3]
        assert [one.row for one in suspect.neighbours] == [row + 1001 for row in nearest]
        assert [one.label for one in suspect.neighbours] == [wrong[row] for row in nearest]
        assert suspect.row == suspect.index + 1001
        agree = sum(one.label == suspect.likely for one in suspect.neighbours)
        assert suspect.reason == (
            f"Labelled {suspect.given!r}, looks like {suspect.likely!r}: probability {suspect.probability:.2f} against "
            f"{suspect.quality:.2f}; {agree} of the 3 nearest rows {'is' if agree == 1 else 'are'} so labelled."
        )


def test_copies_do_not_speak_for_each_other() -> None:
    random = np.random.default_rng(0)
    true = random.integers(2, size=60)
    once = np.concatenate(
        [(true[:, None] * 2 - 1) * 1.5 + random.normal(size=(60, 1)), random.normal(size=(60, 99)) * 3], 1
    )
    wrong, planted = flipped(true, 2, 6, seed=0)
    vectors, labels = np.repeat(once, 5, axis=0), np.repeat(wrong, 5).tolist()
    copies = [f"text {row}" for row in np.repeat(np.arange(60), 5)]
    apart, together = mislabeled.find(vectors, labels), mislabeled.find(vectors, labels, groups=copies)
    reached = [{one.index // 5 for one in found.suspects} & set(planted.tolist()) for found in (apart, together)]
    assert len(reached[0]) <= 1
    assert len(reached[1]) >= 3


def test_rare_labels_are_not_judged() -> None:
    vectors, true = clusters(200, 2, seed=4)
    labels = [NAMES[label] for label in true]
    labels[:4], labels[4:6] = ["rare"] * 4, ["odd"] * 2
    found = mislabeled.find(vectors, labels)
    assert found.judged == 194
    assert not {one.index for one in found.suspects} & set(range(6))
    assert found.notes == (
        "Not judged: 6 rows with the labels 'odd', 'rare'; that takes 5 rows with a label and 5 without it, copies counted once.",
    )


def test_copies_of_a_rare_label_count_once() -> None:
    vectors, true = clusters(200, 2, seed=4)
    labels = [NAMES[label] for label in true]
    labels[:9] = ["rare"] * 9
    found = mislabeled.find(
        vectors, labels, groups=[min(row, 8) if row > 4 else 0 for row in range(9)] + list(range(9, 200))
    )
    assert found.judged == 191 + 9
    found = mislabeled.find(vectors, labels, groups=[row // 3 for row in range(9)] + list(range(9, 200)))
    assert found.judged == 191


@pytest.mark.parametrize("labels", [["one"] * 30, ["one"] * 26 + ["two"] * 4])
def test_nothing_to_compare_with(labels: list[str]) -> None:
    found = mislabeled.find(np.ones((30, 4), dtype=np.float32), labels)
    assert (found.suspects, found.judged) == ((), 0)
    assert found.sentence == "Nothing can be said about the labels of 30 training rows."


def test_several_labels_too_rare() -> None:
    vectors, true = clusters(100, 2, seed=1)
    labels = [["news"] if label else [] for label in true]
    labels[3] = ["news", "odd"]
    found = mislabeled.find(vectors, labels)
    assert found.judged == 100
    assert found.notes == (
        "Not judged: the label 'odd'; that takes 5 rows with a label and 5 without it, copies counted once.",
    )


def test_the_same_again_and_as_json() -> None:
    vectors, true = clusters(200, 3, seed=9, distance=2.0)
    wrong, _ = flipped(true, 3, 10, seed=9)
    labels = [NAMES[label] for label in wrong]
    first, second = mislabeled.find(vectors, labels), mislabeled.find(vectors, labels)
    assert first == second
    read = json.loads(json.dumps(first.facts))
    assert read["sentence"] == first.sentence
    assert [one["row"] for one in read["suspects"]] == [one.row for one in first.suspects]
    assert set(read["suspects"][0]["neighbours"][0]) == {"row", "label"}


def suspects(count: int) -> list[mislabeled.Suspect]:
    """Every second row, from the last one on."""
    return [mislabeled.Suspect(2 * n, 2 * n + 11, "a", "b", 0.9, 0.1, (), f"why {n}") for n in reversed(range(count))]


@pytest.mark.parametrize(
    ("how", "kept", "labels"),
    [
        ("report", [0, 1, 2, 3, 4], ["a", "x", "a", "x", "x"]),
        ("drop", [1, 3, 4], ["x", "x", "x"]),
        ("fix", [0, 1, 2, 3, 4], ["b", "x", "b", "x", "x"]),
    ],
)
def test_what_is_done_with_suspects(how: Any, kept: list[int], labels: list[str]) -> None:
    given = ["a", "x", "a", "x", "x"]
    treated = mislabeled.treat(suspects(2), given, how)
    assert given == ["a", "x", "a", "x", "x"]
    assert treated.kept.tolist() == kept
    assert treated.labels == labels


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 20), st.integers(0, 20))
def test_every_row_is_kept_or_dropped(count: int, more: int) -> None:
    labels = ["a"] * (2 * count + more)
    treated = mislabeled.treat(suspects(count), labels, "drop")
    assert sorted([*treated.kept.tolist(), *(one.index for one in suspects(count))]) == list(range(len(labels)))


def test_without_cleanlab(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cleanlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    with pytest.raises(ExtraError) as missing:
        mislabeled.find(np.ones((10, 2)), ["a", "b"] * 5)
    assert "pip install 'luthier[clean]'" in str(missing.value)
