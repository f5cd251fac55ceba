"""Kill the real command at moments that hurt, run it again, and compare with the run that nobody killed: bit for bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from killing import Moment, Outcome, luthier

from small_jobs import recipe_for, write_recipe

Starter = Callable[..., Outcome]


class Trial:
    """A recipe whose run is compared between folders."""

    def __init__(self, place: Path, model: Path, data: Path, train: dict[str, Any], **keys: Any) -> None:
        self.place = place
        self.recipe = write_recipe(recipe_for(model, data, place / "whole", train, **keys), place / "recipe.yaml")

    def run(self, name: str, *options: str, at: Sequence[tuple[Moment, int]] = ()) -> Outcome:
        folder = self.place / name
        return luthier(
            "train", str(self.recipe), f"output={folder}", *options, notes=self.place / "notes", folder=folder, at=at
        )

    def same(self, name: str) -> None:
        """The folder `name` holds what the uninterrupted run left."""
        whole, other = self.place / "whole", self.place / name
        for file in ("model/model.safetensors", "model/adapter_model.safetensors"):
            if (whole / file).exists():
                assert (whole / file).read_bytes() == (other / file).read_bytes(), file
        assert steps(whole) == steps(other)
        assert evaluations(whole) == evaluations(other)
        assert [one["reason"] for one in log(whole, "stop")] == [one["reason"] for one in log(other, "stop")]
        assert pq.read_table(whole / "predictions.parquet").equals(pq.read_table(other / "predictions.parquet"))
        assert {one.name for one in other.iterdir()} == {one.name for one in whole.iterdir()}
        names = {one.name for one in (other / "checkpoints").iterdir()}
        assert names == {one.name for one in (whole / "checkpoints").iterdir()}


def log(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]


def steps(folder: Path) -> list[tuple[int, float, float, float]]:
    return [(one["step"], one["loss"], one["lr"], one["grad_norm"]) for one in log(folder, "step")]


def evaluations(folder: Path) -> list[dict[str, Any]]:
    return log(folder, "evaluate")


def killed(text: str, nth: int = 1) -> tuple[Moment, int]:
    return Moment(text, nth), signal.SIGKILL


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_reviews: Callable[..., Path]) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path, data: Path) -> Trial:
    """Everything trains, with dropout; the best evaluation changes several times."""
    trial = Trial(tmp_path_factory.mktemp("full"), tiny_bert, data, {"lr": 5e-3, "epochs": 4, "monitor": "log_loss"})
    outcome = trial.run("whole")
    assert outcome.code == 0, outcome.err
    trial.operations = outcome.operations  # type: ignore[attr-defined]
    return trial


CHAIN = {
    "recipe.yaml stands, data.json does not": killed("open .data.json.tmp w"),
    "in the first epoch": killed("open log.jsonl a", 4),
    "in the middle of the first checkpoint": killed("open checkpoints/best.tmp/manifest.json w"),
    "between best and last": killed("os.rename checkpoints/last.tmp"),
    "last is put aside, the new one does not stand": killed("os.rename checkpoints/last.tmp"),
    "after an evaluation, before its line": killed("open log.jsonl a", 7),
    "best is put aside, the new one does not stand": killed("os.rename checkpoints/best.tmp"),
    "the best before is not yet removed": killed("open checkpoints/best.old None"),
    "after the last step": killed("open .predictions.parquet.tmp"),
    "the model is half written": killed("open model.tmp/manifest.json w"),
    "the model stands, the report does not": killed("open .report.html.tmp w"),
}


def test_killed_again_and_again_it_ends_with_the_same_weights(full: Trial) -> None:
    for name, moment in CHAIN.items():
        outcome = full.run("chain", at=[moment])
        assert outcome.code == -signal.SIGKILL, (name, outcome.code, outcome.err)
    assert full.run("chain").code == 0
    full.same("chain")


ELABORATE = {
    "lr": 5e-3,
    "epochs": 5,
    "batch_size": 8,
    "accumulation": 2,
    "schedule": "plateau",
    "early_stopping": {"patience": 3},
    "monitor": "log_loss",
    "evaluate_every": 3,
    "save_every": 2,
    "keep": 2,
    "max_tokens": 64,
}


def test_killed_with_lora_plateau_accumulation_and_kept_checkpoints(
    tiny_bert: Path, data: Path, tmp_path: Path
) -> None:
    trial = Trial(tmp_path, tiny_bert, data, ELABORATE, method={"name": "lora", "rank": 4})
    assert trial.run("whole").code == 0
    moments = [
        killed("open log.jsonl a", 4),
        killed("os.rename checkpoints/last.tmp", 2),
        killed("open log.jsonl a", 6),
        killed("os.rename checkpoints/step-"),
        killed("os.rmdir checkpoints/.removed"),
    ]
    for moment in moments:
        outcome = trial.run("chain", at=[moment])
        assert outcome.code == -signal.SIGKILL, (moment, outcome.err)
    assert trial.run("chain").code == 0
    trial.same("chain")
    assert len(list((tmp_path / "chain" / "checkpoints").glob("step-*"))) == 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_before_every_single_file_operation(full: Trial) -> None:
    seen: dict[str, int] = {}
    for text in full.operations:  # type: ignore[attr-defined]
        seen[text] = seen.get(text, 0) + 1
        name = f"sweep-{text.replace('/', '_')}-{seen[text]}"
        outcome = full.run(name, at=[killed(text, seen[text])])
        assert outcome.code in {-signal.SIGKILL, 0}, (name, outcome.err)
        again = full.run(name)
        assert again.code == 0, (name, again.err)
        full.same(name)


def test_ctrl_c_saves_and_the_same_command_goes_on(full: Trial) -> None:
    outcome = full.run("stopped", at=[(Moment("open log.jsonl a", 10), signal.SIGINT)])
    assert outcome.code == 130
    assert "Stopped after step 8; a checkpoint is saved. The same command goes on from there." in outcome.err
    assert json.loads((full.place / "stopped" / "checkpoints/last/state.json").read_text())["step"] == 8
    again = full.run("stopped", "--resume")
    assert again.code == 0
    assert "Going on from step 8 of 24." in again.err
    full.same("stopped")


def test_a_second_ctrl_c_ends_at_once(full: Trial) -> None:
    first, second = Moment("open log.jsonl a", 3), Moment("open checkpoints/last.tmp/state.json w")
    outcome = full.run("twice", at=[(first, signal.SIGINT), (second, signal.SIGINT)])
    assert outcome.code == 130
    assert "a checkpoint is saved" not in outcome.err
    assert list((full.place / "twice" / "checkpoints").iterdir()) == []
    assert full.run("twice").code == 0
    full.same("twice")


def test_a_finished_run_is_not_trained_again(full: Trial) -> None:
    before = (full.place / "whole" / "log.jsonl").read_bytes()
    outcome = full.run("whole")
    assert outcome.code == 0
    assert f"The run in {full.place / 'whole'} is finished already; --restart trains it anew." in outcome.err
    assert (full.place / "whole" / "log.jsonl").read_bytes() == before


def test_restart_trains_anew(full: Trial) -> None:
    (full.place / "anew").mkdir()
    assert full.run("anew", "--restart", at=[killed("open log.jsonl a", 9)]).code == -signal.SIGKILL
    assert full.run("anew", "--restart", at=[killed("os.remove recipe.yaml")]).code == -signal.SIGKILL
    outcome = full.run("anew", "--restart")
    assert outcome.code == 0
    assert "Going on" not in outcome.err
    full.same("anew")


def test_the_installed_command_killed_stopped_and_locked(full: Trial, data: Path) -> None:
    """What the other tests do by a fork, once with a command as a person starts it and signals from outside."""
    folder = full.place / "real"
    process = start(full, folder)
    wait_until(lambda: count(folder) >= 3, process)
    process.send_signal(signal.SIGSTOP)
    locked = full.run("real")
    assert locked.code == 2
    held = (
        f"error: {folder} is in use by another luthier (process {process.pid}). Wait for it, stop it, or give another"
    )
    assert held in locked.err
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    assert "The same command goes on from there." in process.communicate()[1]
    assert process.returncode == 130
    stood = count(folder)
    process = start(full, folder)
    wait_until(lambda: count(folder) > stood, process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert full.run("real").code == 0
    full.same("real")


def start(trial: Trial, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "luthier", "train", str(trial.recipe), f"output={folder}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def count(folder: Path) -> int:
    file = folder / "log.jsonl"
    return file.read_bytes().count(b'"event": "step"') if file.exists() else 0


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.001)
