"""Which columns hold tokens and their tags."""

from __future__ import annotations

import datasets
import pyarrow as pa

from luthier.data.found import Found
from luthier.data.labels import arrow_type
from luthier.data.looks import check_exist
from luthier.errors import DataError
from luthier.recipe.data import Columns

TOKEN_NAMES = ("tokens", "words", "characters", "chars", "text", "sentence", "字", "词")
TAG_NAMES = ("tags", "ner_tags", "pos_tags", "labels", "label", "tag", "ner", "标签")


def token_lists(dataset: datasets.Dataset, given: Columns) -> Found:
    """The column of tokens and that of their tags.

    Raises:
        DataError: a given column does not exist or holds no lists, or the choice is not clear.
    """
    if given.pair is not None:
        raise DataError("data.columns.pair names a second text, and this task reads one input a row: leave it out.")
    if isinstance(given.label, list):
        raise DataError("data.columns.label: the tags of a row stand in one column; got a list.")
    check_exist(dataset, [name for name in (given.text, given.label) if name is not None])
    lists = [name for name in dataset.column_names if _holds_lists(dataset, name)]
    tags = given.label or next((name for name in TAG_NAMES if name in lists and name != given.text), None)
    others = [name for name in lists if name != tags]
    tokens = given.text or next((name for name in TOKEN_NAMES if name in others), None)
    if tokens is None or tags is None or not {tokens, tags} <= set(lists):
        raise DataError(
            "Tagging needs a column with lists of tokens and one with lists of tags; columns with lists are: "
            f"{', '.join(lists) or 'none'}. Token files (.conll, .bio, .bmes) have both; of other data say which they are: "
            "data: {columns: {text: tokens, label: tags}}."
        )
    why = f"tokens are {tokens!r}; tags are {tags!r}."
    return Found(tokens, tags, None, "tags", why, medium="tokens")


def _holds_lists(dataset: datasets.Dataset, name: str) -> bool:
    stored = arrow_type(dataset, name)
    return bool(pa.types.is_list(stored) or pa.types.is_large_list(stored))
