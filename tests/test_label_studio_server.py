"""The way to people and back through Label Studio's own code: its SDK, and a real server that the test starts.

Both want an older numpy than luthier, so they live in an environment of their own, which LABEL_STUDIO_PYTHON names:
`python -m venv ls && ls/bin/pip install label-studio && LABEL_STUDIO_PYTHON=ls/bin/python pytest -m slow tests/test_label_studio_server.py`
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from luthier import review
from luthier.data.formats import open_table
from reviewed_runs import HELD_OUT, ROWS, SEVERAL, folder_of_run, label_studio_export, labelled_rows, tasks_of

pytestmark = pytest.mark.slow

ANSWERS = {False: (["good"], ["bad"]), True: (["noisy", "dear"], ["noisy"])}
"""What people say of rows with an even and an odd number; of every seventh they say nothing."""

CHECK = """
import json, sys
from label_studio_sdk.converter import Converter
from label_studio_sdk.label_interface import LabelInterface
config, tasks, export, folder = sys.argv[1:]
interface = LabelInterface(open(config, encoding="utf-8").read())
interface.validate()
for task in json.load(open(tasks, encoding="utf-8")):
    assert interface.validate_task({"data": task["data"]})
    for prediction in task["predictions"]:
        wrong = interface.validate_prediction(prediction, return_errors=True)
        assert not wrong, wrong
converter = Converter(config=config, project_dir=folder)
converter.convert_to_json_min(export, folder, is_dir=False)
converter.convert_to_csv(export, folder, is_dir=False, sep=",")
"""


def python_with(package: str) -> str:
    python = os.environ.get("LABEL_STUDIO_PYTHON", sys.executable)
    look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    if subprocess.run([python, "-c", look], check=False).returncode:
        pytest.skip(f"{package} is not installed for {python}; set LABEL_STUDIO_PYTHON to a python that has it")
    return python


def run_of(tmp_path: Path, several: bool) -> Path:
    rows = labelled_rows()
    held = [SEVERAL[row % 4] for row in range(ROWS)]
    table = rows.assign(sentiment=["|".join(one) for one in held]) if several else rows
    table.to_csv(tmp_path / "reviews.csv", index=False)
    values = [held[row] for row in HELD_OUT] if several else list(rows["sentiment"][list(HELD_OUT)])
    return folder_of_run(tmp_path, tmp_path / "reviews.csv", values, separator="|" if several else None)


def person(several: bool) -> Callable[[dict[str, Any]], list[str] | None]:
    return lambda data: ANSWERS[several][data["row"] % 2] if data["row"] % 7 else None


@pytest.mark.parametrize("several", [False, True])
def test_the_sdk_takes_the_tasks_and_its_exports_come_back(tmp_path: Path, several: bool) -> None:
    sdk = python_with("label_studio_sdk")
    run = run_of(tmp_path, several)
    tasks, config = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files
    export = label_studio_export(tasks, person(several))
    converted = tmp_path / "converted"
    converted.mkdir()
    subprocess.run([sdk, "-c", CHECK, config, tasks, export, converted], check=True)
    expected = review.read_corrections(export, run, tmp_path / "json")
    assert expected.changes
    for name in ("result.json", "result.csv"):
        done = review.read_corrections(converted / name, run, tmp_path / name)
        assert done.changes == expected.changes
        assert done.reviewed == expected.reviewed


@dataclass(frozen=True)
class Server:
    """A Label Studio that answers at `url`."""

    url: str
    token: str

    def ask(self, path: str, body: Any = None) -> bytes:
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self.url + path, data, headers), timeout=60) as answer:
            content: bytes = answer.read()
        return content


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    python = python_with("label_studio")
    folder = tmp_path_factory.mktemp("label-studio")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Server(f"http://127.0.0.1:{port}", "0123456789abcdef0123456789abcdef01234567")
    settings = {
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "COLLECT_ANALYTICS": "False",
        "LATEST_VERSION_CHECK": "False",
    }
    account = ["--username", "a@example.com", "--password", "not-secret-1", "--user-token", found.token]
    command = [str(Path(python).with_name("label-studio")), "start", "--no-browser", "--port", str(port)]
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *account], env=inherited | settings, cwd=folder, stdout=log, stderr=log)
        try:
            if not answers_within(found, process, seconds=300):
                pytest.skip(f"label-studio did not start: {(folder / 'log').read_text()[-500:]}")
            yield found
        finally:
            process.terminate()
            process.wait(timeout=30)


def answers_within(server: Server, process: subprocess.Popen[bytes], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            server.ask("/api/projects")
        except (URLError, OSError):
            time.sleep(1)
        else:
            return True
    return False


@pytest.mark.parametrize("several", [False, True])
def test_a_real_server_takes_the_tasks_and_its_exports_come_back(tmp_path: Path, server: Server, several: bool) -> None:
    run = run_of(tmp_path, several)
    tasks, config = review.write_tasks(run, "label-studio", tmp_path / "tasks.json").files
    project = json.loads(server.ask("/api/projects", {"title": "review", "label_config": config.read_text()}))["id"]
    imported = json.loads(server.ask(f"/api/projects/{project}/import?return_task_ids=true", tasks_of(tasks)))
    assert (imported["task_count"], imported["prediction_count"]) == (len(tasks_of(tasks)),) * 2
    said = {}
    for number in imported["task_ids"]:
        task = json.loads(server.ask(f"/api/tasks/{number}"))
        labels = person(several)(task["data"])
        (suggestion,) = task["predictions"]
        given = [one | {"value": {"choices": labels}} for one in suggestion["result"] or [bare()]]
        annotation = {"result": given if labels else [], "was_cancelled": labels is None}
        server.ask(f"/api/tasks/{number}/annotations/", annotation)
        said[task["data"]["row"]] = labels
    for kind, name in (("JSON", "a.json"), ("JSON_MIN", "min.json"), ("CSV", "a.csv")):
        export = tmp_path / name
        export.write_bytes(server.ask(f"/api/projects/{project}/export?exportType={kind}&download_all_tasks=true"))
        done = review.read_corrections(export, run, tmp_path / kind)
        assert done.reviewed == sum(labels is not None for labels in said.values()), kind
        assert {one["row"]: one["after"] for one in done.changes}.items() <= said.items()
        before = {task["data"]["row"]: task["data"]["given"] for task in tasks_of(tasks)}
        wrong = {row for row, labels in said.items() if labels and sorted(labels) != sorted(before[row].split(", "))}
        assert {one["row"] for one in done.changes} == wrong, kind
    assert open_table(tmp_path / "a.json").facts["skipped"] == sum(labels is None for labels in said.values())


def bare() -> dict[str, Any]:
    """A result where the model suggested nothing."""
    return {"from_name": "label", "to_name": "text", "type": "choices"}
