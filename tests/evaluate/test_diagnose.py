import ast
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from luthier.evaluate.diagnosis import RULES, diagnose
from luthier.evaluate.diagnosis.curves import Curves
from luthier.evaluate.diagnosis.trend import above, noise, slope, smoothed
from luthier.evaluate.records import Records
from luthier.recipe.schema import Recipe, Train
from luthier.tasks.classify import Classes
from luthier.training.callbacks import Validate
from luthier.training.job import State

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


def read(records, recipe=None, folder=Path("nowhere"), rows=None):
    """The first finding of a log; where a folder is given, with the validation rows that it holds."""
    return diagnose(gathered(records, recipe, folder, rows)).first


def gathered(records, recipe=None, folder=Path("nowhere"), rows=None):
    target = Classes(("no", "yes"), multilabel=False)
    train = rows or {"rows": 800, "labels": {"no": 400, "yes": 400}}
    data = {"target": target.facts, "held_out": "test", "splits": {"train": train}}
    defaults = {"task": {"name": "classify"}, "data": {"files": "reviews.csv"}}
    return Records(folder, defaults | (recipe or {}), data, list(records))


def answered(folder, truth, probabilities):
    """predictions.parquet of validation rows of two classes."""
    probabilities = np.asarray(probabilities, dtype=np.float64)
    table = {
        "row": np.arange(len(truth)),
        "split": "validation",
        "label": [("no", "yes")[one] for one in truth],
        "predicted": [("no", "yes")[int(one > 0.5)] for one in probabilities],
        "probabilities": list(np.stack([1 - probabilities, probabilities], axis=1)),
    }
    pd.DataFrame(table).to_parquet(folder / "predictions.parquet")


RESOLVED = {"stages": [{"methods": ["head"]}], "trained_parameters": 770, "all_parameters": 22_000_000}


def falling(start, end, speed):
    return lambda x: end + (start - end) * np.exp(-speed * np.asarray(x, dtype=float))


def turning(lowest, at, rise):
    return lambda x: lowest + 0.3 * np.exp(-12 * x) + rise * np.maximum(0, x - at)


CURVES = {
    "under-fitting": (falling(0.70, 0.68, 3), falling(0.70, 0.685, 3)),
    "over-fitting": (falling(0.70, 0.02, 5), turning(0.40, 0.3, 0.5)),
    "still improving": (falling(0.70, 0.1, 1.2), falling(0.68, 0.15, 1.2)),
    "settled": (falling(0.70, 0.30, 9), falling(0.50, 0.33, 9)),
    "learning rate too high": (lambda x: np.where(x < 0.5, falling(0.70, 0.2, 5)(x), 0.9), falling(0.6, 0.4, 5)),
}


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("verdict", CURVES)
def test_obvious_curves_get_their_verdict(verdict, noise):
    found = [read(log(*CURVES[verdict], noise=noise, seed=seed)).name for seed in range(25)]
    assert found == [verdict] * 25


@pytest.mark.parametrize("verdict", ["over-fitting", "still improving", "settled"])
def test_the_default_three_epochs_are_enough(verdict):
    early = {"over-fitting": lambda x: 0.3 + 0.4 * x}
    train, validation = CURVES[verdict]
    assert read(log(train, early.get(verdict, validation), epochs=3, steps=60)).name == verdict


def test_an_over_fitted_run_is_told_with_its_numbers():
    found = read(log(falling(0.70, 0.02, 5), turning(0.40, 0.25, 0.4), f1=lambda x: 0.8 - 0.1 * x))
    assert re.fullmatch(
        r"The validation loss was lowest, 0\.4\d\d, at epoch [23] and rose to 0\.[67]\d\d by epoch 8, while the training loss went "
        r"from 0\.\d\d\d to 0\.0\d\d; f1_macro went from 0\.7\d\d to 0\.700: the answers get worse\.",
        found.evidence,
    )
    assert found.suggestion == "train.early_stopping={patience: 2}"


