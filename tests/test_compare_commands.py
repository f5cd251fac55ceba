"""`luthier compare` from the command line: trainings in processes of their own, tables, files, refusals."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import psutil
import pytest

from luthier import hardware, trials
from luthier.errors import RecipeError, RunError
from luthier.folder import RunFolder
from luthier.recipe.reading import dump, read
from luthier.show import Console

QUIET = Console(quiet=True)


@pytest.fixture
def recipe(tiny_bert: Path, reviews: Path, tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yaml"
    file.write_text(
        f"model: {tiny_bert}\ndata: {{files: {reviews}}}\n"
        f"train: {{epochs: 2, precision: fp32, lr: 0.01}}\noutput: {tmp_path}/run\n"
    )
    return file


def test_methods_are_trained_and_compared(luthier, recipe: Path, tmp_path: Path) -> None:
    """A method that the model cannot have fails, is shown with its reason, and the exit code tells."""
    said = luthier("compare", recipe, "--methods", "head,cloze")
    assert said.code == 1, said.err
    place = tmp_path / "run" / "compare"
    facts = json.loads((place / "compare.json").read_text())
    lines = {one["name"]: one for one in facts["contenders"]}
    assert list(lines) == ["head", "cloze", "majority class", "tf-idf + linear model", "untuned base"]
    assert "method cloze" in lines["cloze"]["failed"]
    assert f"cloze failed: {lines['cloze']['failed']}" in said.out
    assert "it has no head for these labels" in lines["untuned base"]["failed"]
    assert facts["rows"] == 12
    cost = lines["head"]["cost"]
    assert all(cost[name] > 0 for name in ("parameters", "memory_mb", "seconds", "milliseconds", "bytes"))
    assert f"Every figure, plots and rows: {place}/compare.html" in said.out
    held = "The recipe gives train.lr and train.epochs, which held for all methods. Left out, each has what suits it."
    assert held in said.out
    assert "What they cost" in said.out
    assert (place / "compare.html").is_file()
    log = (place / "head-0" / "log.jsonl").read_text()
    again = luthier("compare", recipe, "--methods", "head", "--no-opponents")
    assert again.code == 0, again.err
    assert "trained already" in again.err
    assert (place / "head-0" / "log.jsonl").read_text() == log
    assert luthier("train", recipe).code == 0  # beside the comparison


@pytest.mark.slow
def test_seeds_share_the_rows_and_runs_are_compared(luthier, recipe: Path, tmp_path: Path) -> None:
    place = tmp_path / "run" / "compare"
    said = luthier("compare", recipe, "--methods", "head", "--seeds", "2", "--no-opponents")
    assert said.code == 0, said.err
    rows = [pd.read_parquet(place / f"head-{seed}" / "rows.parquet") for seed in (0, 1)]
    pd.testing.assert_frame_equal(*rows)
    weights = [(place / f"head-{seed}" / "model" / "model.safetensors").read_bytes() for seed in (0, 1)]
    assert weights[0] != weights[1]
    (line,) = json.loads((place / "compare.json").read_text())["contenders"]
    assert line["seeds"] == [0, 1]
    assert len(line["figures"]["accuracy"]["each"]) == 2
    copy = tmp_path / "copy"
    shutil.copytree(place / "head-0", copy)
    compared = luthier("compare", place / "head-0", copy, "--output", tmp_path / "out", "--no-opponents")
    assert compared.code == 0, compared.err
    found = json.loads((tmp_path / "out" / "compare.json").read_text())["contenders"]
    assert [one["name"] for one in found] == ["head-0", "copy"]
    assert found[1]["figures"]["accuracy"]["test"]["p"] == 1
    with pytest.raises(RunError, match="holds a run of another recipe"):
        trials.plan(recipe, ["train.epochs=1"], ["head"], 1)
    assert luthier("compare", place / "head-0", "--no-opponents").err == (
        "error: One run has nothing to be compared with: give another one, or leave --no-opponents away.\n"
    )


def test_trainings_differ_in_method_and_seed_alone(recipe: Path, tmp_path: Path) -> None:
    planned = trials.plan(recipe, ["seed=5", "method={name: lora, rank: 2}"], ["lora", "head"], 2)
    folder = tmp_path / "run" / "compare"
    assert [(one.method, one.seed, one.folder) for one in planned] == [
        (method, seed, folder / f"{method}-{seed}") for method in ("lora", "head") for seed in (5, 6)
    ]
    assert planned[0].overrides[2:] == ("seed=5", "data.split.seed=5", f"output={folder}/lora-5")  # with its own rank
    assert planned[3].overrides[2:] == (
        "method=head", "stages=", "seed=6", "data.split.seed=5", f"output={folder}/head-6"
    )  # fmt: skip


def test_a_measured_precision_is_the_same_for_all(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine it comes out otherwise each time."""
    measured = iter(["bf16", "fp32", "fp32"])
    monkeypatch.setattr(hardware, "precision", lambda *asked: hardware.Precision(next(measured), "measured"))
    planned = trials.plan(recipe, ["train.precision=auto"], ["head", "lora"], 2)
    assert {one.recipe.train.precision for one in planned} == {"bf16"}
    begun = RunFolder(planned[2].folder)
    begun.path.mkdir(parents=True)
    begun.write("recipe.yaml", dump(planned[2].recipe.model_dump(mode="json") | {"resolved": {"precision": "bf16"}}))
    again = trials.plan(recipe, ["train.precision=auto"], ["head", "lora"], 2)
    assert {one.recipe.train.precision for one in again} == {"bf16"}


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["lara"], "--methods: there is no method 'lara'; did you mean 'lora'"),
        (["head", "head"], "--methods names a method twice."),
    ],
)
def test_methods_are_checked_before_anything_is_trained(recipe: Path, methods: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as wrong:
        trials.plan(recipe, [], methods, 1)
    assert message in str(wrong.value)


def test_a_recipe_and_a_run_are_told_apart(luthier, recipe: Path, tmp_path: Path) -> None:
    assert luthier("compare", recipe).err == (
        f"error: {recipe} is a recipe: say what to compare with --methods, such as --methods head,top,lora.\n"
    )
    assert luthier("compare", tmp_path, "--methods", "head").err == (
        f"error: {tmp_path} is a run, and --methods trains a recipe: give {tmp_path}/recipe.yaml, or leave --methods away.\n"
    )


@pytest.mark.parametrize(
    ("code", "lines", "why"),
    [
        (0, ["all good"], ""),
        (2, ["Reading", "error: The file", "is empty."], "The file is empty."),
        (1, ["Traceback", "ValueError: x"], "ValueError: x"),
        (3, [], "the process ended with code 3"),
        (-signal.SIGKILL, ["error: no"], "the process was ended by SIGKILL, as the system does when memory runs out"),
        (-signal.SIGTERM, [], "the process was ended by SIGTERM"),
    ],
)
def test_why_a_training_failed(monkeypatch: pytest.MonkeyPatch, code: int, lines: list[str], why: str) -> None:
    """By a process that ends so."""
    text = "\n".join(lines)
    ends = f"import os, sys; print({text!r}, file=sys.stderr); sys.stderr.flush(); "
    ends += f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    ended = _ending(monkeypatch, ends)
    assert ended == why


def test_a_training_that_was_stopped_stops_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        _ending(monkeypatch, "import sys; sys.exit(130)")


def test_when_all_fail_the_first_reason_is_told(luthier, recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_train", lambda path, trial, console, restart: f"{trial.name} has no memory")
    said = luthier("compare", recipe, "--methods", "head,top")
    assert said.code == 2
    assert "error: None of the 2 trainings came to its end; the first: head, seed 0 has no memory\n" in said.err


def _ending(monkeypatch: pytest.MonkeyPatch, script: str) -> str:
    """What is said of a training whose process runs a script in place of luthier."""
    real = trials.subprocess.Popen
    monkeypatch.setattr(
        trials.subprocess, "Popen", lambda command, **options: real([sys.executable, "-c", script], **options)
    )
    (done,) = trials.run(
        Path("recipe.yaml"), [trials.Trial("head", 0, Path("nowhere"), (), read({"data": {"files": "x.csv"}}))], QUIET
    )
    return done.failed


def test_a_comparison_that_is_ended_ends_its_training(tmp_path: Path) -> None:
    """SIGTERM reaches the process that trains, which else would go on alone."""
    script = tmp_path / "compares.py"
    trains = "import sys, time; print('training', file=sys.stderr, flush=True); time.sleep(60)"
    script.write_text(
        "import subprocess, sys\nfrom pathlib import Path\nfrom luthier import trials\nfrom luthier.show import Console\n"
        "from luthier.recipe.reading import read\nreal = subprocess.Popen\n"
        f"def popen(command, **options):\n    made = real([sys.executable, '-c', {trains!r}], **options)\n"
        "    print(made.pid, flush=True)\n    return made\n"
        "subprocess.Popen = popen\n"
        "trial = trials.Trial('head', 0, Path('nowhere'), (), read({'data': {'files': 'x.csv'}}))\n"
        "trials.run(Path('recipe.yaml'), [trial], Console())\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        child = int(process.stdout.readline())
        assert any("training" in line for line in process.stderr)
        process.terminate()
        assert process.wait(timeout=30) != 0
    assert not psutil.pid_exists(child)
