"""Division as a column gives it: each row names its split."""

from __future__ import annotations

import numpy as np

from luthier.data.source import ORDER, OTHER_NAMES
from luthier.data.splits.parts import Basis, Parts, Rows
from luthier.errors import DataError

NAMES = {other: name for name, others in OTHER_NAMES.items() for other in others}


def divide(basis: Basis, parts: Parts) -> Rows:
    """Put each row where its key says, under any of the usual names (`dev`, `eval`, `testing`); `parts` is not asked.

    Raises:
        DataError: a cell names no split, or no row is for training.
    """
    names = [NAMES.get(str(key).strip().lower(), "") for key in basis.keys]
    if "" in names:
        row = names.index("")
        raise DataError(
            f"Column {basis.column!r}, row {basis.number(row)}: {str(basis.keys[row])[:60]!r} names no split; expected train, validation "
            "or test in every row."
        )
    if "train" not in names:
        raise DataError(f"Column {basis.column!r} names no row as train; it has {', '.join(sorted(set(names)))}.")
    found = np.array(names)
    return {name: np.flatnonzero(found == name) for name in ORDER if name in names}
