"""The two columns of rows that are pairs of texts, where the recipe or their names say so."""

from __future__ import annotations

from collections.abc import Sequence

from luthier.recipe.data import Columns

PAIR_NAMES = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text_a", "text_b"),
    ("句子1", "句子2"),
)
"""Names that say by themselves that two texts belong together: those of SNLI, GLUE, Quora's questions and LCQMC."""


def paired(names: Sequence[str], given: Columns) -> tuple[str, str] | None:
    """The first and the second text of each row; None where rows have one.

    Args:
        names: of all columns.
        given: what the recipe says of them.
    """
    if given.text is not None and given.pair is not None:
        return given.text, given.pair
    if given.input is not None:
        return None
    called = {name.strip().lower(): name for name in reversed(names)}
    return next(((called[one], called[other]) for one, other in PAIR_NAMES if one in called and other in called), None)
