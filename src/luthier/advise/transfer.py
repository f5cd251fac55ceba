"""Is this base model suited? What frozen vectors of the training rows say of a model, before anything is trained.

Only training rows are read, none twice and no copies, and the model's vectors are those of `luthier.embed`, which stay in the cache.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from luthier.advise.h_score import h_score
from luthier.advise.linear_probe import Probed, enough, probe
from luthier.advise.logme import logme
from luthier.data import cells
from luthier.data.table import Table
from luthier.embed import embed
from luthier.entrances import Asked
from luthier.errors import LuthierError, ModelError, RecipeError
from luthier.inputs import entrance
from luthier.models.anatomy import base_of
from luthier.models.find import Base, find
from luthier.models.heads import HEADS
from luthier.models.open import architecture
from luthier.prepare import Prepared
from luthier.recipe.schema import Recipe
from luthier.show import Console
from luthier.tasks import Target

ROWS = 1_000
"""Most training rows that are read; rung 0 of `luthier auto` reads the same, and finds their vectors."""


@dataclass(frozen=True)
class Truth:
    """Targets of rows as the scores read them."""

    columns: np.ndarray
    """(rows, columns) float64: 0 and 1 for each class or label, or numbers in deviations from their mean."""
    questions: tuple[np.ndarray, ...] = ()
    """Memberships of classes, (rows, classes) bool each; none of numbers."""

    def pick(self, rows: np.ndarray) -> Truth:
        """Some of the rows."""
        return Truth(self.columns[rows], tuple(one[rows] for one in self.questions))


def _of_classes(targets: np.ndarray) -> Truth:
    """One class a row is a question of all classes; several labels are a question of yes and no each."""
    if targets.ndim == 1:
        members = targets[:, None] == np.unique(targets)
        return Truth(members.astype(np.float64), (members,))
    given = targets.astype(bool)
    return Truth(given.astype(np.float64), tuple(np.stack([~one, one], axis=1) for one in given.T))


def _of_numbers(targets: np.ndarray) -> Truth:
    spread = targets.std(axis=0)
    return Truth((targets - targets.mean(axis=0)) / np.where(spread > 0, spread, 1))


TRUTHS: Mapping[str, Callable[[np.ndarray], Truth]] = {"classes": _of_classes, "numbers": _of_numbers}
"""How the scores read targets, by what the labels of a task are."""


@dataclass(frozen=True)
class Sample:
    """Training rows that all models are asked about."""

    data: Prepared
    table: Table
    truth: Truth
    recipe: Recipe

    @property
    def target(self) -> Target:
        """Learned from all training rows."""
        return self.data.target


@dataclass(frozen=True)
class Suited:
    """What is known of a model."""

    name: str
    """As it was asked for."""
    logme: float
    h_score: float | None
    """None of numbers."""
    probed: Probed
    vectors: np.ndarray
    """Of the sample, (rows, width)."""
    weights: int
    """Of the network without a head."""
    seconds: float
    """All that it took."""
    kept: bool
    """Whether the vectors were there from an earlier call."""
    unknown: float | None
    """Share of the tokens that the model has no word for; None where nothing is tokens."""


@dataclass(frozen=True)
class Unreadable:
    """A model that cannot be asked."""

    name: str
    why: str


def sample(data: Prepared, recipe: Recipe) -> Sample:
    """Some training rows of which no two are alike, the same for all models and each time.

    Args:
        data: prepared; its other splits are not looked at.
        recipe: its task and seed.

    Raises:
        DataError: there are too few.
        RecipeError: the task's answers are not about one vector a row.
    """
    if recipe.task.labels not in TRUTHS or data.target.reads:
        raise RecipeError(
            f"--models compares what models make of a whole row, and task {recipe.task.name} does not answer with classes or numbers for "
            "one. Compare trainings instead: luthier compare."
        )
    picked = data.tables["train"].some(ROWS, recipe.seed)
    enough(picked.labels, np.arange(len(picked.labels)))
    return Sample(data, picked, TRUTHS[recipe.task.labels](data.target.encode(picked.labels)), recipe)


def examine(name: str, rows: Sample, console: Console) -> Suited | Unreadable:
    """Ask a model about the rows.

    Args:
        name: as a recipe's `model`.
        rows: from `sample`.
        console: to show progress.
    """
    started = time.perf_counter()
    try:
        base = find(name, rows.recipe.revision, rows.recipe.trust_remote_code)
        vectors, kept = _vectors(base, rows, console)
        weights, unknown = _looked(base, rows)
    except LuthierError as wrong:
        return Unreadable(name, str(wrong))
    with console.status(f"Scores of {name}"):
        answered = probe(rows.target, vectors, rows.table.labels, seed=rows.recipe.seed)
        apart = h_score(vectors, rows.truth.questions) if rows.truth.questions else None
        evidence = logme(vectors, rows.truth.columns)
    seconds = time.perf_counter() - started
    return Suited(name, evidence, apart, answered, vectors, weights, seconds, kept, unknown)


def _vectors(base: Base, rows: Sample, console: Console) -> tuple[np.ndarray, bool]:
    """The rows as vectors, and whether they were there already.

    Raises:
        ModelError: the model makes no numbers of them, or the same of all.
    """
    done: list[int] = []
    with console.bar(f"Reading with {base.name}", len(rows.table.labels)) as advance:

        def told(count: int) -> None:
            done.append(count)
            advance(count)

        vectors = embed(base, rows.table.rows, rows.data.found, rows.data.limit, rows.recipe.train.device, told)
    if not np.isfinite(vectors).all() or not np.ptp(vectors, axis=0).any():
        raise ModelError(f"{base.name} makes the same vector of all rows, or none at all: its weights are damaged.")
    return vectors, not done


def _looked(base: Base, rows: Sample) -> tuple[int, float | None]:
    """Weights of the network without a head, and the share of tokens that are not in its vocabulary."""
    opening = entrance(rows.data.found.medium, Asked(base, limit=rows.data.limit))
    weights = _weights(base, opening.context.head)
    if opening.modality.unit != "tokens":
        return weights, None
    encoded = opening.modality.encode(cells.values(rows.table.rows, rows.data.found.inputs))
    return weights, opening.modality.unknown(encoded.columns)


def _weights(base: Base, head: str) -> int:
    """Counted on a network without memory, as the vectors may be in the cache."""
    config = architecture(base, head)
    with torch.device("meta"):
        network = HEADS[head].auto(config).from_config(config, trust_remote_code=base.trust_remote_code)
    return sum(one.numel() for one in base_of(network).parameters())
