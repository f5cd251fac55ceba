"""Rows as vectors: what the frozen base model makes of them before any training.

One forward pass; the last hidden states are averaged over the positions of each row that are no padding (Reimers & Gurevych
2019, "Sentence-BERT", section 3). The vectors are kept in the cache folder, by the hash of all that decides on them, beside the
outputs of frozen parts and under the same limit of size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import datasets
import numpy as np
import torch
import transformers
from torch import Tensor, nn

from luthier import hardware
from luthier.data import encode, fingerprint
from luthier.data.batches import EncodedFeed, Feed, Sequences
from luthier.data.found import Found
from luthier.errors import ModelError, TrainError
from luthier.increment import open_below
from luthier.inputs import Asked, entrance
from luthier.methods import Context
from luthier.modalities import Modality, Writing
from luthier.modalities.perceived import Perceived
from luthier.models.anatomy import base_of
from luthier.models.open import Base, architecture
from luthier.models.pooling import mean
from luthier.models.quick import quicken
from luthier.objectives import inputs_of
from luthier.tasks import Target
from luthier.tasks.written import Written
from luthier.training import keeping
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups

POOLING = "mean"
"""Part of the key: raise or rename it when rows become vectors in another way."""


def embed(
    base: Base,
    table: datasets.Dataset,
    found: Found,
    max_length: float | None = None,
    device: hardware.DeviceChoice = "auto",
    advance: Callable[[int], None] = lambda rows: None,
    target: Target | None = None,
) -> np.ndarray:
    """The vectors of some rows, computed now or by an earlier call.

    Args:
        base: from `models.find`.
        table: the rows.
        found: the columns to read, and what they hold.
        max_length: as `data.max_length`; longer rows are cut.
        device: as in the recipe.
        advance: told how many rows are done, for a progress bar; not called for rows that are in the cache.
        target: of the task, which may say what is written around each row, and in which languages rows are.

    Returns:
        (rows, width) float32, read-only: it may be the file in the cache.

    Raises:
        ModelError: the model cannot be opened.
        TrainError: neither the disk nor memory has room for the vectors.
    """
    asked = Asked(base, limit=max_length)
    if target is not None:
        asked = replace(asked, wording=target.wording, languages=target.languages)
    opening = entrance(_medium(found, target), asked)
    config, modality = architecture(base, opening.context.head), opening.modality
    if isinstance(modality, Perceived):
        modality = modality.perceived
    content = fingerprint.of_dataset(table.select_columns([found.compared]))
    width = _width(config)
    key, sizes = _key(base, config, modality, content), [(len(table) * width, torch.float32)]
    kept = keeping.find(key, sizes)
    if kept is None:
        feed = _feed(table, found, modality, content)
        on = hardware.device(device)
        network = _open(base, opening.context).to(on)
        kept = keeping.make(
            key, sizes, _place(sizes, len(table)), lambda new: _fill(new[0].view(-1, width), network, feed, on, advance)
        )
    vectors = kept[0].view(len(table), width).numpy()
    vectors.setflags(write=False)
    return vectors


def _medium(found: Found, target: Target | None) -> str:
    """What rows are to their network: one that writes of images or recordings may be able to do nothing else with them."""
    return target.reads or found.medium if isinstance(target, Written) else found.medium


def _open(base: Base, context: Context) -> nn.Module:
    """The base without its head, in evaluation mode; of an encoder and decoder only the encoder."""
    whole: Any = open_below(base, {}, context).model
    body = whole.get_encoder() if whole.config.is_encoder_decoder else base_of(whole)
    network: nn.Module = quicken(body)
    return network.eval()


def _feed(table: datasets.Dataset, found: Found, modality: Modality, content: str) -> Feed:
    columns, rows = found.inputs, table.select_columns(list(found.inputs))
    if isinstance(modality, Writing):  # reads an answer behind its prompt, which is None where there is none yet
        columns = found.encoded
        for name in columns[len(found.inputs) :]:
            rows = rows.add_column(name, [None] * len(rows))
    numbers = np.arange(len(rows))
    return EncodedFeed(encode.encode(rows, columns, np.zeros(len(rows)), numbers, modality, content), modality)


def _key(base: Base, config: Any, modality: Modality, content: str) -> str:
    """Hash of weights, settings, tokenizer, limit, rows and code; not of where the model lies."""
    settings = {name: value for name, value in config.to_dict().items() if name != "_name_or_path"}
    versions = (torch.__version__, transformers.__version__)
    parts = (POOLING, base.sha256, json.dumps(settings, sort_keys=True, default=str), modality.fingerprint, content)
    return hashlib.sha256(repr((*parts, *versions)).encode()).hexdigest()[:32]


def _place(sizes: Sequence[tuple[int, torch.dtype]], rows: int) -> str:
    """On disk, where later calls find them; in memory where the disk has no room.

    Raises:
        TrainError: there is room nowhere.
    """
    size = sum(map(keeping.bytes_of, sizes))
    try:
        return keeping.place("disk", size)
    except TrainError as full:
        try:
            return keeping.place("memory", size)
        except TrainError as short:
            raise TrainError(
                f"There is no room for the vectors of {rows:,} rows: {full}; {short}. Free some space, set LUTHIER_CACHE to a folder on "
                "another disk, or take fewer rows (data.rows)."
            ) from None


@torch.inference_mode()
def _fill(vectors: Tensor, network: nn.Module, feed: Feed, on: torch.device, advance: Callable[[int], None]) -> None:
    """Compute the vectors of all rows, in calls of similar length."""
    for group in sorted_groups(feed.lengths, TOKENS_PER_CALL):
        inputs = {name: value.to(on) for name, value in inputs_of(feed.inputs(group)).items()}
        hidden = _positions(network, inputs)
        means = mean(hidden, inputs.get("attention_mask")).float().cpu()
        vectors[torch.from_numpy(group)] = _by_rows(means, feed.sequences(group))
        advance(len(group))


def _positions(network: nn.Module, inputs: Mapping[str, Tensor]) -> Tensor:
    """What a network makes of each position, (rows, positions, width).

    Raises:
        ModelError: it makes nothing of positions, as one that puts two networks beside each other.
    """
    output = network(**inputs)
    if not isinstance(output, Mapping) or "last_hidden_state" not in output:
        raise ModelError(
            f"{type(network).__name__} gives no vectors of positions, so rows cannot become vectors with it."
        )
    hidden: Tensor = output["last_hidden_state"]
    return hidden


def _by_rows(means: Tensor, sequences: Sequences) -> Tensor:
    """Means over the positions of all windows of a row, (rows, width), of those of each window."""
    if len(means) == len(sequences.counts):
        return means
    lengths = torch.from_numpy(sequences.lengths).float().unsqueeze(1)
    parts = torch.stack([part.sum(dim=0) for part in (means * lengths).split(sequences.counts.tolist())])
    return parts / torch.stack([part.sum(dim=0) for part in lengths.split(sequences.counts.tolist())])


WIDTHS = ("hidden_size", "hidden_dim", "hidden_sizes")
"""What configurations call the width of what a network puts out; of several the last is meant."""
ENCODERS = ("encoder", "image_config")
"""What configurations of two networks call that of the encoder, which `_open` opens."""


def _width(config: Any) -> int:
    """Numbers of a vector.

    Raises:
        ModelError: the configuration does not say it.
    """
    apart = (getattr(config, name, None) for name in ENCODERS)
    said = next((one for one in apart if one is not None), config.get_text_config())
    for name in WIDTHS:
        width = getattr(said, said.attribute_map.get(name, name), None)
        if width is not None:
            return int(width[-1] if isinstance(width, list | tuple) else width)
    raise ModelError(
        f"A model of the kind {config.model_type} does not say how wide its output is, so rows cannot become vectors with it."
    )
