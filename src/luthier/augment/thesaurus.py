"""Files of synonyms, read into one table: each word and what may stand in its place.

Three forms, told by what the path is: a folder of WordNet's database (wndb(5WN); Fellbaum 1998), a file in WN-LMF
(globalwordnet.github.io/schemas), and a text file of word groups in the form of Cilin (HIT-IR Tongyici Cilin, extended).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from luthier import extras
from luthier.data.encoding import detect
from luthier.errors import DataError

Thesaurus = Mapping[str, tuple[str, ...]]

PARTS = ("noun", "verb", "adj", "adv")
"""Parts of speech, each of which is two files of WordNet's database."""

MARKER = re.compile(r"\((a|p|ip)\)$")
"""Where an adjective may stand, written behind it in WordNet's database."""

GROUP = re.compile(r"([A-L])[a-z]\d\d[A-Z]\d\d([=#@])\s+(\S.*)")
"""A line of Cilin: class and number, kind (`=` synonyms, `#` related words, `@` a word alone), words."""

FUNCTION_WORDS = "KL"
"""Cilin's classes of auxiliary words (adverbs of degree, negation, prepositions, particles) and of greetings."""

FORMS = "a folder of WordNet's database (with data.noun), a WN-LMF file (.xml), or a text file with lines such as `Aa01A01= 人 士 人物`"


@cache
def read(path: Path) -> Thesaurus:
    """Words in lower case, and the synonyms of each.

    Raises:
        DataError: there is no such file, or it has none of the three forms.
        ExtraError: a WN-LMF file, and the package wn is not installed.
    """
    path = path.expanduser()
    if not path.exists():
        raise DataError(f"synonyms: there is no {str(path)!r}. Expected {FORMS}.")
    reader = _wordnet if path.is_dir() else BY_ENDING.get(path.suffix.lower(), _cilin)
    return reader(path)


def _wordnet(folder: Path) -> Thesaurus:
    """WordNet's own database.

    Read here, as nltk 3.10 opens no folder outside its own data path, and wants `lexnames`, which Debian's wordnet-base lacks.
    """
    missing = [name for part in PARTS for name in (f"index.{part}", f"data.{part}") if not (folder / name).is_file()]
    if missing:
        raise DataError(f"synonyms: the folder {folder} lacks {', '.join(missing)}. Expected {FORMS}.")
    senses = (sense for part in PARTS for sense in _senses(folder, part))
    return _table(senses)


def _senses(folder: Path, part: str) -> Iterator[tuple[str, list[str]]]:
    """Every word of a part of speech, and the words of its most frequent sense, which is the first one listed."""
    members = {line[0]: _members(line) for line in _lines(folder / f"data.{part}")}
    for line in _lines(folder / f"index.{part}"):
        first = -int(line[2])  # offsets of its senses end the line, as many as the third field says
        yield line[0].replace("_", " "), members[line[first]]


def _lines(file: Path) -> Iterator[list[str]]:
    """Fields of each line up to the gloss; lines of the licence start with a blank."""
    with file.open(encoding="utf-8") as lines:
        yield from (line.partition(" | ")[0].split() for line in lines if not line.startswith(" "))


def _members(line: list[str]) -> list[str]:
    """Words of a synset: their number is hexadecimal, and each is followed by its lexical id."""
    words = line[4 : 4 + 2 * int(line[3], 16) : 2]
    return [MARKER.sub("", word).replace("_", " ") for word in words]


def _lmf(file: Path) -> Thesaurus:
    lmf = extras.need("wn", extra="augment").lmf
    try:
        resource = lmf.load(file, progress_handler=None)
    except lmf.LMFError as wrong:
        raise DataError(f"synonyms: {file} is not WN-LMF ({wrong}). Expected {FORMS}.") from wrong
    entries = [entry for lexicon in resource["lexicons"] for entry in lexicon.get("entries", [])]
    members = defaultdict(list)
    for entry in entries:
        for sense in entry.get("senses", []):
            members[sense["synset"]].append(entry["lemma"]["writtenForm"])
    firsts = ((entry["lemma"]["writtenForm"], entry["senses"][0]["synset"]) for entry in entries if entry.get("senses"))
    return _table((word, members[synset]) for word, synset in firsts)


def _cilin(file: Path) -> Thesaurus:
    """Groups of synonyms, without words of one character and without function words, whose meaning hangs on what is around."""
    with file.open(encoding=detect(file).codec) as lines:
        groups = [found.groups() for line in lines if (found := GROUP.match(line))]
    if not groups:
        raise DataError(f"synonyms: no line of {file} is a group of words. Expected {FORMS}.")
    stay = {word for kind, _, words in groups if kind in FUNCTION_WORDS for word in words.split()}
    meant = ([word for word in words.split() if len(word) > 1] for _, relation, words in groups if relation == "=")
    return _table((word, group) for group in meant for word in group if word not in stay)


def _table(senses: Iterable[tuple[str, list[str]]]) -> Thesaurus:
    """Synonyms in the order of the senses; those with a capital are names, and left out."""
    table: dict[str, dict[str, None]] = defaultdict(dict)
    for word, members in senses:
        others = (one for one in members if one.lower() != word.lower() and one == one.lower())
        table[word.lower()].update(dict.fromkeys(others))
    return {word: tuple(others) for word, others in table.items() if others}


BY_ENDING: Mapping[str, Callable[[Path], Thesaurus]] = {".xml": _lmf}
"""Readers of files that are told by their ending; any other file is taken for plain text."""
