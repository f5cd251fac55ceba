"""Opening a base model: its tokenizer, its configuration, and its weights with a head for the task."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer, PreTrainedTokenizerBase

from luthier.errors import ModelError
from luthier.models.anatomy import Anatomy, examine, parameters_of
from luthier.models.explained import explained
from luthier.models.find import ADAPTER, Base, find
from luthier.models.heads import HEADS, WORDS
from luthier.models.merge import merge_adapter

__all__ = ["Base", "Opened", "architecture", "find", "open_model", "open_processor", "open_tokenizer", "positions"]


@dataclass(frozen=True)
class Opened:
    """A model with a task head."""

    model: nn.Module
    new: tuple[str, ...]
    """Parameters that were drawn and not loaded."""
    notes: tuple[str, ...] = ()
    """What the user should know."""


def open_tokenizer(base: Base) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with a padding token and padding on the right, as `Text.collate` does it.

    Raises:
        ModelError: there is no tokenizer, or none of its tokens can serve for padding.
    """
    with explained(base):
        where = base if _holds(base, "tokenizer_config.json") else _below(base)
        tokenizer = AutoTokenizer.from_pretrained(where.location, **where.arguments)
    if len(tokenizer.get_vocab()) <= len(tokenizer.all_special_ids):  # what transformers makes out of no files at all
        raise ModelError(
            f"The model {base.name!r} cannot be used here: it has no tokenizer: expected tokenizer.json or a vocabulary beside its weights."
        )
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        substitute = tokenizer.eos_token or tokenizer.unk_token
        if substitute is None:
            raise ModelError(
                f"The tokenizer of {base.name} has no padding token, nor an end or unknown token to use instead. Add one with "
                "tokenizer.add_special_tokens({'pad_token': '[PAD]'}), save it, and use that folder as model."
            )
        tokenizer.pad_token = substitute
    return tokenizer


PROCESSORS: Mapping[str, Any] = {"image": AutoImageProcessor, "audio": AutoFeatureExtractor}
"""What opens the settings by which a network's input is made, by what it reads."""


def open_processor(base: Base, medium: str) -> Any:
    """The model's image processor or feature extractor.

    Args:
        base: from `find`.
        medium: `image` or `audio`.

    Raises:
        ModelError: there is none.
    """
    with explained(base):
        where = base if _holds(base, "preprocessor_config.json") else _below(base)
        return PROCESSORS[medium].from_pretrained(where.location, **where.arguments)


def open_model(base: Base, config: Mapping[str, Any], pad_token_id: int | None, head: str = "text") -> Opened:
    """Load the weights in float32 and put a head for the task on them.

    Args:
        base: from `find`.
        config: what the target wants in the configuration (`num_labels`, `id2label`, ...).
        pad_token_id: the tokenizer's padding token; decoders look for the last token before it.
        head: which head to open it with, a key of `HEADS`.

    Raises:
        ModelError: the architecture has no such head, or the weights are missing, pickled or do not fit.
    """
    with explained(base):
        saved, below = architecture(base, head), _below(base)
        model, report = (
            HEADS[head]
            .auto(saved)
            .from_pretrained(
                below.location,
                **below.arguments,
                **config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        )
        HEADS[head].around(model)
        there = model.state_dict().keys()
        absent = there & set(report["missing_keys"])
        new = absent.union(entry[0] for entry in report["mismatched_keys"])
        anatomy = examine(model)
        _check_loaded(base, model, anatomy, new)
        _begin(model, [name for name in new if "." not in name])
        if below != base:
            model = _merged_adapter(model, base)
    _set_padding(model, pad_token_id)
    if head == WORDS:
        return Opened(model, tuple(sorted(new)), _check_words(base, model, new))
    if HEADS[head].given:
        _check_given(base, new)
    above = [name for name, _ in parameters_of(model, anatomy.head)]
    if saved.id2label == config.get("id2label", saved.id2label) or absent.issuperset(above):
        return Opened(model, tuple(sorted(new)))
    _draw(model, anatomy.head)
    return Opened(model, tuple(sorted(new.union(above))), (head_note(base, saved),))


def head_note(base: Base, saved: Any) -> str:
    """That the head of a model with this configuration does not fit and is not used."""
    known = ", ".join(map(str, list(saved.id2label.values())[:6]))
    return f"The head of {base.name} was trained for other labels ({known}); a new one is drawn for yours."


def architecture(base: Base, head: str = "text") -> Any:
    """The model's configuration without its weights.

    Args:
        base: from `find`.
        head: which head it is to answer by, a key of `HEADS`.

    Raises:
        ModelError: there is none, it is of no known type, or of one that has no such head.
    """
    config = _settings(base)
    if not HEADS[head].can(config) and (head == WORDS or not base.trust_remote_code):
        needs = HEADS[head].needs.format(kind=config.model_type)
        raise ModelError(f"The model {base.name!r} cannot be used here: {needs}")
    if getattr(config, "summary_type", None) == "last":
        raise ModelError(
            f"The model {base.name!r} ({config.model_type}) reads its answer from the last position and so needs padding on the left, "
            "which luthier does not do. Take another model."
        )
    return config


def can_answer(base: Base, head: str) -> bool:
    """Whether transformers has networks of the model's configuration with a head, a key of `HEADS`.

    Raises:
        ModelError: there is no configuration, or it is of no known type.
    """
    return HEADS[head].can(_settings(base))


def _settings(base: Base) -> Any:
    with explained(base):
        below = _below(base)
        return AutoConfig.from_pretrained(below.location, **below.arguments)


def positions(config: Any) -> int | None:
    """Tokens of the longest input that the model's position table has room for; None where it has no such limit.

    Args:
        config: from `architecture`.
    """
    text = config.get_text_config()
    name = text.attribute_map.get("max_position_embeddings", "max_position_embeddings")  # GPT-2 says n_positions
    size: int | None = text.to_dict().get(name)
    offset = text.pad_token_id if text.model_type in OFFSET_POSITIONS else None
    return size - offset - 1 if size and offset is not None else size


OFFSET_POSITIONS = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "data2vec-text",
    "mpnet",
    "longformer",
    "roberta-prelayernorm",
    "xmod",
    "ibert",
    "luke",
    "lilt",
    "esm",
}
"""Families whose positions start behind `pad_token_id` (fairseq's convention; `create_position_ids_from_input_ids`)."""


