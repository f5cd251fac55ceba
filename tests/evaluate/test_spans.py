from __future__ import annotations

import random
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval import metrics as seqeval
from sklearn import metrics as sklearn

from luthier.errors import DataError, DivergedError
from luthier.evaluate.bootstrap import draw, percentiles
from luthier.evaluate.spans import SpanJudge, answers
from luthier.tasks.tagging_schemes import Tagset

SPANS = Tagset(("LOC", "ORG", "PER"), alone=False)
ALONE = Tagset(("ADJ", "NOUN", "VERB"), alone=True)
Rows = list[np.ndarray]


def tag_rows(tags: Tagset) -> st.SearchStrategy[tuple[Rows, Rows]]:
    """Truth and answers."""
    number = st.integers(0, len(tags.names) - 1)
    row = st.lists(st.tuples(number, number), max_size=8)
    rows = st.lists(row, min_size=1, max_size=6)
    return rows.map(
        lambda rows: tuple([np.array([pair[side] for pair in row], dtype=int) for row in rows] for side in (0, 1))
    )  # type: ignore[arg-type,return-value]


def drawn(tags: Tagset, rows: int, wrong: float = 0.2, seed: int = 0) -> tuple[Rows, Rows]:
    generator = np.random.default_rng(seed)
    truth = [generator.integers(len(tags.names), size=generator.integers(1, 40)) for _ in range(rows)]
    mistaken = [
        np.where(generator.random(len(row)) < wrong, generator.integers(len(tags.names), size=len(row)), row)
        for row in truth
    ]
    return truth, mistaken


def scores(tags: Tagset, rows: Rows) -> Rows:
    """Probabilities whose largest is that of the answer; -1 is a word that was cut off."""
    generator = np.random.default_rng(0)
    made = []
    for row in rows:
        one = generator.random((len(row), len(tags.names))).astype(np.float32)
        one[np.arange(len(row)), row] += 1
        one[row < 0] = 0
        made.append(one)
    return made


def named(tags: Tagset, rows: Rows) -> list[list[str]]:
    return [[[*tags.names, "O"][tag] for tag in row] for row in rows]


