"""The leakage certificate: each kind of leak is planted and found, and clean data get a clean one."""

from __future__ import annotations

import json
import re

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planting import SIZES, clean_splits, cut, days, exact_of, exactly, leaking, plant, texts_of, values

from luthier.data import duplicates
from luthier.data.leakage import Certificate, Check, Side, certify, fix, refuse
from luthier.errors import DataError


def test_clean_data_get_a_clean_certificate() -> None:
    splits = clean_splits()
    exact = exact_of(splits)
    certificate = certify(splits, {"exact": exact, "near": exact, **values()}, days())
    assert certificate.clean
    assert certificate.skipped == ()
    assert [check.kind for check in certificate.checks] == ["exact", "near", "id", "group", "time"] * 3 + ["giveaway"]
    assert {check.splits for check in certificate.checks[:-1]} == {
        ("train", "validation"),
        ("train", "test"),
        ("validation", "test"),
    }
    assert certificate.checks[0].sentence == "No validation row has the same text as a train row."
    assert certificate.checks[-1].sentence == "No single token, character pattern or length tells a label."
    refuse(certificate)
    mended = fix(certificate, splits)
    assert mended.removed == []
    assert {name: len(rows) for name, rows in mended.kept.items()} == SIZES


def test_what_was_not_checked_is_said() -> None:
    certificate = certify(clean_splits(), {}, skipped=["Near duplicates: rensa is not installed."])
    assert certificate.skipped == (
        "Near duplicates: rensa is not installed.",
        "Exact duplicates were not looked for.",
        "Near duplicates were not looked for.",
        "Ids were not compared: no column of ids is known.",
        "Groups were not compared: no column of groups is named.",
        "The order of time was not checked: no column of dates is named.",
    )
    assert [check.kind for check in certificate.checks] == ["giveaway"]


def test_exact_duplicates_are_found_counted_shown_and_mended() -> None:
    splits = clean_splits()
    for row in range(3):
        plant(splits, "test", row + 5, f"  {splits['train'].texts[row + 10].upper()} ")
    plant(splits, "test", 70, splits["validation"].texts[9])
    certificate = certify(splits, {"exact": exact_of(splits)})
    assert leaking(certificate) == [("exact", ("train", "test"), 3), ("exact", ("validation", "test"), 1)]
    leak = certificate.leaks[0]
    assert leak.sentence == "3 of 80 test rows have the same text as a train row: their scores show memory."
    held_out, other = leak.examples[0].places
    assert (held_out.split, held_out.row, other.split, other.row) == ("test", 366, "train", 11)
    assert other.text == (
        splits["train"].texts[10] if len(splits["train"].texts[10]) <= 80 else f"{splits['train'].texts[10][:77]}..."
    )
    mended = fix(certificate, splits)
    assert sorted(set(range(300)) - set(mended.kept["train"].tolist())) == [10, 11, 12]
    assert len(mended.kept["validation"]) == 59
    assert len(mended.kept["test"]) == 80
    assert mended.removed[0] == {"split": "train", "row": 11, "reason": "exact: leaks into test"}
    assert [one["row"] for one in mended.removed] == [11, 12, 13, 310]


def test_near_duplicates_are_found_beyond_exact_ones() -> None:
    pytest.importorskip("rensa")
    splits = clean_splits()
    plant(splits, "test", 0, f"{splits['train'].texts[0]} ok")
    plant(splits, "test", 1, splits["train"].texts[1])
    found = duplicates.near(datasets.Dataset.from_dict({"text": texts_of(splits)}), "text")
    certificate = certify(splits, {"exact": found.equal, "near": found.first})
    assert leaking(certificate) == [("exact", ("train", "test"), 1), ("near", ("train", "test"), 1)]
    assert certificate.leaks[1].sentence == (
        "1 of 80 test rows has nearly the same text as a train row: their scores may show memory."
    )
    assert [one["reason"] for one in fix(certificate, splits).removed] == [
        "near: leaks into test",
        "exact: leaks into test",
    ]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("id", "2 of 60 validation rows have the same id as a train row: they may be the same case."),
        ("group", "2 of 60 validation rows have the same group as a train row: scores say nothing about new groups."),
    ],
)
def test_shared_ids_and_groups_are_found(kind: str, said: str) -> None:
    splits, given_values = clean_splits(), values()
    given_values[kind][300] = given_values[kind][301] = given_values[kind][7]
    certificate = certify(splits, given_values)
    assert leaking(certificate) == [(kind, ("train", "validation"), 2)]
    assert certificate.leaks[0].sentence == said
    removed = [one["row"] for one in fix(certificate, splits).removed]
    assert removed == ([8] if kind == "id" else [5, 6, 7, 8])


def test_missing_values_are_not_shared() -> None:
    splits, given_values = clean_splits(), values()
    for row in (1, 2, 310, 311, 400, 401):
        given_values["id"][row] = [None, "", float("nan")][row % 3]
        given_values["group"][row] = None
    assert certify(splits, given_values).clean
    assert certify(splits, {"near": np.full(440, -1)}).clean


