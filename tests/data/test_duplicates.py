"""Groups of duplicates, against plain loops over sets and a brute force over all pairs."""

import errno
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data import lsh, shingles, tables
from luthier.data.duplicates import PASSES, exact, near
from luthier.data.normal import normal
from luthier.errors import DataError, DiskFullError, ExtraError

pytest.importorskip("rensa", reason="rensa is not installed (extra clean)")


def rows_of(texts: Sequence[str | None]) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"t": list(texts)}, features=datasets.Features({"t": datasets.Value("string")}))


def slow_exact(texts: Sequence[str | None]) -> list[int]:
    seen: dict[str, int] = {}
    return [seen.setdefault(normal(text), row) if text and normal(text) else row for row, text in enumerate(texts)]


def shingles_of(text: str | None, size: int) -> set[str]:
    plain = normal(text or "")
    return {plain[at : at + size] for at in range(max(1, len(plain) - size + 1))} - {""}


def slow_near(texts: Sequence[str | None], threshold: float, size: int) -> list[int]:
    """Compare all pairs; walk from each row to all that are linked with it."""
    sets = [shingles_of(text, size) for text in texts]
    first = [-1] * len(texts)
    for start in range(len(texts)):
        waiting = [start] if first[start] < 0 else []
        while waiting:
            row = waiting.pop()
            first[row] = start
            for other, theirs in enumerate(sets):
                if first[other] < 0 and len(sets[row] & theirs) >= threshold * len(sets[row] | theirs) > 0:
                    waiting.append(other)
    return first


CLAUSES = st.sampled_from(
    ["good film", "Good  film", "ＧＯＯＤ film", "很好的酒店", "很好的宾馆", "a", "ab", "b", "", " ", "the bed"]
)
TEXTS = st.lists(st.none() | st.lists(CLAUSES, max_size=4).map(" ".join), max_size=25)


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_equal_texts_are_grouped_as_a_plain_loop_does(texts: list[str | None]) -> None:
    groups = exact(rows_of(texts), "t")
    assert groups.first.tolist() == groups.equal.tolist() == slow_exact(texts)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([0.3, 0.5, 0.8, 1.0]), st.integers(1, 5))
