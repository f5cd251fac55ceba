"""Conflicts and duplicates settled, against plain loops, with every sentence."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.conflicts import SETTLERS, Conflict, find, resolve
from luthier.data.duplicates import Groups


def groups_of(first: list[int], equal: list[int] | None = None) -> Groups:
    return Groups(np.array(first, dtype=np.int64), np.array(equal or first, dtype=np.int64))


THREE = groups_of([0, 0, 2, 0, 4], [0, 1, 2, 0, 4])
"""Rows 0, 1 and 3 are a group; 3 equals 0, 1 is only near."""


def test_conflicts_are_groups_with_different_labels() -> None:
    assert find(THREE, ["a", "b", "a", "a", "b"]) == [Conflict([0, 1, 3], ["a", "b", "a"])]
    assert find(THREE, ["a", "a", "b", "a", "b"]) == []
    assert find(groups_of([]), []) == []


def test_the_order_of_several_labels_does_not_count() -> None:
    assert find(THREE, [["a", "b"], ["b", "a"], [], ["a", "b"], []]) == []
    assert find(THREE, [["a", "b"], ["b"], [], [], []]) == [Conflict([0, 1, 3], [["a", "b"], ["b"], []])]


def test_drop_removes_all_rows_of_a_conflict() -> None:
    done = resolve(THREE, ["ham", "spam", "ham", "ham", "spam"], "drop", "report")
    assert done.kept.tolist() == [2, 4]
    assert done.changed == {}
    assert done.reasons == [
        (0, "nearly the same text as row 2, which is labelled 'spam' and this one 'ham'"),
        (1, "nearly the same text as row 1, which is labelled 'ham' and this one 'spam'"),
        (3, "nearly the same text as row 2, which is labelled 'spam' and this one 'ham'"),
    ]


def test_majority_relabels_the_others() -> None:
    done = resolve(THREE, ["ham", "spam", "ham", "ham", "spam"], "majority", "report")
    assert done.kept.tolist() == [0, 1, 2, 3, 4]
    assert done.changed == {1: "ham"}
    assert done.reasons == [
        (1, "nearly the same text as row 1, which is labelled 'ham' and this one 'spam'; 2 of 3 such rows are 'ham'")
    ]


def test_a_tie_drops_the_group() -> None:
    done = resolve(groups_of([0, 0, 2]), [1, 2, 3], "majority", "drop")
    assert done.kept.tolist() == [2]
    assert done.reasons == [
        (0, "the same text as row 2, which is labelled 2 and this one 1; no label has most of these rows"),
        (1, "the same text as row 1, which is labelled 1 and this one 2; no label has most of these rows"),
    ]


def test_keep_leaves_conflicts_and_drops_what_repeats_the_same_label() -> None:
    labels = ["ham", "spam", "ham", "ham", "spam"]
    assert resolve(THREE, labels, "keep", "report").kept.tolist() == [0, 1, 2, 3, 4]
    done = resolve(THREE, labels, "keep", "drop")
    assert done.kept.tolist() == [0, 1, 2, 4]
    assert done.reasons == [(3, "the same text as row 1")]


def test_dropped_duplicates_leave_the_first_row_with_the_settled_label() -> None:
    done = resolve(THREE, ["spam", "ham", "ham", "ham", "spam"], "majority", "drop")
    assert done.kept.tolist() == [0, 2, 4]
    assert done.changed == {0: "ham"}
    assert done.reasons == [
        (0, "nearly the same text as row 2, which is labelled 'ham' and this one 'spam'; 2 of 3 such rows are 'ham'"),
        (1, "nearly the same text as row 1"),
        (3, "the same text as row 1"),
    ]


def test_reasons_name_rows_as_the_source_numbers_them() -> None:
    done = resolve(groups_of([0, 0]), ["a", "a"], "drop", "drop", numbers=np.array([70, 99]))
    assert done.reasons == [(1, "the same text as row 71")]


def test_several_labels_vote_as_sets_and_are_named() -> None:
    done = resolve(groups_of([0, 0, 0]), [["a", "b"], ["b"], ["b", "a"]], "majority", "report")
    assert done.changed == {1: ["a", "b"]}
    assert done.reasons == [
        (1, "the same text as row 1, which is labelled 'a, b' and this one 'b'; 2 of 3 such rows are 'a, b'")
    ]


SINGLE = st.sampled_from(["a", "b", "c"])
ROWS = st.lists(st.tuples(st.integers(0, 5), SINGLE | st.lists(SINGLE, unique=True)), max_size=20)


@settings(max_examples=200)
@given(ROWS, st.sampled_from(sorted(SETTLERS)), st.sampled_from(["report", "drop"]))
def test_what_is_left_is_what_a_plain_loop_leaves(rows: list[tuple[int, Any]], conflicts: Any, duplicates: Any) -> None:
    members = defaultdict(list)
    for row, (group, _) in enumerate(rows):
        members[group].append(row)
    first = [members[group][0] for group, _ in rows]
    labels = [label for _, label in rows]
    done = resolve(groups_of(first), labels, conflicts, duplicates)
    keys = [tuple(sorted(label)) if isinstance(label, list) else label for label in labels]
    left: list[tuple[int, Any]] = []
    for group in members.values():
        votes = Counter(keys[row] for row in group).most_common()
        settled = {row: keys[row] for row in group}
        if conflicts == "drop" and len(votes) > 1:
            settled = {}
        if conflicts == "majority" and len(votes) > 1:
            settled = {} if votes[0][1] == votes[1][1] else dict.fromkeys(group, votes[0][0])
        if duplicates == "drop":
            settled = {row: key for row, key in settled.items() if row == min(r for r in settled if settled[r] == key)}
        left += settled.items()
    after = [done.changed.get(row, labels[row]) for row in done.kept]
    assert [
        (row, tuple(sorted(label)) if isinstance(label, list) else label)
        for row, label in zip(done.kept.tolist(), after, strict=True)
    ] == sorted(left)
    assert {row for row, _ in done.reasons} == set(range(len(rows))) - set(done.kept.tolist()) | set(done.changed)


@pytest.mark.parametrize("labels", [[1.0, 2.5, 1.0], [{"x": 1.0}, {"x": 2.5}, {"x": 1.0}]])
def test_measured_numbers_that_differ_do_not_conflict(labels: list[Any]) -> None:
    assert find(groups_of([0, 0, 0]), labels) == []
    done = resolve(groups_of([0, 0, 0]), labels, "drop", "drop")
    assert done.kept.tolist() == [0, 1]
    assert done.changed == {}
