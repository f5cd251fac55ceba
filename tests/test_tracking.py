"""Trackers: TensorBoard for real; for the others, what they are asked."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from luthier import tracking
from luthier.errors import DataError, ExtraError
from luthier.pipeline import train
from luthier.recipe.reading import read
from small_jobs import recipe_for


def test_tensorboard_holds_what_the_log_holds(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    if not importlib.util.find_spec("tensorboard"):
        pytest.skip("tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    train(recipe_for(tiny_bert, reviews, folder, {"track": "tensorboard", "epochs": 2}))
    events = EventAccumulator(str(folder / "tensorboard" / "run"))
    events.Reload()
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for name, event, key in [
        ("train/loss", "step", "loss"),
        ("train/lr", "step", "lr"),
        ("validation/f1_macro", "evaluate", "f1_macro"),
    ]:
        logged = [(line["step"], line[key]) for line in lines if line["event"] == event]
        told = [(scalar.step, scalar.value) for scalar in events.Scalars(name)]
        assert [step for step, _ in told] == [step for step, _ in logged]
        assert [value for _, value in told] == pytest.approx([value for _, value in logged], rel=1e-6)
    assert not (folder / tracking.IDS).exists()


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_named_before_anything_is_done(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.import_module

    def absent(package: str, *rest: Any) -> Any:
        if package == name:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(package, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ExtraError) as caught:
        train({"data": {"files": "absent.csv"}, "train": {"track": name}, "output": str(tmp_path / "run")})
    assert str(caught.value) == (
        f"The package {name!r} is needed here and is not installed. Install it with: pip install 'luthier[{name}]'"
    )
    assert not (tmp_path / "run").exists()


def test_a_mistake_in_the_data_leaves_no_tracker_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        train(
            {
                "data": {"files": str(tmp_path / "absent.csv")},
                "train": {"track": "tensorboard"},
                "output": str(tmp_path / "run"),
            }
        )
    assert [one.name for one in (tmp_path / "run").iterdir() if not one.name.startswith(".")] == []


def test_a_run_that_goes_on_continues_under_its_names(tmp_path: Path) -> None:
    """Accelerate's own classes take these options (accelerate.tracking); the services' packages need not be installed."""
    from types import SimpleNamespace

    from luthier.folder import RunFolder

    asked: list[tuple[str, dict[str, Any], dict[str, Any]]] = []
    trackers = [
        SimpleNamespace(name="mlflow", tracker=SimpleNamespace(info=SimpleNamespace(run_id="m1"))),
        SimpleNamespace(name="wandb", tracker=SimpleNamespace(id="w1")),
    ]
    accelerator: Any = SimpleNamespace(
        is_main_process=True,
        trackers=trackers,
        init_trackers=lambda *arguments: asked.append(arguments),  # type: ignore[arg-type]
    )
    recipe = read(
        {"data": {"files": "a.csv"}, "train": {"epochs": 3, "track": ["mlflow", "wandb"], "keep": 3}, "output": "o"},
        (),
        {},
    )
    folder = RunFolder(tmp_path / "night")
    for step in (0, 7):
        tracking.start(accelerator, recipe, folder, step)
    assert [name for name, _, _ in asked] == ["night", "night"]
    assert asked[0][2]["mlflow"] == {"run_id": None}
    assert asked[1][2] == {
        "tensorboard": {"purge_step": 8},
        "mlflow": {"run_id": "m1"},
        "wandb": {"id": "w1", "resume": "allow", "dir": str(tmp_path / "night")},
    }
    values = asked[0][1]
    assert values["train.epochs"] == 3
    assert values["data.files"] == "a.csv"
    assert all(isinstance(value, int | float | str | bool) for value in values.values())
    assert "train.keep" not in values, "MLflow refuses a parameter that changes"
