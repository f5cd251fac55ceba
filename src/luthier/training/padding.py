"""How long rows are beside their padding, and whether a network could take their ends for padding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from luthier.data.batches import Feed
from luthier.training.features import portions


def lengths_of(feed: Feed, rows: np.ndarray) -> Tensor:
    """Positions of each sequence that is read of some rows, (sequences,)."""
    return torch.from_numpy(feed.sequences(rows).lengths)


def padding_ends_rows(inside: nn.Module, feeds: Iterable[Feed]) -> bool:
    """Whether any row of these feeds, in any of its copies, ends in the token that a network takes for padding."""
    config: Any = getattr(inside, "config", None)
    token = getattr(config.get_text_config(), "pad_token_id", None) if config else None  # images have none
    return token is not None and any(
        ends_in(token, view.inputs(rows), lengths_of(view, rows))
        for feed in feeds
        for view in feed.views
        for rows in portions(view.lengths)
    )


def ends_in(token: int, inputs: Mapping[str, Tensor], lengths: Tensor) -> bool:
    """Whether some row ends in a token; one of a single position, whose last is its first, does not count.

    Args:
        token: its id.
        inputs: of the network, with `input_ids`, (rows, positions), where it reads tokens.
        lengths: positions of each row that are no padding, (rows,).
    """
    if "input_ids" not in inputs:
        return False
    ids = inputs["input_ids"]
    ends = ids[torch.arange(len(ids)), lengths - 1] == token
    return bool((ends & (lengths > 1)).any())
