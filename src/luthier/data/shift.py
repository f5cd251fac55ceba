"""Whether other rows are like the training rows: a classifier that tries to tell them apart, and the frequencies of labels.

The classifier two-sample test of Lopez-Paz & Oquab 2017 ("Revisiting Classifier Two-Sample Tests", ICLR): where two sets of rows
come from the same source, no classifier tells held-out rows of one from those of the other better than by guessing. Here it is
a linear probe on the rows' vectors, and what is tested is the area under the ROC curve, which does not mind sets of unequal size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from luthier.data.probe import linear_probe

ALPHA = 0.01
"""p-values below this are called a shift."""
FEWEST = 20
"""Rows that both sides must have."""
MOST = 5_000
"""Rows looked at on each side, drawn at random where there are more: enough to see any shift that matters."""
EXPECTED = 5
"""Rows expected in each cell below which the chi-square distribution is a bad guide (Cochran 1954); tables are then drawn."""
DEGREES = ((0.6, "slight"), (0.75, "clear"), (1.0, "strong"))
"""What a shift is called, by the largest AUC of its kind."""


@dataclass(frozen=True)
class Vectors:
    """Whether the rows themselves differ."""

    auc: float
    """Of telling the two sets apart, mean over both halves: 0.5 is guessing, 1 is always right."""
    p_value: float
    rows: tuple[int, int]
    """Looked at, of training and of the other set."""


@dataclass(frozen=True)
class Frequencies:
    """Whether labels are as frequent."""

    p_value: float
    """Chi-square test of homogeneity; for several labels a row, of the label that differs most, times their number (Bonferroni)."""
    shares: dict[str, tuple[float, float]]
    """Of each label, in training and in the other set."""

    @property
    def largest(self) -> str:
        """The label whose share differs most."""
        return max(self.shares, key=lambda label: abs(self.shares[label][0] - self.shares[label][1]))


@dataclass(frozen=True)
class Shift:
    """How another set of rows differs from training."""

    name: str
    """What the other set is called."""
    vectors: Vectors | None
    """None where there are too few rows."""
    labels: Frequencies | None
    """None where a side has no labels."""

    @property
    def found(self) -> bool:
        """Whether there is a shift of either kind."""
        return any(one is not None and one.p_value < ALPHA for one in (self.vectors, self.labels))

    @property
    def sentence(self) -> str:
        """The result in plain words."""
        parts = [_said_of_vectors(self.name, self.vectors), _said_of_labels(self.name, self.labels)]
        return " ".join(part for part in parts if part)

    @property
    def facts(self) -> dict[str, Any]:
        """For JSON: all numbers, whether a shift was `found`, and the `sentence`."""
        return {**asdict(self), "found": self.found, "sentence": self.sentence}


def compare(
    name: str,
    training: np.ndarray,
    other: np.ndarray,
    labels: tuple[Sequence[Any], Sequence[Any]] | None = None,
    seed: int = 0,
) -> Shift:
    """Compare another set of rows with the training rows.

    Args:
        name: what the other set is called: `test`, or a file's name.
        training: vectors of training rows, (rows, width), one for each group of copies: copies are no evidence of their own.
        other: vectors of the other rows, likewise.
        labels: of both sets, where both have some; they may be of all rows, copies included.
        seed: of what is drawn.
    """
    enough = min(len(training), len(other)) >= FEWEST
    known = labels if labels is not None and all(map(len, labels)) else None
    return Shift(
        name,
        two_sample(training, other, seed) if enough else None,
        homogeneity(*known, seed=seed) if known else None,
    )


def two_sample(training: np.ndarray, other: np.ndarray, seed: int = 0) -> Vectors:
    """Try to tell two sets of rows apart: each half of the rows is ranked by a classifier that was fitted on the other half.

    Mann & Whitney's U of a half is its area under the curve and gives a p-value, as the classifier has not seen these rows. The two
    depend on each other, so twice the smaller one counts (Bonferroni), which is valid however they do. More folds would fit
    better classifiers, but test each on fewer rows.

    Args:
        training: (rows, width), at least 2 rows.
        other: (rows, width), likewise.
        seed: of the rows that are drawn, and of the halves.
    """
    from sklearn.model_selection import StratifiedKFold

    sets = [_some(vectors, seed) for vectors in (training, other)]
    vectors = np.concatenate(sets)
    side = np.repeat([0, 1], [len(one) for one in sets])
    halves = StratifiedKFold(2, shuffle=True, random_state=seed).split(vectors, side)
    areas, p_values = zip(*(_told_apart(vectors, side, fit, held) for fit, held in halves), strict=True)
    return Vectors(float(np.mean(areas)), min(1.0, 2 * min(p_values)), (len(sets[0]), len(sets[1])))


def homogeneity(training: Sequence[Any], other: Sequence[Any], seed: int = 0) -> Frequencies:
    """Compare how frequent labels are.

    Args:
        training: one label a row, or a list of them.
        other: likewise.
        seed: of the tables that are drawn where a label is rare.
    """
    several = any(isinstance(label, list) for label in (*training, *other))
    counts = [_counted(labels) for labels in (training, other)]
    names = sorted(counts[0] | counts[1])
    sizes = np.array([len(training), len(other)])
    table = np.array([[count[name] for name in names] for count in counts])
    tables = [np.stack([column, sizes - column], axis=1) for column in table.T] if several else [table]
    p_values = [_chi_square(one, seed) for one in tables]
    shares = table / sizes[:, None]
    named = {name: (float(shares[0, place]), float(shares[1, place])) for place, name in enumerate(names)}
    return Frequencies(min([1.0, *(len(tables) * value for value in p_values)]), named)


def _some(vectors: np.ndarray, seed: int) -> np.ndarray:
    if len(vectors) <= MOST:
        return vectors
    drawn: np.ndarray = vectors[np.random.default_rng(seed).choice(len(vectors), MOST, replace=False)]
    return drawn


def _told_apart(vectors: np.ndarray, side: np.ndarray, fit: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    """Area under the curve for held-out rows, and its one-sided p-value."""
    from scipy.stats import mannwhitneyu

    scores = linear_probe().fit(vectors[fit], side[fit]).decision_function(vectors[held])
    right, wrong = scores[side[held] == 1], scores[side[held] == 0]
    test = mannwhitneyu(right, wrong, alternative="greater")
    return float(test.statistic / (len(right) * len(wrong))), float(test.pvalue)


def _counted(labels: Sequence[Any]) -> Counter[str]:
    """Rows of each label; numbers and texts are the same, as elsewhere."""
    return Counter(str(name) for label in labels for name in (label if isinstance(label, list) else [label]))


def _chi_square(table: np.ndarray, seed: int) -> float:
    """p-value of a table of two rows: that both have the same shares."""
    from scipy.stats import MonteCarloMethod, chi2_contingency
    from scipy.stats.contingency import expected_freq

    table = table[:, table.any(axis=0)]
    if table.shape[1] < 2:
        return 1.0
    rare = expected_freq(table).min() < EXPECTED
    method = MonteCarloMethod(rng=np.random.default_rng(seed)) if rare else None
    return float(chi2_contingency(table, correction=False, method=method).pvalue)


def _said_of_vectors(name: str, vectors: Vectors | None) -> str:
    if vectors is None:
        return f"Whether the {name} rows are like the training rows cannot be said: that takes {FEWEST} of each."
    figures = f"AUC {vectors.auc:.2f}, where 0.5 is guessing; {_p(vectors.p_value)}"
    if vectors.p_value >= ALPHA:
        return f"No shift was found: a classifier cannot tell {name} rows from training rows ({figures})."
    degree = next(degree for largest, degree in DEGREES if vectors.auc <= largest)
    return f"There is a {degree} shift: a classifier tells {name} rows from training rows ({figures})."


def _said_of_labels(name: str, labels: Frequencies | None) -> str:
    if labels is None:
        return ""
    if labels.p_value >= ALPHA:
        return f"Labels are about as frequent ({_p(labels.p_value)})."
    before, now = labels.shares[labels.largest]
    return f"Labels are not as frequent: {labels.largest!r} is {before:.1%} of training and {now:.1%} of {name} ({_p(labels.p_value)})."


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