def test_a_score_that_falls_within_its_interval_is_not_called_worse(tmp_path):
    truth = np.arange(200) % 2
    answered(tmp_path, truth, np.where(np.arange(200) % 5 == 0, 1 - truth, truth) * 0.8 + 0.1)
    for fall, reading in (
        (0.01, "the answers are no worse, only too sure of themselves."),
        (0.3, "the answers get worse."),
    ):
        records = log(falling(0.70, 0.02, 5), turning(0.40, 0.25, 0.4), f1=lambda x, fall=fall: 0.8 - fall * x)
        assert read(records, folder=tmp_path).evidence.endswith(reading)


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
    assert read(records).name == "settled"


def test_a_rise_within_the_noise_of_the_evaluations_is_not_over_fitting():
    losses = [0.55, 0.50, 0.46, 0.51, 0.50, 0.52, 0.49, 0.51]
    assert read(log(falling(0.70, 0.02, 5), lambda x: losses[round(8 * x) - 1])).name == "settled"
    calm = [0.55, 0.50, 0.46, 0.48, 0.50, 0.51, 0.52, 0.53]
    assert read(log(falling(0.70, 0.02, 5), lambda x: calm[round(8 * x) - 1])).name == "over-fitting"


@pytest.mark.parametrize(("lower", "over"), [(0.0, True), (0.3, False)])
def test_a_training_loss_that_rises_above_that_of_validation_is_not_over_fitting(lower, over):
    validation = [0.65, 0.60, 0.50, 0.52, 0.55, 0.58, 0.60, 0.62]
    records = log(
        lambda x: np.where(x < 0.1, 0.70, np.where(x < 0.5, 0.30, 0.42)), lambda x: validation[round(8 * x) - 1] - lower
    )
    assert read(records).name == ("over-fitting" if over else "settled")


@pytest.mark.parametrize(("noise", "line"), [(0.001, "train.lr="), (0.15, "train.epochs=24")])
def test_a_loss_is_flat_only_where_even_the_steep_end_of_its_slope_is(noise, line):
    random = np.random.default_rng(1)
    noisy = log(lambda x: 0.69 * (1 + noise * random.normal(size=x.shape)), lambda x: 0.69 + 0 * x)
    found = read([one | {"lr": 1e-2} if one["event"] == "step" else one for one in noisy], {"resolved": RESOLVED})
    assert found.name == "under-fitting"
    assert found.suggestion.startswith(line)


def test_swinging_validation_is_unstable():
    found = read(log(CURVES["settled"][0], lambda x: 0.4 + 0.15 * (round(x * EPOCHS) % 2)))
    assert found.name == "learning rate too high"
    assert found.evidence == (
        "The validation loss swings: 0.400 to 0.550 and back to 0.400, 0.400 to 0.550 and back to 0.400."
    )


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_unstable(missing):
    records = log(*CURVES["settled"])
    records[41]["loss"] = missing
    found = read(records)
    assert (found.name, found.evidence) == ("learning rate too high", "The training loss is not a number at step 42.")
    assert found.suggestion == "train.lr=1e-05"


def test_a_short_log_says_what_is_missing():
    found = read(log(*CURVES["settled"], steps=40, epochs=1))
    assert found.name == "too little to tell"
    assert found.evidence == ("The log holds 40 steps and 1 evaluation on validation rows; a trend needs 10 and 3.")
    assert found.suggestion == "train.evaluate_every=8"
    assert read([]).suggestion == "train.epochs=10"


def test_a_base_model_that_knows_the_task_is_not_under_fitted():
    assert read(log(falling(0.10, 0.09, 3), falling(0.11, 0.10, 3))).name == "settled"


def test_more_epochs_are_twice_those_of_the_recipe():
    assert read(log(*CURVES["still improving"]), {"train": {"epochs": 8}}).suggestion == "train.epochs=16"


@pytest.mark.parametrize("verdict", CURVES)
def test_every_suggestion_is_a_line_of_the_recipe(verdict):
    suggestion = read(log(*CURVES[verdict])).suggestion
    key, value = suggestion.split("=", 1)
    fields = Train.model_fields if key.startswith("train.") else Recipe.model_fields
    assert key.removeprefix("train.") in fields
    assert value.startswith("{") or isinstance(ast.literal_eval(value), int | float)


