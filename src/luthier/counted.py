"""Numbers of things in sentences."""

from __future__ import annotations


def many(count: int, one: str, several: str = "") -> str:
    """A number of things, such as `1 row` and `1,234 rows`.

    Args:
        count: how many there are.
        one: what one is called, with whatever else hangs on the number: `row is`.
        several: what others are called: `rows are`; empty for `one` with an s.
    """
    return f"{count:,} {one if count == 1 else several or f'{one}s'}"