def test_time_that_runs_backwards_is_found() -> None:
    splits, when = clean_splits(), days()
    when[7] = np.datetime64("2024-12-31")  # day 365: among the test rows, after all validation rows
    certificate = certify(splits, {}, when)
    assert leaking(certificate) == [("time", ("train", "validation"), 60), ("time", ("train", "test"), 5)]
    assert certificate.leaks[0].sentence == (
        "60 of 60 validation rows are older than the latest train row (2024-12-31), "
        "the oldest of 2024-10-27: the model has seen their future."
    )
    assert [one["row"] for one in fix(certificate, splits).removed] == [8]
    same_day = days()
    same_day[299] = same_day[300]
    assert fix(certify(splits, {}, same_day), splits).removed == []
    assert certify(splits, {}, same_day).clean


def test_json() -> None:
    splits, when = clean_splits(), days()
    when[7] = np.datetime64("2024-12-31")
    plant(splits, "test", 5, splits["train"].texts[10])
    certificate = certify(splits, {"exact": exact_of(splits)}, when)
    written = json.loads(json.dumps(certificate.as_dict()))
    assert written["clean"] is False
    assert written["checks"][1]["kind"] == "time"
    assert set(written["checks"][0]) == {"kind", "splits", "rows", "of", "sentence", "examples"}
    assert written["skipped"] == list(certificate.skipped)


def test_error_names_every_leak_and_what_to_do() -> None:
    splits, given_values = clean_splits(), values()
    plant(splits, "test", 5, splits["train"].texts[10][:40])
    plant(splits, "train", 10, splits["train"].texts[10][:40])
    given_values["id"][300] = given_values["id"][7]
    shown = splits["train"].texts[10]
    said = (
        "The splits leak, so scores would flatter:\n"
        "- 1 of 60 validation rows has the same id as a train row: they may be the same case. For example validation row 301 "
        f"({cut(splits['validation'].texts[0])!r}) and train row 8 ({cut(splits['train'].texts[7])!r}).\n"
        "- 1 of 80 test rows has the same text as a train row: their scores show memory. For example test row 366 "
        f"({shown!r}) and train row 11 ({shown!r}).\n"
        "Mend the data; or write data.leakage: fix, which removes training and validation rows, or data.leakage: report, which "
        "only says so."
    )
    with pytest.raises(DataError, match=exactly(said)):
        refuse(certify(splits, {"exact": exact_of(splits), "id": given_values["id"]}))


def test_a_fix_that_takes_too_much_is_refused() -> None:
    splits = clean_splits()
    with pytest.raises(
        DataError,
        match=exactly(
            "data.leakage: fix would remove all 300 train rows, because all of them leak. Divide the data anew."
        ),
    ):
        fix(certify(splits, {"group": ["one"] * 440}), splits)
    only = {
        "train": Side(["x", "y", "z"], ["a", "b", "b"], range(3)),
        "test": Side(["x"], ["a"], range(1)),
    }
    with pytest.raises(
        DataError,
        match=exactly(
            "data.leakage: fix would leave training without the label 'a', because all its rows leak. Divide the data anew."
        ),
    ):
        fix(certify(only, {"exact": np.array([0, 1, 2, 0])}), only)


def test_wrong_calls_are_refused() -> None:
    with pytest.raises(
        ValueError, match=re.escape("There is no leakage check 'exakt'; known: exact, near, image, passage, id, group.")
    ):
        certify(clean_splits(), {"exakt": []})
    with pytest.raises(ValueError, match=re.escape("The leakage check 'id' got 3 values for 440 rows.")):
        certify(clean_splits(), {"id": [1, 2, 3]})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([-1, *range(12)]), min_size=6, max_size=40),
    st.lists(st.integers(2020, 2026), min_size=40, max_size=40),
    st.tuples(st.integers(1, 3), st.integers(1, 2)),
)
def test_counts_are_those_of_the_slow_obvious_way_and_a_fix_mends(
    groups: list[int], years: list[int], held: tuple[int, int]
) -> None:
    rows = len(groups)
    ends = [0, rows - sum(held), rows - held[1], rows]
    names = ["train", "validation", "test"]
    splits = {
        name: Side([f"t{row}" for row in range(start, end)], ["a"] * (end - start), range(start, end))
        for name, start, end in zip(names, ends, ends[1:], strict=False)
    }
    span = {name: range(start, end) for name, start, end in zip(names, ends, ends[1:], strict=False)}
    when = np.array(years[:rows])
    certificate = certify(splits, {"near": np.array(groups)}, when)
    for check in certificate.checks[:-1]:
        one, two = (span[name] for name in check.splits)
        if check.kind == "near":
            slow = sum(groups[row] >= 0 and groups[row] in {groups[other] for other in one} for row in two)
        else:
            slow = sum(years[row] < max(years[other] for other in one) for row in two)
        assert check.rows == slow
    try:
        kept = fix(certificate, splits).kept
    except DataError:
        return
    assert len(kept["test"]) == held[1]
    left = np.concatenate([np.array(span[name])[kept[name]] for name in names])
    mended = {name: Side([f"t{row}" for row in kept[name]], ["a"] * len(kept[name]), kept[name]) for name in names}
    assert certify(mended, {"near": np.array(groups)[left]}, when[left]).clean


def test_a_check_that_found_nothing_is_no_leak() -> None:
    clean, leak = Check("id", ("train", "test"), 0, 5, "None."), Check("id", ("train", "test"), 1, 5, "One.")
    assert Certificate((clean, leak)).leaks == (leak,)
    assert Certificate((clean,)).clean
