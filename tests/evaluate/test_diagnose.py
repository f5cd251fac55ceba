import ast
import re

import numpy as np
import pytest

from luthier.evaluate.diagnose import diagnose
from luthier.recipe.schema import Recipe, Train
from luthier.tasks.classify import Classes

STEPS, EPOCHS = 200, 8


def log(train, validation, *, noise=0.0, seed=0, steps=STEPS, epochs=EPOCHS, f1=None):
    """Records of a run whose losses follow two functions of progress in 0..1, with noise in proportion to the loss."""
    random = np.random.default_rng(seed)
    at = np.arange(1, steps + 1)
    losses = train(at / steps) * (1 + noise * 3 * random.normal(size=steps))
    records = [
        {"event": "step", "step": int(step), "epoch": step / steps * epochs, "loss": float(loss), "lr": 3e-5}
        for step, loss in zip(at, losses, strict=True)
    ]
    for epoch in range(1, epochs + 1):
        loss = validation(epoch / epochs) * (1 + noise * random.normal())
        metrics = {} if f1 is None else {"f1_macro": float(f1(epoch / epochs))}
        at_epoch = {"step": epoch * steps // epochs, "epoch": float(epoch), "loss": float(loss)}
        records.append({"event": "evaluate", "split": "validation", **at_epoch, **metrics})
    return records


def read(records, recipe=None):
    return diagnose(records, recipe or {}, Classes(("no", "yes"), multilabel=False))


def falling(start, end, speed):
    return lambda x: end + (start - end) * np.exp(-speed * np.asarray(x, dtype=float))


def turning(lowest, at, rise):
    return lambda x: lowest + 0.3 * np.exp(-12 * x) + rise * np.maximum(0, x - at)


CURVES = {
    "under-fitting": (falling(0.70, 0.68, 3), falling(0.70, 0.685, 3)),
    "over-fitting": (falling(0.70, 0.02, 5), turning(0.40, 0.3, 0.5)),
    "still improving": (falling(0.70, 0.1, 1.2), falling(0.68, 0.15, 1.2)),
    "settled": (falling(0.70, 0.30, 9), falling(0.50, 0.33, 9)),
    "unstable": (lambda x: np.where(x < 0.5, falling(0.70, 0.2, 5)(x), 0.9), falling(0.6, 0.4, 5)),
}


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("verdict", CURVES)
def test_obvious_curves_get_their_verdict(verdict, noise):
    found = [read(log(*CURVES[verdict], noise=noise, seed=seed)).verdict for seed in range(25)]
    assert found == [verdict] * 25


@pytest.mark.parametrize("verdict", ["over-fitting", "still improving", "settled"])
def test_the_default_three_epochs_are_enough(verdict):
    early = {"over-fitting": lambda x: 0.3 + 0.4 * x}
    train, validation = CURVES[verdict]
    assert read(log(train, early.get(verdict, validation), epochs=3, steps=60)).verdict == verdict


def test_an_over_fitted_run_is_told_with_its_numbers():
    found = read(log(falling(0.70, 0.02, 5), turning(0.40, 0.25, 0.4), f1=lambda x: 0.8 - 0.1 * x))
    assert re.fullmatch(
        r"The validation loss was lowest, 0\.4\d\d, at epoch [23] and rose to 0\.[67]\d\d by epoch 8, while the training loss went "
        r"from 0\.\d\d\d to 0\.0\d\d; f1_macro went from 0\.7\d\d to 0\.700: the answers get worse\.",
        found.evidence,
    )
    assert found.suggestion == "train.early_stopping={patience: 2}"


def test_a_rising_loss_with_a_rising_score_is_over_confidence():
    found = read(log(falling(0.70, 0.02, 5), turning(0.40, 0.25, 0.4), f1=lambda x: 0.7 + 0.1 * x))
    assert found.evidence.endswith("the answers are no worse, only too sure of themselves.")


@pytest.mark.parametrize(
    ("train", "suggestion"),
    [
        ({"early_stopping": {"patience": 2}}, "train.label_smoothing=0.1"),
        ({"early_stopping": {"patience": 2}, "label_smoothing": 0.1, "weight_decay": 0.01}, "train.weight_decay=0.1"),
    ],
)
def test_what_is_in_use_is_not_suggested_again(train, suggestion):
    assert read(log(*CURVES["over-fitting"]), {"train": train}).suggestion == suggestion


def test_one_bad_epoch_is_not_over_fitting():
    records = log(*CURVES["settled"])
    records[-1]["loss"] *= 1.3
    assert read(records).verdict == "settled"


def test_swinging_validation_is_unstable():
    found = read(log(CURVES["settled"][0], lambda x: 0.4 + 0.15 * (round(x * EPOCHS) % 2)))
    assert found.verdict == "unstable"
    assert found.evidence == (
        "The validation loss swings: 0.400 to 0.550 and back to 0.400, 0.400 to 0.550 and back to 0.400."
    )


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_unstable(missing):
    records = log(*CURVES["settled"])
    records[41]["loss"] = missing
    found = read(records)
    assert (found.verdict, found.evidence) == ("unstable", "The training loss is not a number at step 42.")
    assert found.suggestion == "train.lr=1e-05"


def test_a_short_log_says_what_is_missing():
    found = read(log(*CURVES["settled"], steps=40, epochs=1))
    assert found.verdict == "too little to tell"
    assert found.evidence == ("The log holds 40 steps and 1 evaluation on validation rows; a trend needs 10 and 3.")
    assert found.suggestion == "train.evaluate_every=8"
    assert read([]).suggestion == "train.epochs=10"


def test_a_base_model_that_knows_the_task_is_not_under_fitted():
    assert read(log(falling(0.10, 0.09, 3), falling(0.11, 0.10, 3))).verdict == "settled"


def test_more_epochs_are_twice_those_of_the_recipe():
    assert read(log(*CURVES["still improving"]), {"train": {"epochs": 8}}).suggestion == "train.epochs=16"


@pytest.mark.parametrize("verdict", CURVES)
def test_every_suggestion_is_a_line_of_the_recipe(verdict):
    suggestion = read(log(*CURVES[verdict])).suggestion
    key, value = suggestion.split("=", 1)
    fields = Train.model_fields if key.startswith("train.") else Recipe.model_fields
    assert key.removeprefix("train.") in fields
    assert value.startswith("{") or isinstance(ast.literal_eval(value), int | float)
