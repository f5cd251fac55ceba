"""Cells that look wrong, against Python's own idea of them."""

import unicodedata

import datasets
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import odd


def column(*cells: str | None) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": list(cells), "number": list(range(len(cells)))})


def test_each_kind_is_counted_with_its_rows() -> None:
    huge = "x" * (odd.HUGE + 1)
    rows = column(
        "fine\tas\nit is", None, "bell\x07", "nul\x00", "caf\u00c3\u00a9 don\u00e2\u20ac\u2122t", "lost \ufffd", huge
    )
    assert [one.sentence for one in odd.find(rows, "text")] == [
        "2 rows hold control characters in 'text', such as row 3, 4.",
        "1 row holds letters that were lost in an earlier conversion (\ufffd) in 'text', such as row 6.",
        "1 row holds UTF-8 that was once read in another encoding (the package ftfy mends it) in 'text', such as row 5.",
        "1 row holds more than 100,000 characters in 'text', such as row 7.",
    ]
    assert odd.find(rows, "text")[0].facts == {"column": "text", "kind": "control", "rows": 2, "examples": [3, 4]}


def test_other_columns_and_clean_ones_have_none() -> None:
    rows = column("plain", "naïve café", "Ã la carte", "你好，世界", "")
    assert odd.find(rows, "number") == []
    assert odd.find(rows, "text") == []


@given(st.text(max_size=20).filter(lambda text: "\ufffd" not in text))
def test_control_characters_are_those_of_unicode(text: str) -> None:
    controls = {letter for letter in text if unicodedata.category(letter) == "Cc" and ord(letter) < 128} - {
        "\t",
        "\n",
        "\r",
    }
    kinds = {one.kind for one in odd.find(column(text), "text")}
    assert ("control" in kinds) == bool(controls)
