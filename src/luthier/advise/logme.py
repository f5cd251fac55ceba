"""LogME: how likely labels are, given frozen vectors, under all linear models at once.

You, Liu, Wang & Long 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (ICML), algorithm 1. Each column y
of the targets is taken for F w + noise, with w ~ N(0, 1 / alpha) and noise ~ N(0, 1 / beta); the score is the largest log evidence
log p(y | F, alpha, beta) over alpha and beta, divided by the number of rows and averaged over columns. It is found by MacKay's fixed
point in the form of You, Liu, Zhang, Wang, Jordan & Long 2022 (JMLR 23, algorithm 3): after one eigendecomposition of the smaller Gram
matrix, a step costs as much as there are eigenvalues. No row is held out: the evidence itself pays for weights that are not needed.
"""

from __future__ import annotations

import numpy as np

STEPS = 1000
"""Most steps of the fixed point; a dozen are usual, more where labels have nothing to do with the vectors."""
TOLERANCE = 1e-6
"""Relative change of alpha / beta at which it stands still."""
TINY = 1e-12
"""Keeps alpha and beta finite where a column is explained wholly, or not at all."""


def logme(vectors: np.ndarray, targets: np.ndarray) -> float:
    """The score: the higher, the better suited; comparable only between models on the same rows.

    Args:
        vectors: (rows, width).
        targets: (rows, columns): 0 and 1 for each class or label, or numbers in deviations from their mean.

    Raises:
        ValueError: vectors are all zero.
    """
    squares, energies, outside = _projected(np.asarray(vectors, np.float64), np.asarray(targets, np.float64))
    ratio = _fixed_point(squares, energies, outside, len(vectors))
    return float(_evidence(squares, energies, outside, len(vectors), ratio).mean() / len(vectors))


def _projected(vectors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the evidence hangs on.

    Returns:
        Squared singular values s^2 of the vectors, (rank,); of each column its squared parts along the left singular vectors,
        (rank, columns), and the rest of its square, (columns,).
    """
    from scipy.linalg import eigh

    rows, width = vectors.shape
    gram = vectors @ vectors.T if rows <= width else vectors.T @ vectors
    squares, directions = eigh(gram)
    known = squares > squares[-1] * max(rows, width) * np.finfo(np.float64).eps
    if not known.any():
        raise ValueError("the vectors are all zero")
    squares, directions = squares[known], directions[:, known]
    parts = directions.T @ (targets if rows <= width else vectors.T @ targets)
    energies = parts**2 / (1 if rows <= width else squares[:, None])
    return squares, energies, np.maximum((targets**2).sum(axis=0) - energies.sum(axis=0), 0)


def _fixed_point(squares: np.ndarray, energies: np.ndarray, outside: np.ndarray, rows: int) -> np.ndarray:
    """Ratio of alpha to beta of each column, (columns,)."""
    ratio = np.ones(energies.shape[1])
    for _ in range(STEPS):
        left = ratio / (squares[:, None] + ratio)  # the share of a direction that the weights do not explain
        effective = (1 - left).sum(axis=0)
        weights = (energies * (1 - left) ** 2 / squares[:, None]).sum(axis=0)
        misfit = (energies * left**2).sum(axis=0) + outside
        alpha = effective / (weights + TINY)
        beta = (rows - effective) / (misfit + TINY)
        before, ratio = ratio, alpha / (beta + TINY)
        if (np.abs(ratio - before) <= TOLERANCE * before).all():
            break
    return ratio


def _evidence(
    squares: np.ndarray, energies: np.ndarray, outside: np.ndarray, rows: int, ratio: np.ndarray
) -> np.ndarray:
    """Log evidence of each column at alpha / beta and the best beta for it, (columns,).

    A column is N(0, C / beta) with C = I + F F' / ratio, whose logarithm is largest at 1 / beta = y' C^-1 y / rows.
    """
    spread = 1 + squares[:, None] / ratio
    noise = ((energies / spread).sum(axis=0) + outside) / rows + TINY
    found: np.ndarray = -0.5 * (rows * (np.log(2 * np.pi * noise) + 1) + np.log(spread).sum(axis=0))
    return found
