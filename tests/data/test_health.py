"""What is said of the data, and the line of the recipe that acts on it."""

from __future__ import annotations

from typing import Any

import pytest

from luthier.data.health import examine
from luthier.recipe.reading import read

CLEAN: dict[str, Any] = {
    "bad_rows": {"rows": 0, "examples": []},
    "odd": [],
    "duplicates": {"exact": 0, "near": 0, "conflicts": 0, "sentence": "0 rows repeat the text of another."},
    "labels": {"action": "report", "suspects": [], "sentence": "0 of 900 training rows (0.0%) look mislabelled."},
    "leakage": {"action": "report", "clean": True, "checks": []},
    "columns": {"medium": "text", "kind": "single"},
    "max_length": 128,
    "unit": "tokens",
    "splits": {"train": {"rows": 900, "labels": {"a": 500, "b": 400}, "too_long": {"rows": 3, "lost": 9}}},
}


def told(**changes: Any) -> dict[str, tuple[str, str]]:
    return {one.topic: (one.sentence, one.line) for one in examine(CLEAN | changes)}


def test_clean_data_are_said_to_be_so() -> None:
    assert told() == {
        "leakage": ("The splits share nothing that was looked for.", ""),
        "labels": ("0 of 900 training rows (0.0%) look mislabelled.", ""),
    }


TRAIN = CLEAN["splits"]["train"]
LEAK = {"kind": "exact", "rows": 4, "sentence": "4 of 90 test rows have the same text as a train row."}
PARTED = {
    "leakage": {"action": "report", "clean": False, "checks": [LEAK | {"kind": "passage"}]},
    "columns": {"medium": "question", "kind": "answers", "also": ["context"], "part": ["passage", "context"]},
    "files": {"all": ["rows.json"]},
}
CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "unusable": (
        {
            "bad_rows": {
                "rows": 7,
                "examples": [{"split": "all", "row": row, "reason": "no text"} for row in range(1, 8)],
            }
        },
        "unusable rows",
        "7 rows cannot be used and are left out: row 1 (no text), row 2 (no text), row 3 (no text), row 4 (no text), "
        "row 5 (no text) and 2 more.",
        "",
    ),
    "an unusable row of a split": (
        {"bad_rows": {"rows": 1, "examples": [{"split": "train", "row": 27, "reason": "no label"}]}},
        "unusable rows",
        "1 row cannot be used and is left out: train row 27 (no label).",
        "",
    ),
    "odd": ({"odd": ["3 rows hold control characters."]}, "odd cells", "3 rows hold control characters.", ""),
    "duplicates": (
        {"duplicates": {"exact": 2, "near": 1, "conflicts": 0, "sentence": "2 rows repeat.", "action": "report"}},
        "duplicates",
        "2 rows repeat.",
        "data.duplicates=drop",
    ),
    "duplicates that are gone": (
        {"duplicates": {"exact": 2, "near": 1, "conflicts": 0, "sentence": "2 rows repeat.", "action": "drop"}},
        "duplicates",
        "2 rows repeat.",
        "",
    ),
    "settled conflicts": (
        {"duplicates": {"exact": 0, "near": 0, "conflicts": 2, "settled": "majority"}},
        "conflicting labels",
        "2 groups of rows have the same text and different labels.",
        "",
    ),
    "conflicts": (
        {"duplicates": {"exact": 0, "near": 0, "conflicts": 2, "settled": "keep"}},
        "conflicting labels",
        "2 groups of rows have the same text and different labels.",
        "data.conflicts=majority",
    ),
    "labels not looked at": ({"labels": None}, "labels", "Wrong labels were not looked for.", "data.labels=report"),
    "suspect labels": (
        {"labels": {"action": "report", "suspects": [{}], "sentence": "1 looks wrong."}},
        "labels",
        "1 looks wrong.",
        "data.labels=drop",
    ),
    "leak": (
        {"leakage": {"action": "report", "clean": False, "checks": [LEAK, LEAK]}},
        "leakage",
        f"{LEAK['sentence']} {LEAK['sentence']}",
        "data.leakage=fix",
    ),
    "leak of texts": (
        PARTED,
        "leakage",
        LEAK["sentence"],
        "data.split={by: group, column: context}",
    ),
    "leak of texts of given splits": (
        PARTED | {"files": {"train": [], "test": []}},
        "leakage",
        LEAK["sentence"],
        "data.leakage=fix",
    ),
    "leak of images": (
        PARTED | {"columns": PARTED["columns"] | {"part": ["passage", "hash of the content"]}},
        "leakage",
        LEAK["sentence"],
        "data.leakage=fix",
    ),
    "other leak": (
        PARTED | {"leakage": {"action": "report", "clean": False, "checks": [LEAK]}},
        "leakage",
        LEAK["sentence"],
        "data.leakage=fix",
    ),
    "mended leak": ({"leakage": {"action": "fix", "clean": False, "checks": [LEAK]}}, "leakage", LEAK["sentence"], ""),
    "giveaway": (
        {"leakage": {"action": "report", "clean": False, "checks": [LEAK | {"kind": "giveaway"}]}},
        "giveaway",
        LEAK["sentence"],
        "",
    ),
    "vocabulary": (
        {"splits": {"train": TRAIN | {"unknown": 0.38}}},
        "vocabulary",
        "38% of the tokens of the training rows are not in the model's vocabulary: it cannot read them.",
        "",
    ),
    "shift": ({"shift": {"found": True, "sentence": "Test rows differ."}}, "shift", "Test rows differ.", ""),
    "balance": (
        {"splits": {"train": TRAIN | {"labels": {"a": 880, "b": 20}}}},
        "balance",
        "Label 'a' has 880 training rows and 'b' 20.",
        "task.weights=balanced",
    ),
    "length": (
        {"splits": {"train": TRAIN | {"too_long": {"rows": 90}}}},
        "length",
        "90 of 900 training rows are longer than 128 tokens and lose their end.",
        "data.max_length=512",
    ),
    "length at the limit": (
        {"max_length": 512, "splits": {"train": TRAIN | {"too_long": {"rows": 90}}}},
        "length",
        "90 of 900 training rows are longer than 512 tokens and lose their end.",
        "",
    ),
    "length in seconds": (
        {"max_length": 2.5, "unit": "seconds", "splits": {"train": TRAIN | {"too_long": {"rows": 90}}}},
        "length",
        "90 of 900 training rows are longer than 2.5 seconds and lose their end.",
        "",
    ),
    "conflicts of images": (
        {
            "duplicates": {"exact": 0, "near": 0, "conflicts": 2, "settled": "keep"},
            "columns": {"medium": "image", "kind": "single"},
        },
        "conflicting labels",
        "2 groups of rows have the same picture and different labels.",
        "data.conflicts=majority",
    ),
    "size": ({"splits": {"train": TRAIN | {"rows": 100}}}, "size", "There are only 100 training rows.", "method=lora"),
}


@pytest.mark.parametrize("case", CASES)
def test_each_finding_has_its_sentence_and_a_line_that_a_recipe_takes(case: str) -> None:
    changes, topic, sentence, line = CASES[case]
    assert told(**changes)[topic] == (sentence, line)
    if line:
        read({"data": {"files": "x.csv"}}, [line], {})


@pytest.mark.parametrize("kind", ["numbers", "tags", "texts"])
def test_nothing_is_advised_that_only_classes_have(kind: str) -> None:
    train = TRAIN | {"labels": {"PER": 880, "LOC": 20}}
    said = told(columns={"medium": "text", "kind": kind}, labels=None, splits={"train": train})
    assert not {"labels", "balance"} & set(said)
