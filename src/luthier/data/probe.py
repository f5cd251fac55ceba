"""The linear probe: how well a straight line through frozen vectors tells rows apart (Alain & Bengio 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

STRENGTH = 0.003
"""Inverse of the L2 penalty on standardised features, scikit-learn's `C`. Of 0.001, 0.003, 0.01, 0.1 and 1 the best or near it for
2,000 rows of 384 features: macro F1 on hotel reviews 0.859, 0.865, 0.860, 0.841, 0.819.
"""


def linear_probe(strength: float = STRENGTH) -> Pipeline:
    """Logistic regression on standardised features, not yet fitted.

    Args:
        strength: scikit-learn's `C`, above 0; smaller is simpler.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
