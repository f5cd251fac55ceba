"""Synonyms from the three forms of files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from augmentations import cilin

from luthier.augment.synonyms import Synonyms
from luthier.augment.thesaurus import FORMS, read
from luthier.errors import DataError, ExtraError

LMF = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE LexicalResource SYSTEM "http://globalwordnet.github.io/schemas/WN-LMF-1.0.dtd">
<LexicalResource xmlns:dc="http://purl.org/dc/elements/1.1/">
  <Lexicon id="t" label="t" language="en" email="a@b.c" license="CC0" version="1">
    <LexicalEntry id="t-1"><Lemma writtenForm="film" partOfSpeech="n"/>
      <Sense id="t-1-1" synset="t-movie"/><Sense id="t-1-2" synset="t-layer"/></LexicalEntry>
    <LexicalEntry id="t-2"><Lemma writtenForm="movie" partOfSpeech="n"/><Sense id="t-2-1" synset="t-movie"/></LexicalEntry>
    <LexicalEntry id="t-3"><Lemma writtenForm="layer" partOfSpeech="n"/><Sense id="t-3-1" synset="t-layer"/></LexicalEntry>
    <LexicalEntry id="t-4"><Lemma writtenForm="Movie" partOfSpeech="n"/><Sense id="t-4-1" synset="t-movie"/></LexicalEntry>
    <LexicalEntry id="t-5"><Lemma writtenForm="film" partOfSpeech="v"/><Sense id="t-5-1" synset="t-shoot"/></LexicalEntry>
    <LexicalEntry id="t-6"><Lemma writtenForm="shoot" partOfSpeech="v"/><Sense id="t-6-1" synset="t-shoot"/></LexicalEntry>
    <Synset id="t-movie" ili="" partOfSpeech="n"/><Synset id="t-layer" ili="" partOfSpeech="n"/>
    <Synset id="t-shoot" ili="" partOfSpeech="v"/>
  </Lexicon>
</LexicalResource>
"""

DATABASE = {
    "noun": (
        "film n 2 1 @ 2 1 00000001 00000002\nmovie n 1 1 @ 1 1 00000001\n",
        "00000001 10 n 03 film 0 motion_picture 0 Hollywood 0 000 | a story\n00000002 10 n 02 film 0 layer 0 000 | a coat\n",
    ),
    "verb": ("film v 1 1 @ 1 1 00000003\n", "00000003 10 v 02 film 0 shoot 0 000 | record\n"),
    "adj": ("cheap a 1 1 & 1 1 00000004\n", "00000004 10 s 02 cheap 0 low-cost(p) 0 000 | little money\n"),
    "adv": ("", ""),
}
"""A small WordNet database, as wndb(5WN) describes it."""


def wordnet(folder: Path) -> Path:
    for part, (index, data) in DATABASE.items():
        (folder / f"index.{part}").write_text(f"  1 licence\n{index}", encoding="utf-8")
        (folder / f"data.{part}").write_text(f"  1 licence\n{data}", encoding="utf-8")
    return folder


def lmf(folder: Path) -> Path:
    (folder / "words.xml").write_text(LMF, encoding="utf-8")
    return folder / "words.xml"


def changed(synonyms: Synonyms, text: str, draws: int = 40) -> set[str]:
    return {synonyms.apply(text, np.random.default_rng(seed)) for seed in range(draws)}


def test_wordnet_gives_the_first_sense_of_each_part_of_speech_without_names_and_markers(tmp_path: Path) -> None:
    assert dict(read(wordnet(tmp_path))) == {
        "film": ("motion picture", "shoot"),
        "movie": ("film", "motion picture"),
        "cheap": ("low-cost",),
    }