def _below(base: Base) -> Base:
    """Of a PEFT adapter the model that it was trained on; else the same."""
    adapter = Path(base.location) / ADAPTER
    if not adapter.is_file():
        return base
    name = json.loads(adapter.read_text(encoding="utf-8"))["base_model_name_or_path"]
    try:
        return find(name, trust_remote_code=base.trust_remote_code)
    except ModelError as missing:
        raise ModelError(f"{base.name} is an adapter of {name!r}, which is needed to use it. {missing}") from None


def _holds(base: Base, file: str) -> bool:
    """Whether a folder has a file; of what is on the hub it is taken for granted."""
    folder = Path(base.location)
    return not folder.is_dir() or (folder / file).is_file()


def _merged_adapter(plain: nn.Module, base: Base) -> nn.Module:
    """A PEFT adapter folded into the model below it; a head for another number of labels stays away."""
    from peft import PeftModel

    return merge_adapter(PeftModel.from_pretrained(plain, base.location, ignore_mismatched_sizes=True))


def _check_loaded(base: Base, model: nn.Module, anatomy: Anatomy, new: Iterable[str]) -> None:
    """Refuse weights that are not those of the configuration: transformers would draw the missing ones and go on."""
    needed = {name for name, _ in parameters_of(model, (*anatomy.blocks, *anatomy.embeddings))}
    lost = sorted(needed.intersection(new))
    if lost:
        raise ModelError(
            f"The weights of {base.name!r} do not fit its config.json: {len(lost)} of {len(needed)} parameters of its blocks and "
            f"embeddings are missing or have another shape, such as {lost[0]}."
        )


def _check_given(base: Base, new: Iterable[str]) -> None:
    """Refuse a checkpoint without the head that is to answer.

    Raises:
        ModelError: some of its parameters are missing or have another shape.
    """
    lost = sorted(new)
    if lost:
        raise ModelError(
            f"The model {base.name!r} cannot be used here: {len(lost)} parameters of what predicts its words are not in the checkpoint, "
            f"such as {lost[0]}, so it cannot write. Take a checkpoint of a language model."
        )


def _check_words(base: Base, model: Any, new: Iterable[str]) -> tuple[str, ...]:
    """What the user should know of the head that predicts words.

    Raises:
        ModelError: the checkpoint has nothing of it.
    """
    drawn = sorted(set(new))
    table = model.get_output_embeddings().weight
    if any(one is table for name, one in model.named_parameters(remove_duplicate=False) if name in drawn):
        raise ModelError(
            f"The model {base.name!r} cannot be used here: the head that predicts words is not in its checkpoint, so method cloze has "
            "nothing to read the answer from. Take a checkpoint with it, or another method."
        )
    if not drawn:
        return ()
    return (
        f"The head that predicts words is not in the checkpoint of {base.name}: {len(drawn)} of its parameters, such as {drawn[-1]}, are "
        "drawn at random, so its answers mean nothing before training. Method cloze is made for checkpoints that have it.",
    )


def _draw(model: nn.Module, modules: Iterable[str]) -> None:
    """Draw weights anew by the family's own rule, which passes over those that transformers marked as loaded."""
    whole: Any = model
    for name in modules:
        for module in model.get_submodule(name).modules():
            for one in module.parameters(recurse=False):
                one._is_hf_initialized = False  # type: ignore[attr-defined]
            whole._init_weights(module)


def _begin(model: nn.Module, names: Collection[str]) -> None:
    """Give new parameters that the network holds itself the values of a network that is made anew.

    Transformers 5.23 leaves some of them as the memory lay: the rule by which wav2vec 2.0 and WavLM draw does not know the weights of
    their sum over layers.
    """
    if names:
        whole: Any = model
        fresh = type(whole)(whole.config)
        with torch.no_grad():
            for name in names:
                model.get_parameter(name).copy_(fresh.get_parameter(name))


def _set_padding(model: nn.Module, pad_token_id: int | None) -> None:
    """Let the network know padding by what rows are padded with: decoders classify by the last token before it.

    Their own setting may name another token, where the tokenizer has none for padding and takes the end token.
    """
    whole: Any = model
    config = whole.config.get_text_config()
    counted = config.model_type in OFFSET_POSITIONS and config.pad_token_id is not None  # positions are counted from it
    if pad_token_id is not None and not counted:
        config.pad_token_id = pad_token_id
