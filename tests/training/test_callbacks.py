"""Divergence, evaluation, early stopping, the best weights, and signals."""

from __future__ import annotations

import json
import math
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from luthier.build import measured
from luthier.errors import DivergedError, RecipeError
from luthier.evaluate.classes import ClassJudge
from luthier.evaluate.predict import Scores
from luthier.folder import RunFolder
from luthier.objectives import Objective
from luthier.recipe.schema import Train
from luthier.training.callbacks import Guard, Interrupt, Log, Save, Validate, check_settings
from luthier.training.checkpoint import Checkpoints
from luthier.training.job import Callback, Job, State
from luthier.training.loop import fit
from small_jobs import job_of, recipe_for


class Scaled(Objective):
    """The loss times a factor for each call."""

    def __init__(self, inner: Objective, factors: Sequence[float]) -> None:
        self.inner, self.factors, self.calls = inner, factors, 0

    def __call__(self, model: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        loss, count = self.inner(model, batch)
        factor = self.factors[min(self.calls, len(self.factors) - 1)]
        self.calls += 1
        return loss * factor, count


JUDGE = ClassJudge(("a", "b"), multilabel=False)


class Script:
    """Evaluations with given values of a metric."""

    def __init__(self, metric: str, values: Sequence[float]) -> None:
        self.metric, self.values = metric, iter(values)

    def __call__(self) -> tuple[Scores, dict[str, float]]:
        value = next(self.values)
        return Scores(np.zeros((1, 2)), value), {self.metric: value}


class Quick(Callback):
    """Says, as a frozen part does, that steps take less time than writing."""

    def enter(self, job: Job, state: State) -> None:
        job.work.quick = True


class Weights(Callback):
    """Remembers the head after each step; fails at one of them if asked to."""

    def __init__(self, fails_at: int = 0) -> None:
        self.seen: dict[int, torch.Tensor] = {}
        self.fails_at = fails_at

    def after_step(self, job: Job, state: State, step: Any) -> None:
        if state.step == self.fails_at:
            raise OSError("the disk is gone")
        self.seen[state.step] = job.model.classifier.weight.detach().clone()  # type: ignore[union-attr,operator]


@pytest.fixture
def make(still_bert: Path, reviews: Path, tmp_path: Path) -> Any:
    (tmp_path / "run").mkdir()

    def job(**train: Any) -> Job:
        return job_of(recipe_for(still_bert, reviews, tmp_path / "run", train))[0]

    return job


def silent(text: str) -> None:
    pass


@pytest.mark.parametrize("factor", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_the_run(factor: float, make: Any, tmp_path: Path) -> None:
    job, folder = make(save_every=2), RunFolder(tmp_path / "run")
    pieces = sum(len(pieces_of(job, step)) for step in range(4))
    job.objective = Scaled(job.objective, [1.0] * pieces + [factor])
    checkpoints = Checkpoints(folder)
    with pytest.raises(DivergedError) as caught:
        fit(job, State(), [Guard(checkpoints), Log(folder, silent), Save(checkpoints)])
    last = folder / "checkpoints/last"
    assert str(caught.value).startswith(f"Training diverged at step 5 (loss {factor}, gradient norm ")
    assert f"The last good checkpoint, of step 4, is kept in {last}. Start again with a lower rate, such as" in str(
        caught.value
    )
    assert "train.lr=1e-04 --restart, and look for faulty rows." in str(caught.value)
    assert checkpoints.resume(make())[0].step == 4
    assert all(torch.isfinite(one).all() for one in job.work.parameters)
    assert [record["step"] for record in folder.records()] == [1, 2, 3, 4]


def pieces_of(job: Job, step: int) -> list[np.ndarray]:
    from luthier.training.step import micro_batches

    return micro_batches(job, job.batches.at(step), None)


def test_a_gradient_that_is_no_number_stops_the_run(make: Any, tmp_path: Path) -> None:
    job = make()
    before = [one.detach().clone() for one in job.work.parameters]
    job.work.parameters[0].register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(
        DivergedError,
        match=r"diverged at step 1 \(loss 0\.\d+, gradient norm (nan|inf).*No checkpoint had been written yet",
    ):
        fit(job, State(), [Guard(Checkpoints(RunFolder(tmp_path / "run")))])
    assert all(torch.equal(one, other) for one, other in zip(job.work.parameters, before, strict=True))


def test_a_loss_that_explodes_stops_the_run(make: Any, tmp_path: Path) -> None:
    job = make(epochs=9)
    job.objective = Scaled(job.objective, [1.0] * 10 + [100.0])
    with pytest.raises(DivergedError, match=r"mean loss \d+.* over 5 steps, 0\.\d+ at the start; learning rate"):
        fit(job, State(), [Guard(Checkpoints(RunFolder(tmp_path / "run")))])


def test_an_ordinary_run_passes_the_guard(make: Any, tmp_path: Path) -> None:
    state = State()
    fit(make(epochs=5), state, [Guard(Checkpoints(RunFolder(tmp_path / "run")))])
    assert state.step == 30


RISING, FALLING = [0.5, 0.6, 0.55, 0.6, 0.59, 0.7], [0.6, 0.5, 0.55, 0.5, 0.51, 0.4]


@pytest.mark.parametrize(("monitor", "values"), [("f1_macro", RISING), ("log_loss", FALLING), ("loss", FALLING)])
def test_early_stopping_counts_evaluations_without_improvement(monitor: str, values: list[float], make: Any) -> None:
    job, state, said = make(epochs=6, monitor=monitor, early_stopping={"patience": 3}), State(), []  # type: ignore[var-annotated]
    fit(job, state, [Validate(Script(monitor, values), job.settings, None, said.append, JUDGE)])
    assert (state.step, state.best, state.best_step) == (5 * 6, values[1], 2 * 6)
    assert state.stopped == f"early stopping: {monitor} has not improved on {values[1]:.4f} (step 12) in 3 evaluations"
    assert said[1] == f"epoch 2: validation loss {values[1]:.4f}, {monitor} {values[1]:.4f}  best so far"
    assert said[2] == f"epoch 3: validation loss {values[2]:.4f}, {monitor} {values[2]:.4f}"


def test_of_equal_values_the_lower_loss_is_the_best_and_training_goes_on(make: Any) -> None:
    job, state = make(early_stopping={"patience": 1}), State()
    judge = Validate(Script("f1_macro", []), job.settings, None, silent, JUDGE)
    losses = [0.9, 0.7, 0.8]
    assert [judge._judge({"f1_macro": 0.5, "loss": loss}, state, last=True) for loss in losses] == [True, True, False]
    assert (state.best_loss, bool(state.stopped)) == (0.7, True)


def test_min_delta_is_the_least_improvement_that_counts(make: Any) -> None:
    job, state = make(epochs=6, early_stopping={"patience": 2, "min_delta": 0.05}), State()
    fit(
        job, state, [Validate(Script("f1_macro", [0.5, 0.54, 0.56, 0.58, 0.6, 0.7]), job.settings, None, silent, JUDGE)]
    )
    assert (state.step, state.best_step) == (5 * 6, 3 * 6)


def test_evaluations_come_every_so_many_steps_and_at_the_end(make: Any, tmp_path: Path) -> None:
    job, folder = make(evaluate_every=5), RunFolder(tmp_path / "run")
    fit(job, State(), [Validate(Script("f1_macro", [0.1] * 9), job.settings, folder, silent, JUDGE)])
    assert [record["step"] for record in folder.records()] == [5, 10, 15, 18]


def test_the_best_weights_are_those_of_the_best_evaluation(make: Any, tmp_path: Path) -> None:
    job, state = make(), State()
    checkpoints, weights = Checkpoints(RunFolder(tmp_path / "run")), Weights()
    values = Script("f1_macro", [0.5, 0.7, 0.6])
    fit(job, state, [Validate(values, job.settings, None, silent, JUDGE), Save(checkpoints), weights])
    assert torch.equal(job.model.classifier.weight, weights.seen[18])
    checkpoints.load_best(job, state)
    assert torch.equal(job.model.classifier.weight, weights.seen[12])


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Checkpoints in the order of writing, with their steps; after the first one writing is never free again."""
    written: list[tuple[str, int]] = []
    write = Checkpoints.write

    def noted(self: Checkpoints, taken: Any, name: str) -> None:
        written.append((Path(name).name, taken.content["step"]))
        write(self, taken, name)

    monkeypatch.setattr(Checkpoints, "write", noted)
    monkeypatch.setattr(Save, "SHARE", 1e-9)
    return written


def test_the_best_weights_wait_in_memory_where_writing_takes_longer_than_training(
    make: Any, writes: list[tuple[str, int]], tmp_path: Path
) -> None:
    job, state, weights = make(epochs=5), State(), Weights()
    checkpoints = Checkpoints(RunFolder(tmp_path / "run"))
    values = Script("f1_macro", [0.5, 0.6, 0.7, 0.6, 0.65])
    fit(job, state, [Quick(), Validate(values, job.settings, None, silent, JUDGE), Save(checkpoints), weights])
    assert writes == [("best", 6), ("best", 18), ("last", 30)]
    checkpoints.load_best(job, state)
    assert torch.equal(job.model.classifier.weight, weights.seen[18])


def test_what_waits_is_written_where_an_error_ends_the_run(
    make: Any, writes: list[tuple[str, int]], tmp_path: Path
) -> None:
    job, state, weights = make(epochs=5), State(), Weights(fails_at=20)
    checkpoints = Checkpoints(RunFolder(tmp_path / "run"))
    values = Script("f1_macro", [0.5, 0.6, 0.7])
    with pytest.raises(OSError, match="the disk is gone"):
        fit(job, state, [Quick(), Validate(values, job.settings, None, silent, JUDGE), Save(checkpoints), weights])
    assert writes == [("best", 6), ("best", 18)]
    again = make(epochs=5)
    resumed, damaged = checkpoints.resume(again)
    assert (resumed.step, damaged) == (18, [])
    assert torch.equal(again.model.classifier.weight, weights.seen[18])


def test_plateau_lowers_the_rate_after_two_evaluations_without_improvement(make: Any, tmp_path: Path) -> None:
    job, folder = make(epochs=5, schedule="plateau", warmup=0), RunFolder(tmp_path / "run")
    script = Script("f1_macro", [0.5, 0.5, 0.4, 0.6, 0.6])
    fit(job, State(), [Log(folder, silent), Validate(script, job.settings, None, silent, JUDGE)])
    rates = [record["lr"] for record in folder.records()]
    assert rates == pytest.approx([1e-3] * 18 + [1e-4] * 12)


def test_what_steers_must_be_measured(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    _, ready = job_of(recipe_for(still_bert, reviews, tmp_path / "run"))
    figures = measured(ready.data)
    assert {"accuracy", "f1_macro", "f1", "roc_auc", "log_loss"} <= set(figures)
    check_settings(Train(monitor="loss"), figures)
    with pytest.raises(
        RecipeError,
        match=r"train\.monitor is 'f1_makro', which is not measured on these rows; did you mean 'f1_macro'\?",
    ):
        check_settings(Train(monitor="f1_makro"), figures)


def test_an_unknown_monitor_is_refused_before_training(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"train\.monitor is 'acuracy'"):
        job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"monitor": "acuracy"}))


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"early_stopping": {}}, "train.early_stopping"), ({"schedule": "plateau"}, "train.schedule: plateau")],
)
def test_steering_without_validation_rows_is_refused(settings: Any, name: str) -> None:
    check_settings(Train(), [])
    with pytest.raises(
        RecipeError, match=f"{name} looks at validation rows, and there are none: give data.files.validation"
    ):
        check_settings(Train(**settings), [])


class Press(Callback):
    """Ctrl-C in a step."""

    def __init__(self, step: int, times: int = 1) -> None:
        self.step, self.times = step, times

    def after_step(self, job: Job, state: State, step: Any) -> None:
        if state.step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_ends_the_run_after_the_step_and_gives_the_signals_back(make: Any, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    state = State()
    fit(make(), state, [Press(4), Interrupt(), Save(Checkpoints(RunFolder(tmp_path / "run")))])
    assert (state.step, state.stopped) == (4, "interrupted")
    assert json.loads((tmp_path / "run/checkpoints/last/state.json").read_text())["stopped"] == "interrupted"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_ctrl_c_ends_it_at_once(make: Any) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(make(), State(), [Press(2, times=2), Interrupt()])
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_a_thread_leaves_signals_alone(make: Any) -> None:
    state, job = State(), make(epochs=1)
    thread = threading.Thread(target=fit, args=(job, state, [Interrupt()]))
    thread.start()
    thread.join()
    assert state.step == 6