def test_a_loss_that_fell_little_is_no_under_fitting_where_the_answers_are_good(tmp_path):
    truth = np.arange(200) % 2
    answered(tmp_path, truth, np.where(truth, 0.8, 0.2))
    curves = (falling(0.70, 0.63, 9), falling(0.69, 0.62, 9))
    assert read(log(*curves)).name == "under-fitting"
    assert read(log(*curves, f1=lambda x: 0.9), folder=tmp_path).name == "settled"


@pytest.mark.parametrize(
    ("rate", "name", "suggestion"),
    [
        (3e-1, "learning rate too high", "train.lr=0.01"),
        (1e-6, "learning rate too low", "train.lr=0.01"),
        (1e-2, "under-fitting", "train.lr=0.03"),
    ],
)
def test_where_nothing_is_learned_the_rate_is_held_against_the_usual_one(rate, name, suggestion):
    curves = (lambda x: 0.69 + 0.01 * x, falling(0.70, 0.69, 3)) if rate > 1e-2 else CURVES["under-fitting"]
    records = [one | {"lr": rate} if one["event"] == "step" else one for one in log(*curves)]
    found = read(records, {"resolved": RESOLVED})
    assert (found.name, found.suggestion) == (name, suggestion)
    if rate != 1e-2:
        assert "usual one" in found.evidence


def test_a_flat_high_loss_of_few_weights_asks_for_more_of_them(tmp_path):
    truth = np.arange(200) % 2
    answered(tmp_path, truth, np.full(200, 0.5))
    records = log(lambda x: 0.69 + 0 * x, lambda x: math.log(2) + 0 * x, noise=0.001)
    records = [one | {"lr": 1e-2} if one["event"] == "step" else one for one in records]
    for share, suggestion in ((770, "method=top"), (4_000_000, "method=full")):
        found = read(records, {"resolved": RESOLVED | {"trained_parameters": share}}, tmp_path)
        assert (found.name, found.suggestion) == ("capacity too small", suggestion)
    assert read(records, {"resolved": RESOLVED | {"trained_parameters": 22_000_000}}, tmp_path).name == "under-fitting"


def learned_by_heart(lowest):
    return log(falling(0.70, 0.02, 5), turning(lowest, 0.3, 0.6))


def answered_at(folder, records):
    """Answers to 200 rows whose log loss is the lowest of the log."""
    truth = np.arange(200) % 2
    saved = min(one["loss"] for one in records if one["event"] == "evaluate")
    share = 0.5 + 0.05 * np.random.default_rng(0).normal(size=200)
    share += np.where(truth, 1, -1) * (math.exp(-saved) - np.exp(np.log(np.where(truth, share, 1 - share)).mean()))
    answered(folder, truth, share)


@pytest.mark.parametrize(
    ("losses", "surely"),
    [
        ([0.66, 0.64, 0.70, 0.76, 0.82, 0.86, 0.90, 0.93], True),
        ([0.67, 0.66, 0.665, 0.66, 0.64, 0.70, 0.66, 0.72], False),
    ],
)
def test_a_loss_that_does_not_surely_rise_is_no_sign_of_noise(tmp_path, losses, surely):
    records = log(falling(0.70, 0.02, 5), lambda x: losses[round(8 * x) - 1])
    answered_at(tmp_path, records)
    found = diagnose(gathered(records, {"train": {"monitor": "loss"}}, tmp_path))
    assert ("label noise suspected" in [one.name for one in found.findings]) == surely


def test_rows_learned_by_heart_that_say_nothing_of_others_are_noise(tmp_path):
    records = learned_by_heart(0.64)
    recipe = {"train": {"monitor": "loss"}}
    answered_at(tmp_path, records)
    found = diagnose(gathered(records, recipe, tmp_path))
    assert [one.name for one in found.findings] == ["label noise suspected", "over-fitting"]
    assert found.first.suggestion == "data.labels=report"
    assert "800 rows were learned by heart and say little of others" in found.first.evidence
    few = {"rows": 150, "labels": {"no": 75, "yes": 75}}
    assert read(records, recipe, tmp_path, few).name == "over-fitting"


