"""`data.annotators: all`: every answer is a row, and all answers about an item land on one side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luthier.prepare import Prepared, prepare
from luthier.recipe.reading import read

ITEMS, PEOPLE = 40, 3


def label_studio(folder: Path) -> Path:
    """Texts of which no two are alike, judged by three people who do not always agree."""
    tasks = []
    for item in range(ITEMS):
        said = ["good" if (item + (item % 4 == person)) % 2 else "bad" for person in range(PEOPLE)]
        answers = [
            {
                "completed_by": person,
                "was_cancelled": False,
                "result": [
                    {"value": {"choices": [one]}, "from_name": "sentiment", "to_name": "text", "type": "choices"}
                ],
            }
            for person, one in enumerate(said)
        ]
        data = {"text": f"review {item * item} of {chr(97 + item % 26) * 9}"}
        tasks.append({"id": 900 + item, "annotations": answers, "data": data, "predictions": []})
    (folder / "export.json").write_text(json.dumps(tasks), encoding="utf-8")
    return folder / "export.json"


def prodigy(folder: Path) -> Path:
    """The same as answers one a line, people after each other."""
    lines = []
    for person in range(PEOPLE):
        for item in range(ITEMS):
            label = "good" if (item + (item % 4 == person)) % 2 else "bad"
            options = [{"id": one, "text": one} for one in ("good", "bad")]
            text = f"review {item * item} of {chr(97 + item % 26) * 9}"
            record: dict[str, Any] = {"text": text, "options": options, "accept": [label], "answer": "accept"}
            record |= {"_input_hash": item, "_task_hash": item, "_annotator_id": f"person {person}"}
            lines.append(json.dumps({**record, "_session_id": f"person {person}", "_view_id": "choice"}))
    (folder / "answers.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder / "answers.jsonl"


def prepared(file: Path, **data: Any) -> Prepared:
    return prepare(read({"data": {"files": str(file), "duplicates": "ignore", **data}}))


@pytest.mark.parametrize("export", [label_studio, prodigy], ids=lambda export: str(export.__name__))
@pytest.mark.parametrize("parts", ["8:1:1", "2:1:1"])
def test_all_answers_about_an_item_land_on_one_side(export: Any, parts: str, tmp_path: Path) -> None:
    split = {"by": "group", "column": "item", "parts": parts}
    data = prepared(export(tmp_path), annotators="all", split=split)
    items = {name: list(table.rows["item"]) for name, table in data.tables.items()}
    assert sum(map(len, items.values())) == ITEMS * PEOPLE
    assert all(one.count(item) == PEOPLE for one in items.values() for item in set(one))
    assert sorted(item for one in items.values() for item in set(one)) == list(range(1, ITEMS + 1))
    texts = [set(table.rows["text"]) for table in data.tables.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == ITEMS
    assert all(set(table.rows["annotator"]) for table in data.tables.values())
    checks = {one["kind"]: one["rows"] for one in data.facts["leakage"]["checks"]}
    assert checks["group"] == 0


def test_at_random_they_do_not(tmp_path: Path) -> None:
    """The reason for the split by item, and a proof that the test above can fail."""
    tables = prepared(label_studio(tmp_path), annotators="all").tables
    items = [set(table.rows["item"]) for table in tables.values()]
    assert sum(map(len, items)) > len(set.union(*items)) == ITEMS


def test_the_majority_is_one_row_an_item(tmp_path: Path) -> None:
    data = prepared(label_studio(tmp_path))
    assert sum(len(table.labels) for table in data.tables.values()) == ITEMS
    assert "item" not in data.tables["train"].rows.column_names
