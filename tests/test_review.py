"""Rows to people and back: which are asked, what is written, and that the answers are the next run's data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from ruamel.yaml import YAML
from sklearn.metrics import log_loss

import luthier
import perceiving
from luthier import review
from luthier.data import columns, mislabeled, source
from luthier.errors import DataError, RunError
from luthier.recipe.data import Columns, Data
from reviewed_runs import (
    HELD_OUT,
    LABELS,
    ROWS,
    SEVERAL,
    Person,
    folder_of_run,
    label_studio_export,
    labelled_rows,
    prodigy_export,
    tasks_of,
)


@pytest.fixture
def rows() -> pd.DataFrame:
    return labelled_rows()


@pytest.fixture
def run(tmp_path: Path, rows: pd.DataFrame) -> Path:
    rows.to_csv(tmp_path / "reviews.csv", index=False)
    return folder_of_run(tmp_path, tmp_path / "reviews.csv", list(rows["sentiment"][list(HELD_OUT)]))


def suspect(row: int, given: Any, likely: Any) -> dict[str, Any]:
    return {"row": row, "given": given, "likely": likely, "probability": 0.9, "reason": "Its neighbours say so."}


def test_mistakes_are_asked_highest_loss_first(run: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    written = review.write_tasks(run, "label-studio", tmp_path / "out" / "tasks.json")
    stored = pd.read_parquet(run / "predictions.parquet")
    losses = {
        int(row["row"]): log_loss([row["label"]], [row["probabilities"]], labels=LABELS)
        for _, row in stored.iterrows()
        if row["label"] != row["predicted"]
    }
    tasks = tasks_of(written.files[0])
    assert [task["data"]["row"] for task in tasks] == sorted(losses, key=lambda row: -losses[row])
    assert (written.mistakes, written.suspects) == (len(losses), 0)
    assert "labelling configuration of the .xml file" in written.next_step
    first = tasks[0]["data"]
    assert first["text"] == rows["review"][first["row"] - 1]
    assert first["split"] == "all"
    assert first["given"] == rows["sentiment"][first["row"] - 1]


def test_a_task_fits_the_configuration_beside_it(run: Path, tmp_path: Path) -> None:
    tasks_file, config = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files
    view = ElementTree.parse(config).getroot()
    control, shown = view.find("Choices"), view.find("Text")
    assert control is not None
    assert shown is not None
    choices = [choice.get("value") for choice in control]
    assert choices == LABELS
    for task in tasks_of(tasks_file):
        (prediction,) = task["predictions"]
        (result,) = prediction["result"]
        assert (result["from_name"], result["to_name"]) == (control.get("name"), control.get("toName"))
        assert result["to_name"] == shown.get("name")
        assert (result["type"], control.get("choice")) == ("choices", "single")
        assert set(result["value"]["choices"]) <= set(choices)
        assert str(shown.get("value")).removeprefix("$") in task["data"]
        assert prediction["model_version"] == "run"
        assert 0 <= prediction["score"] <= 1


def test_suspects_are_taken_as_they_are_found(run: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    found = mislabeled.Suspect(4, 5, rows["sentiment"][4], "fine", 0.8, 0.1, (), "Most like it are fine.")
    facts = mislabeled.Suspects((found,), ROWS, ROWS, ()).facts
    tasks = review.write_tasks(run, "label-studio", tmp_path / "tasks.json", suspects=facts["suspects"]).files[0]
    first = tasks_of(tasks)[0]
    assert first["data"]["text"] == rows["review"][4]
    assert first["predictions"][0]["result"][0]["value"] == {"choices": ["fine"]}
    assert first["predictions"][0]["score"] == 0.8


def test_suspects_and_mistakes_take_turns_and_the_limit_holds(run: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    doubted = [suspect(2, rows["sentiment"][1], "fine"), suspect(7, rows["sentiment"][6], "good"), suspect(2, "x", "y")]
    written = review.write_tasks(run, "label-studio", tmp_path / "tasks.json", limit=5, suspects=doubted)
    tasks = [task["data"] for task in tasks_of(written.files[0])]
    assert (written.mistakes, written.suspects) == (3, 2)
    assert [tasks[0]["row"], tasks[2]["row"]] == [2, 7]
    assert tasks[0] | {"given": ""} == {
        **{"text": rows["review"][1], "split": "all", "row": 2, "given": "", "reason": "Its neighbours say so."}
    }
    assert tasks[0]["given"] == rows["sentiment"][1]
    assert len(tasks) == 5


EXPORTS: Mapping[str, Callable[[Path, Person], Path]] = {"label-studio": label_studio_export, "prodigy": prodigy_export}


@pytest.mark.parametrize(("tool", "file"), [("label-studio", "tasks.json"), ("prodigy", "tasks.jsonl")])
def test_answers_are_the_data_of_the_next_run(
    run: Path, rows: pd.DataFrame, tmp_path: Path, tool: str, file: str
) -> None:
    tasks = review.write_tasks(
        run, tool, tmp_path / "tasks" / file, suspects=[suspect(3, rows["sentiment"][2], "fine")]
    ).files[0]
    truth = {row: LABELS[row % 3] for row in range(1, ROWS + 1)}
    asked: list[int] = []

    def person(data: dict[str, Any]) -> list[str] | None:
        asked.append(data["row"])
        return None if data["row"] % 5 == 0 else [truth[data["row"]]]

    done = review.read_corrections(EXPORTS[tool](tasks, person), run, tmp_path / "next")
    answered = [row for row in asked if row % 5]
    expected = rows.copy()
    for row in answered:
        expected.loc[row - 1, "sentiment"] = truth[row]
    assert isinstance(done.files, str)
    (read,) = source.read(Data(files=done.files)).splits.values()
    assert read.to_pandas().equals(expected)
    assert 3 in answered
    assert (done.reviewed, done.unanswered) == (len(answered), len(asked) - len(answered))
    before = rows["sentiment"]
    assert {(c["row"], *c["before"], *c["after"]) for c in done.changes} == {
        (row, before[row - 1], truth[row]) for row in answered if before[row - 1] != truth[row]
    }
    lines = (tmp_path / "next" / "changes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(done.changes)
    assert pd.read_csv(tmp_path / "reviews.csv").equals(rows)


def test_several_annotators_vote_on_corrections(run: Path, tmp_path: Path) -> None:
    tasks = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files[0]
    export = label_studio_export(tasks, lambda data: ["fine"], annotators=3)
    done = review.read_corrections(export, run, tmp_path / "next", ending=".parquet")
    assert str(done.files).endswith("corrected.parquet")
    assert any("Krippendorff's alpha" in note for note in done.notes)


def as_list(rows: pd.DataFrame, held: list[list[str]]) -> pd.DataFrame:
    return rows.assign(tags=held)


def as_cells(rows: pd.DataFrame, held: list[list[str]]) -> pd.DataFrame:
    return rows.assign(tags=["|".join(one) for one in held])


def as_marks(rows: pd.DataFrame, held: list[list[str]]) -> pd.DataFrame:
    return rows.assign(dear=[int("dear" in one) for one in held], noisy=[int("noisy" in one) for one in held])


@pytest.mark.parametrize(
    ("form", "label", "separator"),
    [(as_list, "tags", None), (as_cells, "tags", "|"), (as_marks, ["dear", "noisy"], None)],
)
@pytest.mark.parametrize("tool", ["label-studio", "prodigy"])
def test_several_labels_come_back_in_the_form_of_the_source(
    tmp_path: Path, rows: pd.DataFrame, tool: str, form: Callable[..., pd.DataFrame], label: Any, separator: str | None
) -> None:
    held = [SEVERAL[row % 4] for row in range(ROWS)]
    original = form(rows[["review"]], held)
    original.to_parquet(tmp_path / "a.parquet")
    run = folder_of_run(tmp_path, tmp_path / "a.parquet", [held[row] for row in HELD_OUT], label, separator)
    file = {"label-studio": "tasks.json", "prodigy": "tasks.jsonl"}[tool]
    tasks = review.write_tasks(run, tool, tmp_path / file).files[0]
    changed: dict[int, list[str]] = {}

    def person(data: dict[str, Any]) -> list[str]:
        changed[data["row"]] = ["noisy", "dear"] if data["row"] % 2 else ["noisy"]
        return changed[data["row"]]

    done = review.read_corrections(EXPORTS[tool](tasks, person), run, tmp_path / "next", ending=".parquet")
    assert changed
    (read,) = source.read(Data(files=str(done.files))).splits.values()
    assert read.column_names == list(original.columns)
    found = columns.infer(read, Columns(text="review", label=label, separator=separator))
    wanted = [sorted(changed.get(row + 1, one)) for row, one in enumerate(held)]
    assert [sorted(one) for one in columns.labels(read, found)] == wanted


def test_integer_labels_stay_integers(tmp_path: Path, rows: pd.DataFrame) -> None:
    numbers = [LABELS.index(label) for label in rows["sentiment"]]
    rows.assign(sentiment=numbers).to_parquet(tmp_path / "a.parquet")
    run = folder_of_run(tmp_path, tmp_path / "a.parquet", list(rows["sentiment"][list(HELD_OUT)]))
    facts = json.loads((run / "data.json").read_text())
    facts["target"]["labels"] = [0, 1, 2]
    (run / "data.json").write_text(json.dumps(facts))
    stored = pd.read_parquet(run / "predictions.parquet")
    stored[["label", "predicted"]] = stored[["label", "predicted"]].map(LABELS.index)
    stored.to_parquet(run / "predictions.parquet")
    tasks = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files[0]
    done = review.read_corrections(label_studio_export(tasks, lambda data: ["2"]), run, tmp_path / "next")
    (read,) = source.read(Data(files=str(done.files))).splits.values()
    assert read.features["sentiment"].dtype == "int64"
    changed = {task["data"]["row"] - 1 for task in tasks_of(tasks)}
    assert list(read["sentiment"]) == [2 if row in changed else number for row, number in enumerate(numbers)]


def test_held_back_validation_rows_are_rows_of_the_training_file(run: Path, tmp_path: Path, rows: pd.DataFrame) -> None:
    rows.iloc[:5].to_csv(tmp_path / "test.csv", index=False)
    files = {"train": str(tmp_path / "reviews.csv"), "test": str(tmp_path / "test.csv")}
    recipe = YAML(typ="safe").load(run / "recipe.yaml")
    recipe["data"]["files"] = files
    YAML().dump(recipe, run / "recipe.yaml")
    facts = json.loads((run / "data.json").read_text())
    (run / "data.json").write_text(json.dumps(facts | {"files": files, "held_out": "validation"}))
    stored = pd.read_parquet(run / "predictions.parquet")
    stored.assign(split="validation").to_parquet(run / "predictions.parquet")
    tasks = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files[0]
    assert {task["data"]["split"] for task in tasks_of(tasks)} == {"train"}
    done = review.read_corrections(label_studio_export(tasks, lambda data: ["fine"]), run, tmp_path / "next")
    assert done.files == {name: str(tmp_path / "next" / f"{name}.jsonl") for name in files}
    read = source.read(Data(files=done.files)).splits
    assert list(read["test"]["sentiment"]) == list(rows["sentiment"][:5])
    changed = {task["data"]["row"] - 1 for task in tasks_of(tasks)}
    assert {row for row in changed if read["train"]["sentiment"][row] == "fine"} == changed


def test_what_cannot_be_written_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"Tasks cannot be written for 'labelstudio'; did you mean 'label-studio'\?"):
        review.write_tasks(run, "labelstudio", tmp_path / "a.json")
    with pytest.raises(
        DataError, match=r"Tasks for prodigy are written to a file that ends in \.jsonl; got .*a\.json\."
    ):
        review.write_tasks(run, "prodigy", tmp_path / "a.json")
    with pytest.raises(RunError, match=r"has no recipe\.yaml and no data\.json"):
        review.write_tasks(tmp_path, "prodigy", tmp_path / "a.jsonl")
    stored = pd.read_parquet(run / "predictions.parquet")
    stored[stored["label"] == stored["predicted"]].to_parquet(run / "predictions.parquet")
    with pytest.raises(
        DataError, match=r"has no mistakes on held-out rows, and no suspect rows were given: there is nothing to ask\."
    ):
        review.write_tasks(run, "prodigy", tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r"have no row 41 in 'all': they have changed, or the row is of another run\."):
        review.write_tasks(run, "prodigy", tmp_path / "a.jsonl", suspects=[suspect(41, "bad", "fine")])


def test_what_cannot_be_read_back_is_refused(run: Path, rows: pd.DataFrame, tmp_path: Path) -> None:
    tasks = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files[0]
    export = label_studio_export(tasks, lambda data: ["fine"])
    with pytest.raises(DataError, match=r"Corrected rows are written as \.csv, \.jsonl, \.parquet; got '\.xlsx'\."):
        review.read_corrections(export, run, tmp_path / "next", ending=".xlsx")
    with pytest.raises(
        DataError, match=r"reviews\.csv, row 1 does not say which row it is of: expected an export of tasks that"
    ):
        review.read_corrections(tmp_path / "reviews.csv", run, tmp_path / "next")
    rows.iloc[::-1].to_csv(tmp_path / "reviews.csv", index=False)
    with pytest.raises(
        DataError, match=r"and the answer is about .*: the data have changed since, or the answers are of another run\."
    ):
        review.read_corrections(export, run, tmp_path / "next")


def test_a_real_run(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """A model that has learned nothing is wrong often enough; what is corrected trains the next one."""
    recipe = {"model": str(tiny_bert), "data": {"files": str(reviews)}, "train": {"epochs": 1, "lr": 1e-9}}
    run = luthier.train(recipe | {"output": str(tmp_path / "first")})
    tasks = review.write_tasks(run.path, "label-studio", tmp_path / "tasks.json").files[0]
    flipped = {"positive": "negative", "negative": "positive"}
    export = label_studio_export(tasks, lambda data: [flipped[data["given"]]])
    done = review.read_corrections(export, run.path, tmp_path / "data")
    again = luthier.train(recipe | {"data": {"files": done.files}, "output": str(tmp_path / "second")})
    assert len(done.changes) == len(tasks_of(tasks))
    assert again.data["fingerprint"] != run.data["fingerprint"]
    assert again.data["splits"].keys() == run.data["splits"].keys()


def seen_run(tmp_path: Path, **method: Any) -> luthier.Run:
    """A run over pictures that has learned nothing."""
    data = {"files": str(perceiving.images(tmp_path / "colours", 10))}
    recipe = {"model": str(perceiving.network("vit", tmp_path / "model")), "data": data, "method": "head"}
    return luthier.train(recipe | {"train": {"epochs": 1, "lr": 1e-9}, "output": str(tmp_path / "seen"), **method})


def test_pictures_are_shown_and_their_labels_corrected(tmp_path: Path) -> None:
    run = seen_run(tmp_path)
    written = review.write_tasks(run.path, "label-studio", tmp_path / "tasks.json")
    assert "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true" in written.next_step
    config = ElementTree.parse(written.files[1]).getroot()
    assert config.find("Image").attrib == {"name": "text", "value": "$image"}
    for task in tasks_of(written.files[0]):
        assert Path(task["data"]["text"]).is_file()
        assert task["data"]["image"] == "/data/local-files/?d=" + task["data"]["text"].removeprefix("/")
    export = label_studio_export(written.files[0], lambda data: ["red"])
    done = review.read_corrections(export, run.path, tmp_path / "next")
    rows = source.read(Data(files=done.files)).splits["all"]
    assert {rows[change["row"] - 1]["label"] for change in done.changes} == {"red"}
    with pytest.raises(
        DataError,
        match=r"prodigy cannot show files by their paths, and the rows of .* are files\. Take --to label-studio\.",
    ):
        review.write_tasks(run.path, "prodigy", tmp_path / "tasks.jsonl")


def test_files_as_bytes_are_not_shown(tmp_path: Path) -> None:
    paths = sorted(perceiving.images(tmp_path / "colours", 10).rglob("*.png"))
    rows = [{"picture": {"bytes": one.read_bytes(), "path": None}, "label": one.parent.name} for one in paths]
    pd.DataFrame(rows).to_parquet(tmp_path / "rows.parquet")
    recipe = {
        "model": str(perceiving.network("vit", tmp_path / "model")),
        "data": {"files": str(tmp_path / "rows.parquet")},
        "method": "head",
    }
    run = luthier.train(recipe | {"train": {"epochs": 1, "lr": 1e-9}, "output": str(tmp_path / "seen")})
    with pytest.raises(
        DataError, match=r"hold files as bytes, which cannot be shown to people: write them to a folder first\."
    ):
        review.write_tasks(run.path, "label-studio", tmp_path / "tasks.json")


def test_numbers_and_tags_are_not_asked(tmp_path: Path, tiny_bert: Path) -> None:
    rows = pd.DataFrame(
        {"text": [f"the room number {row} is good" for row in range(60)], "score": [row / 10 for row in range(60)]}
    )
    rows.to_csv(tmp_path / "rows.csv", index=False)
    recipe = {
        "task": "regress",
        "model": str(tiny_bert),
        "data": {"files": str(tmp_path / "rows.csv")},
        "method": "head",
    }
    run = luthier.train(recipe | {"train": {"epochs": 1}, "output": str(tmp_path / "numbers")})
    with pytest.raises(
        DataError,
        match=r"A review asks for the class of a row, and .*numbers predicts a number: correct the rows in their own file",
    ):
        review.write_tasks(run.path, "label-studio", tmp_path / "tasks.json")
