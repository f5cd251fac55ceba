"""Rows for people to judge, as tasks of a labelling tool with the model's suggestion filled in. A member is one row of `TOOLS`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from luthier.folder import RunFolder

CONTROL, OBJECT = "label", "text"
"""`from_name` and `to_name`: an export of the tasks then has the answers in a column that is found by its name."""


@dataclass(frozen=True)
class Question:
    """A row for a person to look at."""

    split: str
    """The split of the source that it stands in; `all` where the files give none."""
    row: int
    """Its number there, counted from 1."""
    text: str
    """What stands in it, or where the file with it lies."""
    given: Sequence[str]
    """Its labels now: one, or any number where rows have several."""
    suggested: Sequence[str]
    """What the model says instead."""
    score: float
    """Probability of the suggestion, 0 to 1."""
    reason: str
    """Why it is asked, in a sentence."""

    @property
    def place(self) -> dict[str, Any]:
        """What comes back with the answer, to find the row again, and what a person should see beside it."""
        return {"split": self.split, "row": self.row, "given": ", ".join(self.given), "reason": self.reason}


@dataclass(frozen=True)
class Form:
    """What can be answered."""

    labels: Sequence[str]
    several: bool
    """Whether a row may have several labels."""
    version: str
    """Which model made the suggestions."""
    medium: str = "text"
    """What a row is, a key of `SHOWN`."""


def names(value: Any) -> list[str]:
    """The labels of a row as text: one, or any number of them, or none."""
    if value is None:
        return []
    several = isinstance(value, Iterable) and not isinstance(value, str)
    return [str(one) for one in value] if several else [str(value)]


SHOWN = {"text": ("Text", "text"), "image": ("Image", "image"), "audio": ("Audio", "audio")}
"""Label Studio's tag that shows a row, and the field of the task that it shows."""
SERVED = "/data/local-files/?d="
"""Where Label Studio serves files, behind which stands the path from its root (https://labelstud.io/guide/storage#Local-storage)."""


def label_studio_config(form: Form) -> str:
    """The labelling configuration that the tasks fit (https://labelstud.io/tags/choices)."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Header", value="$reason")
    tag, field = SHOWN[form.medium]
    ElementTree.SubElement(view, tag, name=OBJECT, value=f"${field}")
    answer = "multiple" if form.several else "single"
    choices = ElementTree.SubElement(view, "Choices", name=CONTROL, toName=OBJECT, choice=answer, showInline="true")
    for label in form.labels:
        ElementTree.SubElement(choices, "Choice", value=label)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def label_studio_task(question: Question, form: Form) -> dict[str, Any]:
    """A task with a prediction (https://labelstud.io/guide/predictions)."""
    chosen = {
        "id": f"{question.split}-{question.row}",
        "from_name": CONTROL,
        "to_name": OBJECT,
        "type": "choices",
        "value": {"choices": list(question.suggested)},
    }
    prediction = {
        "model_version": form.version,
        "score": question.score,
        "result": [chosen] if question.suggested else [],
    }
    field = SHOWN[form.medium][1]
    served = {} if field == "text" else {field: SERVED + quote(question.text.lstrip("/"))}
    return {"data": {"text": question.text, **served, **question.place}, "predictions": [prediction]}


def prodigy_task(question: Question, form: Form) -> dict[str, Any]:
    """A task of the choice interface with the suggestion chosen (https://prodi.gy/docs/api-interfaces#choice)."""
    return {
        "text": question.text,
        "options": [{"id": label, "text": label} for label in form.labels],
        "accept": list(question.suggested),
        "config": {"choice_style": "multiple" if form.several else "single"},
        "meta": {**question.place, "score": round(question.score, 4), "model": form.version},
    }


def _write_label_studio(questions: Sequence[Question], form: Form, file: Path) -> list[Path]:
    folder, config = RunFolder(file.parent), file.with_suffix(".xml").name
    tasks = folder.write_json(file.name, [label_studio_task(question, form) for question in questions])
    return [tasks, folder.write(config, label_studio_config(form))]


def _write_prodigy(questions: Sequence[Question], form: Form, file: Path) -> list[Path]:
    lines = [json.dumps(prodigy_task(question, form), ensure_ascii=False) + "\n" for question in questions]
    return [RunFolder(file.parent).write(file.name, "".join(lines))]


@dataclass(frozen=True)
class Tool:
    """A labelling tool: how tasks are written for it."""

    ending: str
    """Of the file that holds them."""
    write: Callable[[Sequence[Question], Form, Path], list[Path]]
    """Tasks, form, file -> the files written."""
    next_step: str
    """What to do with the files."""
    media_step: str
    """What more to do where rows are images or recordings; empty where the tool cannot show files by their paths."""


TOOLS: Mapping[str, Tool] = {
    "label-studio": Tool(
        ".json",
        _write_label_studio,
        "Make a project with the labelling configuration of the .xml file, import the .json file, and export as JSON when done.",
        "Start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/, and add the folder of "
        "the files as a local storage of the project.",
    ),
    "prodigy": Tool(
        ".jsonl",
        _write_prodigy,
        "Run `prodigy mark DATASET FILE --view-id choice`, and `prodigy db-out DATASET > answers.jsonl` when done.",
        "",
    ),
}
