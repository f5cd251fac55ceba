import time

import numpy as np
import pytest
from scipy.stats import norm
from simulated_runs import several, single

from luthier.evaluate.bootstrap import draw, percentiles
from luthier.evaluate.intervals import resampled
from luthier.evaluate.metrics import measure


def intervals(targets, probabilities, **drawn):
    found = resampled(targets, probabilities, **drawn)
    return {name: percentiles(values) for name, values in found.items() if np.isfinite(values).any()}


def slow_intervals(targets, probabilities, seed, resamples):
    """The obvious bootstrap: scikit-learn's metrics on every resample."""
    values = []
    for block in draw(len(targets), seed, resamples):
        for counts in block.astype(int):
            rows = np.repeat(np.arange(len(targets)), counts)
            values.append(measure(targets[rows], probabilities[rows]))
    names = set().union(*values) - {"ece"}
    columns = {name: [one[name] for one in values if name in one] for name in names}
    return {name: tuple(np.percentile(column, [2.5, 97.5])) for name, column in columns.items()}


def tied(data):
    targets, probabilities = data
    return targets, np.round(probabilities * 20) / 20


@pytest.mark.parametrize(
    "data",
    [single(150, 2), single(150, 5), several(150, 4), tied(several(150, 3)), single(12, 3), several(10, 3)],
    ids=["two classes", "five classes", "labels", "ties", "few rows", "few rows with labels"],
)
def test_equals_the_slow_obvious_bootstrap(data):
    found = intervals(*data, seed=3, resamples=60)
    expected = slow_intervals(*data, seed=3, resamples=60)
    assert found.keys() == expected.keys()
    for name, ends in expected.items():
        assert found[name] == pytest.approx(ends, abs=1e-9), name


def test_every_resample_has_as_many_rows_as_the_data():
    blocks = list(draw(50_000, seed=0, resamples=200))
    assert len(blocks) > 1
    assert sum(len(block) for block in blocks) == 200
    assert all((block.sum(axis=1) == 50_000).all() for block in blocks)


def test_the_same_seed_gives_the_same_intervals_and_another_does_not():
    data = single(100, 3)
    assert intervals(*data, seed=1) == intervals(*data, seed=1)
    assert intervals(*data, seed=1) != intervals(*data, seed=2)


def test_an_undefined_figure_has_no_interval():
    assert "roc_auc" not in intervals(np.zeros(20, dtype=int), np.full((20, 2), 0.5))


def test_intervals_surround_the_figures():
    data = single(400, 4)
    figures = measure(*data)
    for name, (low, high) in intervals(*data).items():
        assert low < figures[name] < high, name


def test_intervals_cover_the_truth():
    """Two normal classes one apart: accuracy 0.691 at the midpoint, area 0.760; 300 samples of 150 rows."""
    random = np.random.default_rng(0)
    truth = {"accuracy": norm.cdf(0.5), "roc_auc": norm.cdf(1 / np.sqrt(2))}
    covered = dict.fromkeys(truth, 0)
    for seed in range(300):
        targets = np.arange(150) % 2
        second = 1 / (1 + np.exp(-(random.normal(size=150) + targets - 0.5)))
        found = intervals(targets, np.stack([1 - second, second], axis=1), seed=seed, resamples=200)
        for name, value in truth.items():
            covered[name] += found[name][0] <= value <= found[name][1]
    for name, count in covered.items():
        assert 0.90 <= count / 300 <= 0.985, name


@pytest.mark.parametrize(("rows", "classes", "seconds"), [(10_000, 10, 2), (100_000, 2, 10)])
def test_large_splits_take_seconds(rows, classes, seconds):
    """Processor time, which other jobs on the machine do not stretch; a factor of two is left for slower machines."""
    data = single(rows, classes)
    begun = time.process_time()
    intervals(*data)
    assert time.process_time() - begun < 2 * seconds
