"""H-score: how far apart the classes' mean vectors lie, in units of the vectors' own spread.

Bao, Li, Huang, Zhang, Zheng, Zamir & Guibas 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning"
(ICIP), definition 2: tr(cov(f)^-1 cov(E[f | y])). With few rows beside the width of the vectors the inverse of cov(f) is mostly noise,
so it is that of Ibrahim, Ponomareva & Mazumder 2022, "Newer is not always better: Rethinking transferability metrics, their
peculiarities, stability and performance" (ECML PKDD): cov(f) is shrunk towards a multiple of the identity by the amount a of Ledoit &
Wolf 2004, and cov(E[f | y]) is multiplied by 1 - a.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def h_score(vectors: np.ndarray, questions: Sequence[np.ndarray]) -> float:
    """The score, from 0 to the number of classes less one: the higher, the better suited.

    Args:
        vectors: (rows, width).
        questions: memberships of classes, each (rows, classes) bool with one true a row; of several questions the mean is taken.
    """
    from scipy.linalg import cho_factor, cho_solve
    from sklearn.covariance import LedoitWolf

    vectors = np.asarray(vectors, np.float64)
    spread = LedoitWolf(store_precision=False).fit(vectors)
    factor = cho_factor(spread.covariance_)

    def score(members: np.ndarray) -> float:
        counts = members.sum(axis=0)
        members, counts = members[:, counts > 0], counts[counts > 0]
        means = members.T.astype(np.float64) @ (vectors - spread.location_) / counts[:, None]
        distances = (means.T * cho_solve(factor, means.T)).sum(axis=0)
        return float((1 - spread.shrinkage_) * distances @ counts / len(vectors))

    return float(np.mean([score(members) for members in questions]))