def test_near_duplicates_are_those_of_all_pairs(texts: list[str | None], threshold: float, size: int) -> None:
    """With one hash a band nothing of this similarity is missed, so groups are exactly those of the brute force."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("luthier.data.duplicates.bands_for", lambda threshold: (128, 1))
        groups = near(rows_of(texts), "t", threshold, size)
    assert groups.first.tolist() == slow_near(texts, threshold, size)
    assert groups.equal.tolist() == slow_exact(texts)


@pytest.mark.parametrize("threshold", [0.6, 0.7, 0.8, 0.9])
def test_bands_find_pairs_at_the_threshold(threshold: float) -> None:
    bands, each = lsh.bands_for(threshold)
    assert bands * each <= lsh.PERMUTATIONS
    assert 1 - (1 - threshold**each) ** bands >= 0.99
    assert 1 - (1 - threshold ** (each + 1)) ** (lsh.PERMUTATIONS // (each + 1)) < 0.99


def edited(text: str, chance: random.Random) -> str:
    """A copy with one character replaced."""
    at = chance.randrange(len(text))
    return text[:at] + chance.choice("的x了e") + text[at + 1 :]


def real_texts(assets: Path, rows: int) -> list[str]:
    import pandas as pd

    files = {"hotel_reviews_zh.csv": "review", "sms_spam_en.csv": "text"}
    texts = []
    for name, column in files.items():
        table = pd.read_csv(assets / "data" / name)
        texts += table[column if column in table else table.columns[-1]].dropna().astype(str).head(rows).tolist()
    return texts


def test_real_texts_with_edited_copies(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 97)
    chance = random.Random(0)
    texts = real_texts(assets, 150)
    texts += [edited(text, chance) for text in texts[::3]]
    expected = slow_near(texts, 0.8, 3)
    groups = near(rows_of(texts), "t")
    assert groups.first.tolist() == expected
    assert groups.crowded == 0
    assert groups.facts["near"] > 80
    again = near(rows_of(texts), "t", seed=1)
    assert again.first.tolist() == expected


def test_texts_shorter_than_a_shingle_are_one_shingle() -> None:
    assert near(rows_of(["a", "A ", "b", "ab", "好", "好", "", None, " "]), "t", 0.8, 5).first.tolist() == [
        0, 0, 2, 3, 4, 4, 6, 7, 8,
    ]  # fmt: skip


@pytest.mark.parametrize("find", [exact, near])
def test_no_rows_and_no_text(find: Any) -> None:
    assert find(rows_of([]), "t").first.tolist() == []
    assert find(rows_of([None, "", "\u200b"]), "t").first.tolist() == [0, 1, 2]
    assert find(rows_of(["only"]), "t").first.tolist() == [0]


def test_groups_go_over_several_steps_and_start_at_the_first_row() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    chain = [letters[at : at + 20] for at in range(0, 12, 2)]
    assert len(shingles_of(chain[0], 3) & shingles_of(chain[-1], 3)) < 0.5 * 18
    groups = near(rows_of(["something else", *chain]), "t", threshold=0.75)
    assert groups.first.tolist() == slow_near(["something else", *chain], 0.75, 3) == [0, 1, 1, 1, 1, 1, 1]


def test_counts_for_the_report() -> None:
    long = "the room was clean and the staff were friendly"
    groups = near(rows_of([long, long.upper(), long + "!", "other", "Other", "alone"]), "t")
    assert groups.facts == {"groups": 2, "exact": 2, "near": 1, "crowded": 0}


def parcels(rows: int, chance: random.Random) -> list[str]:
    """Letters that differ in two numbers: many share bands, none is similar enough."""
    numbers = ((chance.randrange(10**8), chance.randrange(10**8)) for _ in range(rows))
    return [f"亲爱的{one:08d}客户您的包裹{other:08d}已到达请及时领取,逾期退回" for one, other in numbers]


def test_crowds_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("luthier.data.duplicates.bands_for", lambda threshold: (64, 1))
    texts = parcels(lsh.WINDOW + 10, random.Random(0))
    groups = near(rows_of(texts), "t")
    assert groups.first.tolist() == list(range(len(texts)))
    assert groups.crowded == len(texts)
    assert near(rows_of(texts[: lsh.WINDOW + 1]), "t").crowded == 0


def test_most_similar_rows_are_found_in_a_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    """The more similar stand side by side in a crowded bucket, and who was not compared there may be in a later one.

    Without the one 64 % of the copies are found, without the other 55 %.
    """
    monkeypatch.setattr(lsh, "WINDOW", 4)
    numbers = (number * 333667 % 10**8 for number in range(3000))
    texts = [
        f"dear customer your parcel {one:08d} waits for you at the old post office in the high street"
        for one in numbers
    ]
    copies = [text.replace("old", "odd") for text in texts[:300]]
    groups = near(rows_of(texts + copies), "t", threshold=0.9)
    assert groups.crowded > 3000
    assert (groups.first[3000:] == groups.first[:300]).mean() > 0.85


def test_true_similarity_is_that_of_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shingles, "AT_ONCE", 50)
    chance = random.Random(1)
    texts = ["".join(chance.choices("ab的", k=chance.randrange(1, 30))) for _ in range(60)]
    sets = [shingles_of(text, 2) for text in texts]
    left, right = (np.array(side) for side in zip(*((a, b) for a in range(60) for b in range(a)), strict=True))
    with shingles.in_file() as kept:
        kept.add(*shingles.split_up(texts[:25], 2))
        kept.add(*shingles.split_up(texts[25:], 2))
        pairs = kept.done()
    assert pairs.counts.tolist() == [len(one) for one in sets]
    for threshold in (0.2, 0.5, 1.0):
        expected = [
            len(sets[a] & sets[b]) >= threshold * len(sets[a] | sets[b]) for a, b in zip(left, right, strict=True)
        ]
        assert pairs.alike(left, right, threshold).tolist() == expected


@pytest.mark.parametrize("name", PASSES)
def test_progress_reaches_its_total(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BATCH", 10)
    texts = [f"text number {row % 40}" for row in range(95)]
    told: list[int] = []
    {"exact": exact, "near": near}[name](rows_of(texts), "t", advance=told.append)
    assert sum(told) == PASSES[name] * 95


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(
        DataError, match=r"^the threshold of near duplicates must be above 0 and at most 1; got 1\.5\.$"
    ):
        near(rows_of(["a"]), "t", threshold=1.5)
    with pytest.raises(DataError, match=r"^a shingle must have at least 1 character; got 0\.$"):
        near(rows_of(["a"]), "t", shingle=0)


def test_without_rensa_the_pip_line_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    with pytest.raises(ExtraError, match=r"pip install 'luthier\[clean\]'$"):
        near(rows_of(["a"]), "t")


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    class Full:
        def write(self, content: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    kept = shingles.Shingles(Full())  # type: ignore[arg-type]
    with pytest.raises(DiskFullError) as error:
        kept.add(*shingles.split_up(["text"], 3))
    assert str(error.value) == (
        f"The disk is full: {cache} has no room for the shingles of near duplicates. Free some space there, or set LUTHIER_CACHE to a "
        "folder on another disk."
    )


def test_nothing_is_left_in_the_cache_and_the_rows_are_as_before(cache: Path) -> None:
    before = sorted(cache.rglob("*"))
    rows = rows_of(["Some  TEXT", "some text", "another"])
    near(rows, "t")
    assert sorted(cache.rglob("*")) == before
    assert rows["t"][:] == ["Some  TEXT", "some text", "another"]
