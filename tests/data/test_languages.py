"""The languages of the rows, on real texts whose language is known."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import tiny_models
from luthier.data import languages
from luthier.data.found import Found
from luthier.data.health import examine
from luthier.modalities.text import Text
from luthier.prepare import encode_all, prepare
from luthier.recipe.reading import read

SOME = {
    "zh": [
        "房间很干净，服务员也很热情，下次还会再来。",
        "今天的天气非常好，我们一起去公园散步吧。",
        "这家酒店的早餐太差了，价格又贵。",
    ],
    "en": ["The room was clean and the staff were friendly.", "It rained all day, so we stayed at home and read."],
    "de": ["Das Zimmer war sauber und das Personal sehr freundlich.", "Wir sind den ganzen Tag zu Hause geblieben."],
    "fr": ["La chambre était propre et le personnel très aimable.", "Nous sommes restés toute la journée à la maison."],
    "ja": ["部屋はとても清潔で、スタッフも親切でした。", "一日中雨だったので、家で本を読んでいました。"],
    "ru": ["Номер был чистым, а персонал очень приветливым.", "Весь день шёл дождь, и мы остались дома."],
    "ar": ["كانت الغرفة نظيفة وكان الموظفون ودودين للغاية.", "أمطرت طوال اليوم فبقينا في المنزل."],
}
UNCLEAR = ["1234", "ok", ":-)", "https://x.y/z"]
TEXT = Found("text", "label", None, "single", "")


def found(*texts: str | None) -> dict[str, Any]:
    return languages.find(datasets.Dataset.from_dict({"text": list(texts)}), TEXT)


@pytest.mark.parametrize("code", SOME)
def test_languages_are_told(code: str) -> None:
    assert found(*SOME[code]) == {"looked_at": len(SOME[code]), "languages": {code: len(SOME[code])}, "unclear": 0}


def test_what_is_in_no_language_is_unclear() -> None:
    facts = found(*UNCLEAR, "", None)
    assert facts == {"looked_at": 4, "languages": {}, "unclear": 4}
    assert languages.shares(facts) == {}
    assert languages.sentence(facts) == ""


def test_shares_are_of_the_rows_whose_language_is_clear() -> None:
    facts = {"looked_at": 1000, "languages": {"zh": 828, "en": 67, "de": 5}, "unclear": 100}
    assert languages.shares(facts) == {"Chinese": 0.92, "English": 67 / 900}
    assert languages.sentence(facts) == (
        "92% of the rows are Chinese, 7% English. 100 of the 1,000 training rows looked at are too short or too mixed to tell."
    )


def test_many_rows_are_looked_at_evenly_and_long_texts_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "LOOKED_AT", 50)
    assert found(*SOME["zh"][:1] * 500, *SOME["en"][:1] * 500)["languages"] == {"zh": 25, "en": 25}
    assert found(SOME["de"][0] * 100 + SOME["ja"][0] * 10_000)["languages"] == {"de": 1}


def test_a_missing_package_leaves_it_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    languages._identifier.cache_clear()
    monkeypatch.setitem(sys.modules, "py3langid", None)
    assert found(*SOME["en"]) == {
        "note": "Languages were not looked for. The package 'py3langid' is needed here and is not installed. "
        "Install it with: pip install 'luthier[clean]'"
    }


def test_rows_without_text_have_no_language() -> None:
    rows = datasets.Dataset.from_dict({"image": ["a.png"]})
    assert languages.find(rows, Found("image", "label", None, "single", "", medium="image")) == {}
    assert languages.find(datasets.Dataset.from_dict({"text": []}), TEXT) == {}


@pytest.mark.parametrize(
    ("file", "code"), [("sst2_en_dev.csv", "en"), ("hotel_reviews_zh.csv", "zh"), ("news_titles_zh_dev.csv", "zh")]
)
def test_real_rows(file: str, code: str) -> None:
    folder = os.environ.get("LUTHIER_ASSETS")
    if not folder:
        pytest.skip("LUTHIER_ASSETS is not set")
    rows = pd.read_csv(Path(folder) / "data" / file).dropna()
    texts = [str(text) for text in rows[max(rows, key=lambda column: rows[column].astype(str).str.len().sum())]]
    facts = found(*texts)
    told = sum(facts["languages"].values())
    assert facts["languages"][code] > 0.995 * told
    assert facts["unclear"] < 0.1 * facts["looked_at"]


def test_the_health_report_says_it_and_gives_advice_for_several(tmp_path: Path) -> None:
    texts = [f"{SOME['zh'][row % 3]}{row * row}" if row % 10 else f"{SOME['en'][row % 2]} {row}" for row in range(200)]
    labels = ["ab"[row % 2] for row in range(200)]
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "mixed.csv", index=False)
    recipe = read({"data": {"files": str(tmp_path / "mixed.csv"), "similarity": None}})
    data = prepare(recipe)
    encode_all(data, Text(tiny_models.word_tokenizer(), 128, None), recipe.data)
    facts = data.facts
    assert set(facts["languages"]["languages"]) == {"zh", "en"}
    spoken = [one for one in examine(facts) if one.topic == "languages"]
    assert len(spoken) == 1
    assert "% of the rows are Chinese, " in spoken[0].sentence
    assert spoken[0].advice == "Take a base model that was trained on all of them, and look at the scores of each."
    only = facts | {"languages": {"looked_at": 160, "languages": {"en": 160}, "unclear": 0}}
    told = [(one.sentence, one.advice) for one in examine(only) if one.topic == "languages"]
    assert told == [("100% of the rows are English.", "")]
