"""The health of the data in words: what was found, what it means, and the line of the recipe that acts on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from luthier.commented import scalar
from luthier.counted import many
from luthier.data import languages
from luthier.data.clean import left_out
from luthier.data.source import UNDIVIDED

FEW = 200
"""Training rows below which methods that train few weights are worth a try."""

UNBALANCED = 10
"""How many times as many rows the largest class has as the smallest before it is worth a word."""

LONGEST = 512
"""Tokens that are read without being asked for more."""

UNKNOWN = 0.05
"""Share of unknown tokens before it is worth a word: it is 0 for MiniLM on SST-2 and 0.63 on hotel_reviews_zh."""

CUT = 0.05
"""Share of rows that are cut before it is worth a word."""

MANY = 0.05
"""Share of the rows in another language before it is worth advice."""

CLASSES = ("single", "list", "indicator", "separated")
"""How labels that are classes stand in the data; the others are numbers, tags and answers."""

ALIKE = {"image": "the same picture", "audio": "the same sound", "image+text": "the same picture and text"}
"""What rows share that repeat each other; all others share a text."""

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One thing that a person should know of the data."""

    topic: str
    sentence: str
    advice: str = ""
    line: str = ""
    """Override of the recipe that follows the advice, as `key=value`; empty where nothing in the recipe can."""


def examine(facts: Facts) -> list[Finding]:
    """All findings from the facts of data.json, in the order in which they are worth acting on."""
    return [finding for look in LOOKS for finding in look(facts)]


def _unusable(facts: Facts) -> Iterator[Finding]:
    sentence = left_out(facts["bad_rows"])
    if sentence:
        yield Finding("unusable rows", sentence, "Mend them in the file: changes.csv lists them.")


def _odd(facts: Facts) -> Iterator[Finding]:
    for sentence in facts["odd"]:
        yield Finding("odd cells", sentence, "Mend them where they came from.")


def _repeated(facts: Facts) -> Iterator[Finding]:
    found = facts["duplicates"]
    repeated = found.get("exact", 0) + found.get("near", 0)
    if repeated:
        advice = (
            "Repeated rows count more than others and may stand on both sides of a split.",
            "data.duplicates=drop",
        )
        done = ("The first of each is used, and changes.csv lists the others.", "")
        yield Finding("duplicates", found["sentence"], *(done if found["action"] == "drop" else advice))
    if found.get("conflicts"):
        same = ALIKE.get(facts["columns"]["medium"], "the same text")
        sentence = (
            f"{many(found['conflicts'], 'group of rows has', 'groups of rows have')} {same} and different labels."
        )
        advice = (
            "No model can get all of them right: settle them by majority, or look at the rows.",
            "data.conflicts=majority",
        )
        done = (f"They were settled (data.conflicts={found['settled']}), and changes.csv lists the rows.", "")
        yield Finding("conflicting labels", sentence, *(advice if found["settled"] == "keep" else done))


def _suspect(facts: Facts) -> Iterator[Finding]:
    found = facts.get("labels")
    if found is None and facts["columns"]["kind"] not in CLASSES:
        return
    if found is None:
        yield Finding(
            "labels",
            "Wrong labels were not looked for.",
            "The base model's own vectors can find them.",
            "data.labels=report",
        )
    elif found["suspects"] and found["action"] == "report":
        yield Finding(
            "labels",
            found["sentence"],
            "Have people look at them (luthier data review), or leave them out.",
            "data.labels=drop",
        )
    else:
        yield Finding("labels", found["sentence"])


def _leaking(facts: Facts) -> Iterator[Finding]:
    certificate = facts["leakage"]
    leaks = [check for check in certificate["checks"] if check["rows"]]
    shared = [check["sentence"] for check in leaks if check["kind"] != "giveaway"]
    if shared:
        yield Finding("leakage", " ".join(shared), *_mended(facts, {check["kind"] for check in leaks}))
    for check in leaks:
        if check["kind"] == "giveaway":
            yield Finding("giveaway", check["sentence"])
    if certificate["clean"]:
        yield Finding("leakage", "The splits share nothing that was looked for.")


def _mended(facts: Facts, kinds: set[str]) -> tuple[str, str]:
    """What to do about leaks of these kinds: divide otherwise where a column says what belongs together, else leave rows out."""
    if facts["leakage"]["action"] == "fix":
        return "Scores would flatter: take such rows out of training.", ""
    kind, column = facts["columns"].get("part") or ("", "")
    if kind in kinds and column in facts["columns"]["also"] and UNDIVIDED in facts["files"]:
        line = f"data.split={{by: group, column: {scalar(column)}}}"
        return f"Scores would flatter: keep rows with the same {column!r} on one side.", line
    return "Scores would flatter: take such rows out of training.", "data.leakage=fix"


def _shifted(facts: Facts) -> Iterator[Finding]:
    found = facts.get("shift")
    if found:
        advice = "Scores on the test rows may not be those of rows like the training rows." if found["found"] else ""
        yield Finding("shift", found["sentence"], advice)
    elif "test" in facts["splits"]:
        yield Finding("shift", "Whether test rows are like the training rows was not looked at.", "luthier check does.")


def _unknown(facts: Facts) -> Iterator[Finding]:
    share = facts["splits"]["train"].get("unknown", 0.0)
    if share > UNKNOWN:
        yield Finding(
            "vocabulary",
            f"{share:.0%} of the tokens of the training rows are not in the model's vocabulary: it cannot read them.",
            "Take a base model that was trained on the language of the rows.",
        )


def _spoken(facts: Facts) -> Iterator[Finding]:
    found = facts.get("languages", {})
    sentence = languages.sentence(found)
    if sentence:
        several = sum(share > MANY for share in languages.shares(found).values()) > 1
        advice = "Take a base model that was trained on all of them, and look at the scores of each." if several else ""
        yield Finding("languages", sentence, advice)


def _few(facts: Facts) -> Iterator[Finding]:
    rows = facts["splits"]["train"]["rows"]
    if rows < FEW:
        yield Finding(
            "size",
            f"There are only {rows:,} training rows.",
            "Methods that train few weights forget less of what the model knows.",
            "method=lora",
        )


def _unbalanced(facts: Facts) -> Iterator[Finding]:
    counts = facts["splits"]["train"].get("labels", {})
    if len(counts) < 2 or facts["columns"]["kind"] not in CLASSES:
        return
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] > UNBALANCED * counts[least]:
        yield Finding(
            "balance",
            f"Label {most!r} has {counts[most]:,} training rows and {least!r} {counts[least]:,}.",
            "Look at F1 macro and not at accuracy; weights or sampling let small classes count.",
            "task.weights=balanced",
        )


def _long(facts: Facts) -> Iterator[Finding]:
    train = facts["splits"]["train"]
    cut = train.get("too_long", {}).get("rows", 0)
    if cut > CUT * train["rows"]:
        more = facts["unit"] == "tokens" and facts["max_length"] < LONGEST
        yield Finding(
            "length",
            f"{cut:,} of {train['rows']:,} training rows are longer than {facts['max_length']:g} {facts['unit']} and lose their end.",
            "If the end matters and the model can read more, raise the limit.",
            f"data.max_length={LONGEST}" if more else "",
        )


LOOKS: Sequence[Callable[[Facts], Iterator[Finding]]] = (
    _unknown,
    _spoken,
    _unusable,
    _odd,
    _leaking,
    _repeated,
    _suspect,
    _shifted,
    _unbalanced,
    _long,
    _few,
)