def test_suspect_labels_that_were_looked_for_are_evidence(tmp_path):
    test_rows_learned_by_heart_that_say_nothing_of_others_are_noise(tmp_path)
    records = gathered(learned_by_heart(0.64), {"train": {"monitor": "loss"}}, tmp_path)
    records.data["labels"] = {"sentence": "90 of 800 training rows (11.2%) look mislabelled."}
    found = diagnose(records).first
    assert found.evidence.endswith("90 of 800 training rows (11.2%) look mislabelled.")
    assert found.suggestion == "data.labels=drop"


@pytest.mark.parametrize("rows", [12, 200])
def test_twelve_validation_rows_are_too_few(tmp_path, rows):
    truth = np.arange(rows) % 2
    answered(tmp_path, truth, np.where(np.arange(rows) % 5 == 0, 1 - truth, truth) * 0.8 + 0.1)
    records = log(*CURVES["settled"], f1=lambda x: 0.75 + 0.05 * x)
    found = read(records, folder=tmp_path)
    assert found.name == ("validation too small to tell" if rows == 12 else "settled")
    if rows == 12:
        assert re.match(
            r"On the 12 validation rows f1_macro is 0\.7.*, each row being worth 0\.083, and one answer", found.evidence
        )
        assert found.suggestion == "data.split.parts=6:2:2"
        given = read(records, {"data": {"files": {"train": "a.csv", "validation": "b.csv"}}}, tmp_path)
        assert given.suggestion == "data.files.validation=MORE_ROWS.csv"


def test_few_rows_that_are_all_right_are_too_few(tmp_path):
    """A bootstrap gives them an interval of no width."""
    answered(tmp_path, np.arange(5) % 2, np.where(np.arange(5) % 2, 0.9, 0.1))
    records = log(*CURVES["settled"], f1=lambda x: 1.0)
    assert Curves(gathered(records, folder=tmp_path)).score.low == 1.0
    assert read(records, folder=tmp_path).name == "validation too small to tell"


def test_the_gap_is_that_of_the_weights_that_were_kept(tmp_path):
    """Against the plain bootstrap of rows and steps."""
    truth = np.arange(300) % 2
    random = np.random.default_rng(1)
    right = np.clip(0.7 + 0.15 * random.normal(size=300), 0.05, 0.95)
    answered(tmp_path, truth, np.where(truth, right, 1 - right))
    row_losses = -np.log(right)
    records = log(falling(0.70, 0.10, 9), lambda x: float(row_losses.mean()) + 0 * x, noise=0.0)
    records = [
        one | {"loss": one["loss"] + 0.02 * random.normal()} if one["event"] == "step" else one for one in records
    ]
    curves = Curves(gathered(records, {"train": {"monitor": "loss"}}, tmp_path))
    window = curves.before(curves.evaluated[0])
    slow = [random.choice(row_losses, 300).mean() - random.choice(window, len(window)).mean() for _ in range(4000)]
    assert curves.saved == 0
    assert curves.gap.value == pytest.approx(row_losses.mean() - window.mean(), abs=1e-6)
    assert (curves.gap.low, curves.gap.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=0.006)
    for other in ({"label_smoothing": 0.1}, {"mixing": {"name": "mixup"}}):
        assert Curves(gathered(records, {"train": {"monitor": "loss"} | other}, tmp_path)).gap is None


def test_without_keep_best_the_last_weights_are_those_of_the_gap():
    records = log(*CURVES["over-fitting"], f1=lambda x: 0.8 - 0.1 * x)
    assert Curves(gathered(records)).saved == 0
    assert Curves(gathered(records, {"train": {"keep_best": False}})).saved == EPOCHS - 1