def reference(tags: Tagset, truth: Rows, given: Rows) -> dict[str, float]:
    true, said = named(tags, truth), named(tags, given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        macro = (
            seqeval.f1_score(true, said, average="macro")
            if any(tag != "O" for row in (*true, *said) for tag in row)
            else 0.0
        )
        found = {
            "f1": seqeval.f1_score(true, said),
            "precision": seqeval.precision_score(true, said),
            "recall": seqeval.recall_score(true, said),
            "f1_macro": macro,
        }
    flat = [[tag for row in rows for tag in row] for rows in (true, said)]
    return found | {"accuracy": sklearn.accuracy_score(*flat) if flat[0] else 0.0}


@given(tag_rows(SPANS))
def test_figures_of_spans_are_those_of_seqeval(rows: tuple[Rows, Rows]) -> None:
    truth, said = rows
    assert SpanJudge(SPANS).metrics(truth, scores(SPANS, said)) == pytest.approx(reference(SPANS, truth, said))


@given(tag_rows(ALONE))
def test_figures_of_words_are_those_of_scikit_learn(rows: tuple[Rows, Rows]) -> None:
    truth, said = rows
    flat = np.concatenate(truth), np.concatenate(said)
    if not len(flat[0]):
        return
    expected = {
        "accuracy": sklearn.accuracy_score(*flat),
        "f1_macro": sklearn.f1_score(*flat, average="macro", zero_division=0),
    }
    assert SpanJudge(ALONE).metrics(truth, scores(ALONE, said)) == pytest.approx(expected)


def test_words_that_were_cut_off_are_missed() -> None:
    truth = [np.array([5, 6, 0, 1, 2]), np.array([3, 0])]
    whole = SpanJudge(SPANS).metrics(truth, scores(SPANS, truth))
    assert set(whole.values()) == {1.0}
    cut = [np.array([5, 6, 0, -1, -1]), np.array([3, 0])]
    found = SpanJudge(SPANS).metrics(truth, scores(SPANS, cut))
    assert found == pytest.approx(reference(SPANS, truth, cut))
    assert (found["recall"], found["precision"], found["accuracy"]) == pytest.approx((2 / 3, 1, 5 / 7))
    alone = SpanJudge(ALONE).metrics([np.array([0, 0, 1])], scores(ALONE, [np.array([0, -1, 1])]))
    assert alone["accuracy"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("tags", [SPANS, ALONE], ids=["spans", "alone"])
def test_intervals_are_those_of_measuring_each_resample(tags: Tagset) -> None:
    truth, said = drawn(tags, 40)
    judge = SpanJudge(tags)
    found = judge.intervals(truth, scores(tags, said), seed=3)
    slow: dict[str, list[float]] = {name: [] for name in judge.figures}
    for times in np.concatenate(list(draw(40, 3)))[:]:
        rows = np.repeat(np.arange(40), times.astype(int))
        one = judge.metrics([truth[row] for row in rows], scores(tags, [said[row] for row in rows]))
        for name, value in one.items():
            slow[name].append(value)
    assert found.keys() == slow.keys()
    for name, values in slow.items():
        assert found[name] == pytest.approx(percentiles(np.array(values)))


def test_each_type_is_that_of_seqeval() -> None:
    truth, said = drawn(SPANS, 50)
    report: Any = seqeval.classification_report(named(SPANS, truth), named(SPANS, said), output_dict=True)
    for one in SpanJudge(SPANS).sections(truth, scores(SPANS, said))["classes"]:
        expected = report[one["label"]]
        assert one["rows"] == expected["support"]
        for ours, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert one[ours] == pytest.approx(expected[theirs])


def test_the_rows_with_the_most_wrong_entities_come_first() -> None:
    truth = [np.array([1, 2, 0]), np.array([1, 0, 3]), np.array([0]), np.array([], dtype=int)]
    said = [np.array([1, 2, 0]), np.array([1, 2, 5]), np.array([1]), np.array([], dtype=int)]
    errors = SpanJudge(SPANS).errors(truth, scores(SPANS, said))
    assert errors.sizes.tolist() == [0, 4, 1, 0]
    assert errors.graded
    assert errors.shown.format(errors.sizes[1]) == "4"


def test_baselines() -> None:
    truth = [np.array([1, 2, 0, 0]), np.array([0, 0])]
    nothing = SpanJudge(SPANS).baseline(truth, {"rows": 10, "labels": {"LOC": 4, "ORG": 3, "PER": 3}})
    assert (nothing.name, nothing.answer) == ("no entities", "no entity")
    assert nothing.figures == pytest.approx({"f1": 0, "precision": 0, "recall": 0, "f1_macro": 0, "accuracy": 4 / 6})
    most = SpanJudge(ALONE).baseline([np.array([1, 1, 0])], {"rows": 10, "labels": {"NOUN": 30, "VERB": 20}})
    assert (most.name, most.answer) == ("most frequent tag", "“NOUN”")
    assert most.figures == pytest.approx({"accuracy": 2 / 3, "f1_macro": 0.8 / 2})


def test_what_picks_the_best_epoch() -> None:
    assert (SpanJudge(SPANS).monitor, SpanJudge(ALONE).monitor) == ("f1", "accuracy")
    assert not any(SpanJudge(SPANS).lower_is_better(name) for name in SpanJudge(SPANS).figures)


def test_what_cannot_be_measured() -> None:
    judge = SpanJudge(SPANS)
    with pytest.raises(DataError, match=r"^there are no rows to measure; expected at least one row with a label\.$"):
        judge.metrics([], [])
    broken = scores(SPANS, [np.array([1, 2]), np.array([0])])
    broken[0][1, 1] = np.nan
    for measure in (judge.metrics, judge.intervals):
        with pytest.raises(
            DivergedError, match=r"^the model's output is not a number for 1 of 2 rows: training has diverged"
        ):
            measure([np.array([1, 2]), np.array([0])], broken)


def test_rows_of_no_words_are_answered_with_nothing() -> None:
    assert [row.tolist() for row in answers([np.zeros((0, 3)), np.eye(3), np.zeros((0, 3))])] == [[], [0, 1, 2], []]
    assert [row.tolist() for row in answers([np.zeros((0, 3))])] == [[]]


def test_the_order_of_rows_does_not_matter() -> None:
    truth, said = drawn(SPANS, 60)
    order = random.Random(0).sample(range(60), 60)
    judge = SpanJudge(SPANS)
    mixed = judge.metrics([truth[row] for row in order], scores(SPANS, [said[row] for row in order]))
    assert mixed == pytest.approx(judge.metrics(truth, scores(SPANS, said)))


def test_ten_thousand_sentences_take_seconds() -> None:
    truth, said = drawn(SPANS, 10_000)
    given = scores(SPANS, said)
    begun = time.process_time()
    SpanJudge(SPANS).metrics(truth, given)
    SpanJudge(SPANS).intervals(truth, given)
    assert time.process_time() - begun < 10  # 0.4 s on an idle machine
