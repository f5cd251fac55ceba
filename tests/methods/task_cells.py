"""The cells of the second grid: every task on everything that it reads, with every method, from a file to predictions.

Whether a method does what it should is shown by cells.py. Here a run ends, says something of every row, and says the same when it is
opened again; or it is refused with a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from cells import YES, settings

import captioned
import describing
import luthier
import passages_sample
import perceiving
import tiny_models
from luthier.errors import LuthierError

PAGE = Path(__file__).parents[2] / "docs" / "task-grid.md"
INTRODUCTION = """\
# Tasks, what they read, and methods

Written by `make docs`; tests/methods/test_task_cells.py holds every cell to be what it says. *yes*: on a tiny random
network a run goes from its file to a report, answers every held-out row, and gives the same answers when it is opened again. A
number: refused before training, for the reason below. Which method works on which family of models: [methods.md](methods.md).
"""
ROWS = 40
OWN = {"cloze": [{"name": "cloze", "pattern": "{text} {soft:2} {mask}"}]}
"""Settings that fit these rows, where those of the other grid do not."""
RECOGNISER, CAPTIONER, SEEING = "recogniser", "captioner", "seeing"
WORDS = {"good": ("good", "great", "lovely"), "bad": ("bad", "awful", "poor")}


@dataclass(frozen=True)
class Kind:
    """A task on something that it reads."""

    task: Any
    network: str
    write: Callable[[Path], Path]
    """Writes the data; returns what `data.files` names."""
    columns: Mapping[str, Any]


def _sentences() -> list[tuple[str, str]]:
    """Texts, no two alike, and whether they are good or bad."""
    nouns = ("film", "room", "service", "phone", "battery")
    return [
        (f"the {nouns[row % 5]} {row} is {WORDS[label][row % 3]}", label)
        for row, label in ((row, ("good", "bad")[row % 2]) for row in range(ROWS))
    ]


def _csv(place: Path, **columns: list[Any]) -> Path:
    pd.DataFrame(columns).to_csv(place / "rows.csv", index=False)
    return place / "rows.csv"


def _classes(place: Path) -> Path:
    texts, labels = zip(*_sentences(), strict=True)
    return _csv(place, text=list(texts), label=list(labels))


def _numbers(place: Path) -> Path:
    texts, labels = zip(*_sentences(), strict=True)
    return _csv(place, text=list(texts), score=[(label == "good") + row / 100 for row, label in enumerate(labels)])


def _pairs(place: Path) -> Path:
    texts, labels = zip(*_sentences(), strict=True)
    beside = [(5 * row + row // 3 + 1) % ROWS for row in range(ROWS)]
    others = [texts[other] for other in beside]
    same = [int(labels[row] == labels[other]) for row, other in enumerate(beside)]
    return _csv(place, text_a=list(texts), text_b=others, label=same)


def _tags(place: Path) -> Path:
    blocks = []
    for text, _ in _sentences():
        blocks.append("\n".join(f"{word} {'B-NOUN' if at == 1 else 'O'}" for at, word in enumerate(text.split())))
    (place / "rows.bio").write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return place / "rows.bio"


def _answers(place: Path) -> Path:
    rows = [{"prompt": f"how is it? {text}", "answer": label} for text, label in _sentences()]
    (place / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return place / "rows.jsonl"


def _questions(place: Path) -> Path:
    """What each sentence is about, and how it is; of every fifth nobody knows why."""
    articles = []
    for row, (text, _) in enumerate(_sentences()[: ROWS // 2]):
        words = text.split()
        asked = [("the", (words[1],)), ("is", (words[-1],))] + ([("why", ())] if row % 5 == 0 else [])
        articles.append((f"t{row}", text, tuple(asked)))
    return passages_sample.write(place, tuple(articles))


def _images(place: Path) -> Path:
    return perceiving.images(place / "images", ROWS // 3)


def _captions(place: Path) -> Path:
    return captioned.captions(place / "captions", ROWS)


def _described(place: Path) -> Path:
    return describing.captions(place / "captions", ROWS)


def _sounds(place: Path) -> Path:
    return perceiving.sounds(place / "sounds", ROWS // 2)


def _said(place: Path) -> Path:
    return perceiving.spoken(place / "sounds", ROWS // 2)


def _measured(place: Path) -> Path:
    """Images with a number each."""
    files = sorted(str(file) for file in _images(place).glob("*/*.png"))
    return _csv(place, image=files, score=[float(at % 7) for at in range(len(files))])


PHOTO = {"image": "photo", "text": "caption"}
KINDS: Mapping[str, Kind] = {
    "classify text": Kind("classify", "bert", _classes, {"text": "text", "label": "label"}),
    "classify text pair": Kind("classify", "bert", _pairs, {"text": "text_a", "pair": "text_b", "label": "label"}),
    "classify image": Kind("classify", "vit", _images, {}),
    "classify audio": Kind("classify", "whisper", _sounds, {"label": "label"}),
    "classify image + text": Kind("classify", "gated", _captions, {**PHOTO, "label": "colour"}),
    "regress text": Kind("regress", "bert", _numbers, {"text": "text", "label": "score"}),
    "regress image": Kind("regress", "vit", _measured, {"label": "score"}),
    "regress image + text": Kind("regress", "concat", _captions, {**PHOTO, "label": "number"}),
    "align image + text": Kind("align", "clip", _captions, PHOTO),
    "match text pair, cross": Kind("match", "bert", _pairs, {"text": "text_a", "pair": "text_b", "label": "label"}),
    "match text pair, twin": Kind(
        {"name": "match", "kind": "twin"}, "bert", _pairs, {"text": "text_a", "pair": "text_b", "label": "label"}
    ),
    "tag tokens": Kind("tag", "bert", _tags, {}),
    "answer question": Kind("answer", "bert", _questions, {}),
    "generate text": Kind(
        {"name": "generate", "max_new_tokens": 4}, "llama", _answers, {"text": "prompt", "label": "answer"}
    ),
    "generate text, encoder and decoder": Kind(
        {"name": "generate", "max_new_tokens": 4}, "bart", _answers, {"text": "prompt", "label": "answer"}
    ),
    "generate caption of image": Kind(
        {"name": "generate", "max_new_tokens": 4}, CAPTIONER, _described, {"image": "photo", "label": "caption"}
    ),
    "generate caption of image, encoder and decoder": Kind(
        {"name": "generate", "max_new_tokens": 4}, SEEING, _described, {"image": "photo", "label": "caption"}
    ),
    "transcribe audio": Kind({"name": "transcribe", "max_new_tokens": 4}, RECOGNISER, _said, {"label": "sentence"}),
}


def outcome(kind: str, method: str, place: Path) -> str:
    """`YES`, or the sentence with which the run is refused.

    Raises:
        AssertionError: the run answers something else when it is opened again.
    """
    place.mkdir(parents=True)
    try:
        run = luthier.train(recipe(kind, method, place))
    except LuthierError as refused:
        return " ".join(str(refused).replace(str(place), "").split())
    check_answers(run)
    return YES


def recipe(kind: str, method: str, place: Path) -> dict[str, Any]:
    """What a cell runs, with its rows and its network written into a folder."""
    one = KINDS[kind]
    return {
        "task": one.task,
        "model": network(one.network, method, place / "model"),
        "data": {"files": str(one.write(place)), "columns": dict(one.columns), "similarity": None},
        "method": OWN.get(method) or settings(method),
        "train": {"epochs": 1, "batch_size": 8, "precision": "fp32", "device": "cpu"},
        "output": str(place / "run"),
    }


def network(name: str, method: str, folder: Path) -> Any:
    """What `model` says of a tiny network, where a method needs it with the head that predicts words."""
    if name == CAPTIONER:
        return describing.networks(folder)
    return captioned.towers(name, folder) if name in captioned.FUSIONS else str(_network(name, method, folder))


def _network(name: str, method: str, folder: Path) -> Path:
    if name in captioned.NETWORKS:
        return captioned.network(name, folder)
    if name == SEEING:
        return describing.encoder_decoder(folder)
    if name == RECOGNISER:
        return perceiving.recogniser(folder)
    if name in perceiving.PROCESSORS:
        return perceiving.network(name, folder)
    if name in tiny_models.ANSWERING:
        return tiny_models.make_answering(name, folder)
    speaks = method == "cloze" or name in tiny_models.CAUSAL
    return (tiny_models.make_speaking if speaks else tiny_models.make)(name, folder)


def check_answers(run: luthier.Run) -> None:
    """The stored answers are those of the run opened anew."""
    stored = pd.read_parquet(run.path / "predictions.parquet")
    test = stored[stored["split"] == "test"]
    columns = run.data["columns"]
    read = [columns["text"], *columns["also"]]
    rows = [tuple(row) if len(read) > 1 else plain(row[0]) for row in test[read].itertuples(index=False)]
    again = [plain(one.label) for one in luthier.open(run.path).predict(rows)]
    assert len(again) == len(test) > 0
    assert [without_text(one) for one in again] == [plain(one) for one in test["predicted"]]


def plain(value: Any) -> Any:
    """Arrays, as parquet gives them, as lists; numbers to six digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if hasattr(value, "tolist") or isinstance(value, list) else value


def without_text(answer: Any) -> Any:
    """An answer without what only the row shows."""
    if isinstance(answer, list):
        return [{key: one[key] for key in one if key != "text"} if isinstance(one, dict) else one for one in answer]
    return answer
