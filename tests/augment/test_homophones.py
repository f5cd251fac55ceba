"""Homophones, against pypinyin's own readings."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np
import pytest

from luthier.augment import homophones
from luthier.augment.homophones import Homophones
from luthier.errors import ExtraError

TEXT = "酒店的房间很干净，服务员也很热情，早餐便宜。"
HAN = sum("\u4e00" <= one <= "\u9fff" for one in TEXT)


def copies(rate: float, count: int) -> list[str]:
    return [Homophones(rate=rate).apply(TEXT, np.random.default_rng(seed)) for seed in range(count)]


def test_every_changed_character_sounds_as_the_one_before_and_is_another() -> None:
    pypinyin = pytest.importorskip("pypinyin")
    seen = Counter()
    for copy in copies(1, 30):
        assert len(copy) == len(TEXT)
        for old, new in zip(TEXT, copy, strict=True):
            if old in "，。":
                assert new == old
            else:
                assert new != old
                assert set(pypinyin.pinyin(old, style=pypinyin.NORMAL, heteronym=True)[0]) & {
                    pypinyin.lazy_pinyin(new)[0]
                }
                seen[new] += 1
    assert len(seen) > 20


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3])
def test_the_rate_holds(rate: float) -> None:
    changes = [sum(old != new for old, new in zip(TEXT, copy, strict=True)) / HAN for copy in copies(rate, 1000)]
    assert abs(np.mean(changes) - rate) < 0.01


def test_frequent_characters_come_more_often() -> None:
    drawn = Counter(Homophones(rate=1).apply("酒", np.random.default_rng(seed)) for seed in range(500))
    assert drawn["就"] > 5 * drawn["救"] > 0


def test_a_character_is_read_as_its_word_has_it() -> None:
    pypinyin = pytest.importorskip("pypinyin")
    for seed in range(20):  # hang in a bank, xing in walking
        changed = Homophones(rate=1).apply("银行", np.random.default_rng(seed))
        assert pypinyin.lazy_pinyin(changed[1])[0] == "hang"


@pytest.mark.parametrize("text", ["", "plain English", "123 😀", "カタカナ"])
def test_other_scripts_stay(text: str) -> None:
    assert Homophones(rate=1).apply(text, np.random.default_rng(0)) == text


@pytest.mark.parametrize("package", ["rjieba", "pypinyin"])
def test_without_its_packages(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    homophones._sounds.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    Homophones().ready(["no Chinese here"])
    with pytest.raises(ExtraError) as missing:
        Homophones().ready(["ok", TEXT])
    assert str(missing.value) == (
        f"The package {package!r} is needed here and is not installed. Install it with: pip install 'luthier[zh]'"
    )
