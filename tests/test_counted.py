"""Numbers of things in sentences."""

import pytest

from luthier.counted import many


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (1234, ("row",), "1,234 rows"),
        (1, ("row is", "rows are"), "1 row is"),
        (2, ("row is", "rows are"), "2 rows are"),
        (2, ("class", "classes"), "2 classes"),
    ],
)
def test_what_hangs_on_the_number(count: int, words: tuple[str, ...], said: str) -> None:
    assert many(count, *words) == said