@pytest.mark.parametrize(
    ("evaluations", "min_delta", "kept"),
    [
        ([(0.5, 0.9), (0.7, 0.6), (0.7, 0.5), (0.7, 0.55)], 0.0, 2),  # of equal figures the lower loss
        ([(0.5, 0.9), (0.54, 0.6), (0.56, 0.5), (0.58, 0.4), (0.6, 0.4)], 0.05, 2),  # less than min_delta is no gain
        ([(0.6, 0.4), (0.5, 0.3)], 0.0, 0),
    ],
)
def test_the_evaluation_that_training_kept_is_the_best(evaluations, min_delta, kept):
    records = [
        {"event": "evaluate", "split": "validation", "step": 9 * place, "epoch": place, "f1_macro": f1, "loss": loss}
        for place, (f1, loss) in enumerate(evaluations)
    ]
    train = {"monitor": "f1_macro", "early_stopping": {"min_delta": min_delta} if min_delta else None}
    found, state = gathered(records, {"train": train}), State()
    assert Curves(found).best == Curves(found).saved == kept
    lower = [one | {"log_loss": -one["f1_macro"]} for one in records]
    assert Curves(gathered(lower, {"train": train | {"monitor": "log_loss"}})).best == kept
    training = Validate(None, Train(**train), None, print, found.target.judge)
    for one in records:
        state.step = one["step"]
        training._judge(one, state, last=False)
    assert state.best_step == 9 * kept


def test_smoothing_has_no_bias_at_the_start():
    values = np.random.default_rng(0).normal(size=50)
    slow = [np.average(values[: i + 1], weights=(1 - 2 / 8) ** np.arange(i, -1, -1)) for i in range(50)]
    assert smoothed(values, 7) == pytest.approx(np.array(slow))
    assert smoothed(np.ones(5), 3) == pytest.approx(np.ones(5))


def test_a_slope_is_the_median_of_all_pairs_and_minds_no_wild_point():
    at = np.arange(9.0)
    values = 2 - 0.1 * at
    values[4] = 50
    pairs = [(values[j] - values[i]) / (j - i) for i in range(9) for j in range(i + 1, 9)]
    found = slope(at, values)
    assert found.value == pytest.approx(np.median(pairs)) == pytest.approx(-0.1)
    assert (found.low, found.high) == pytest.approx(tuple(stats.theilslopes(values, at)[2:]))
    assert slope(at[:2], values[:2]) is None
    assert slope(at, np.full(9, np.nan)) is None


def test_intervals_of_slopes_cover():
    random = np.random.default_rng(0)
    at = np.arange(12.0)
    found = [slope(at, 0.3 * at + random.normal(size=12)) for _ in range(400)]
    assert 0.92 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.99


def test_noise_is_that_around_a_straight_trend():
    values = 3 - 0.5 * np.arange(2000) + 0.2 * np.random.default_rng(0).normal(size=2000)
    assert noise(values) == pytest.approx(0.2, rel=0.1)


def test_two_means_are_compared_with_an_interval():
    random = np.random.default_rng(0)
    rows, steps = random.normal(1.0, 1, 400), random.normal(0.5, 0.2, 50)
    drawn = np.array([random.choice(rows, 400).mean() for _ in range(1000)])
    found = above(drawn, float(rows.mean()), steps, 0)
    error = math.hypot(rows.std() / 20, steps.std() / math.sqrt(50))
    assert found.value == pytest.approx(rows.mean() - steps.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_the_table_of_rules_names_each_once():
    assert len({rule.find for rule in RULES}) == len(RULES)


def test_one_swing_is_not_a_rate_that_is_too_high():
    losses = [0.60, 0.50, 0.60, 0.50, 0.49, 0.48, 0.47, 0.47]
    swinging = [0.60, 0.50, 0.60, 0.50, 0.60, 0.50, 0.49, 0.49]
    found = [read(log(falling(0.70, 0.02, 5), lambda x, of=of: of[round(8 * x) - 1])).name for of in (losses, swinging)]
    assert [name == "learning rate too high" for name in found] == [False, True]