def test_lmf_gives_the_same(tmp_path: Path) -> None:
    pytest.importorskip("wn")
    assert dict(read(lmf(tmp_path))) == {
        "film": ("movie", "shoot"),
        "movie": ("film",),
        "layer": ("film",),
        "shoot": ("film",),
    }


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_cilin_gives_synonyms_but_no_function_words_no_single_characters_and_no_related_words(
    tmp_path: Path, encoding: str
) -> None:
    file = cilin(tmp_path)
    file.write_text(file.read_text(encoding="utf-8"), encoding=encoding)
    table = read(file)
    assert table["酒店"] == ("酒家", "酒楼")
    assert table["便宜"] == ("低廉", "廉价")
    assert table["特殊"] == ("非常",)
    assert not {"非常", "十分", "很", "室", "早餐", "干净"} & set(table)


def test_capitals_punctuation_and_spacing_stay(tmp_path: Path) -> None:
    synonyms = Synonyms(file=wordnet(tmp_path), rate=1)
    assert changed(synonyms, "(Film)  cheap!") == {"(Motion picture)  low-cost!", "(Shoot)  low-cost!"}
    assert changed(synonyms, "MOVIE: films") == {"FILM: films", "MOTION PICTURE: films"}


def test_chinese_words_are_replaced_inside_a_sentence(tmp_path: Path) -> None:
    synonyms = Synonyms(file=cilin(tmp_path), rate=1)
    assert changed(synonyms, "酒店非常便宜。") == {
        f"{one}非常{other}。" for one in ("酒家", "酒楼") for other in ("低廉", "廉价")
    }


def test_words_to_keep_and_stop_words_stay(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("Aa01A01= film movie\nAa01A02= not hardly\nAa01A03= positive good\n", encoding="utf-8")
    assert changed(Synonyms(file=file, rate=1, keep=("Positive",)), "not a positive film") == {"not a positive movie"}


def test_the_rate_counts_all_words(tmp_path: Path) -> None:
    text = "film " * 5 + "xyzzy " * 5
    for rate in (0.1, 0.25):
        synonyms = Synonyms(file=wordnet(tmp_path), rate=rate)
        counts = [5 - synonyms.apply(text, np.random.default_rng(seed)).split().count("film") for seed in range(1500)]
        assert abs(np.mean(counts) / 10 - rate) < 0.02


def test_debian_wordnet_agrees_with_a_plain_look_into_it() -> None:
    folder = Path(os.environ.get("LUTHIER_WORDNET", "/usr/share/wordnet"))
    if not (folder / "data.noun").is_file():
        pytest.skip("no WordNet here: apt install wordnet-base")
    table = read(folder)
    assert {"movie", "picture", "motion picture"} <= set(table["film"])
    assert len(table) > 50_000


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    def said(file: Path) -> str:
        with pytest.raises(DataError) as wrong:
            Synonyms(file=file).ready(["text"])
        return str(wrong.value)

    assert said(tmp_path / "no.txt") == f"synonyms: there is no {str(tmp_path / 'no.txt')!r}. Expected {FORMS}."
    folder = tmp_path / "wordnet"
    folder.mkdir()
    wordnet(folder)
    (folder / "data.adv").unlink()
    assert said(folder) == f"synonyms: the folder {folder} lacks data.adv. Expected {FORMS}."
    plain = tmp_path / "plain.txt"
    plain.write_text("good, fine\n", encoding="utf-8")
    assert said(plain) == f"synonyms: no line of {plain} is a group of words. Expected {FORMS}."


def test_a_file_that_is_no_lmf_is_said(tmp_path: Path) -> None:
    pytest.importorskip("wn")
    file = tmp_path / "a.xml"
    file.write_text("<html/>", encoding="utf-8")
    with pytest.raises(DataError, match=rf"^synonyms: {file} is not WN-LMF \(.+\)\. Expected "):
        read(file)


def test_lmf_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "wn"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wn", None)
    with pytest.raises(ExtraError) as missing:
        read(lmf(tmp_path))
    assert "pip install 'luthier[augment]'" in str(missing.value)
