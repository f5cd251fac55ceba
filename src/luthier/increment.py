"""A saved model that is only what was added or changed, and the base that it belongs to.

    increment.json           which base (name, revision, hash of its weights), which methods
    increment.safetensors    what was trained, by name; or, where PEFT holds all of it,
    adapter_config.json      an adapter folder that plain PEFT loads

A model that needs its methods to compute (adapter, prefix, prompt, cloze) has the record too, even with all its weights beside it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peft import PeftModel
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoConfig

from luthier.errors import ModelError, RecipeError
from luthier.methods import Context, Method
from luthier.models.anatomy import examine, parameters_of
from luthier.models.find import RECORD
from luthier.models.heads import HEADS, WORDS
from luthier.models.insert import Inserted, insert_all
from luthier.models.open import Base, Opened, find, head_note, open_model
from luthier.models.quiet import quiet
from luthier.models.save import adapter_holds_all, load_trained_state, save_adapter, save_whole, trained_state
from luthier.models.shorten import shorten
from luthier.recipe.schema import AnyMethod

WEIGHTS = "increment.safetensors"
MERGED, INCREMENT = "merged", "increment"


@dataclass(frozen=True)
class Record:
    """What increment.json says."""

    methods: tuple[Method, ...]
    """What has to be inserted to load the weights."""
    base: Base | None
    """The model below; None where the folder holds all weights."""
    sha256: str
    """Of the base's weights."""


def kind(inserted: Sequence[Inserted], asked: str | None) -> str:
    """How a model is saved: `merged` or `increment`.

    Args:
        inserted: what the methods have put into it.
        asked: the recipe's `save`.

    Raises:
        RecipeError: merged is asked for, and a method's modules cannot be folded into the weights.
    """
    stays = [one.method.name for one in inserted if one.method.lasting and one.names]
    if asked == MERGED and stays:
        raise RecipeError(
            f"save: merged cannot be done with method {stays[0]}, whose modules no plain model has room for. Leave it out, or write "
            "save: increment."
        )
    return asked or (INCREMENT if stays else MERGED)


def save(
    model: nn.Module, inserted: Sequence[Inserted], trained: Collection[str], how: str, base: Base, folder: Path
) -> None:
    """Write a trained model.

    Args:
        model: as trained; it cannot be trained further afterwards.
        inserted: what the methods have put into it.
        trained: names of all parameters that were trained.
        how: from `kind`.
        base: what it was trained from.
        folder: an empty folder.
    """
    lasting = [one.method for one in inserted if one.method.lasting]
    with quiet():
        if how == MERGED:
            save_whole(model, folder, trained)
            if lasting:
                _record(folder, lasting, None)
            return
        _save_increment(model, inserted, trained, folder)
    _record(folder, [one.method.folded for one in inserted], base)


def read(folder: Path) -> Record | None:
    """The record of a saved model; None for a plain one."""
    if not (folder / RECORD).is_file():
        return None
    content = _content(folder / RECORD)
    methods: list[Method] = TypeAdapter(list[AnyMethod]).validate_python(content["methods"])
    below = content["base"]
    base = Base(below["name"], below["location"], below["revision"]) if below else None
    return Record(tuple(methods), base, below["sha256"] if below else "")


def _content(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as broken:
        raise ModelError(f"{file} is damaged or cut short: {broken}. Fetch the run again, or train it anew.") from None


def reopen(folder: Base, record: Record, config: Mapping[str, Any], context: Context) -> Opened:
    """Build a saved model again: its base, what its methods insert, and what was trained.

    Args:
        folder: of the saved model.
        record: read from it.
        config: what the target wants in the configuration.
        context: what the network reads and predicts.

    Raises:
        ModelError: the base is not there, or has other weights than the increment was trained on.
    """
    below = folder if record.base is None else _found(folder, record)
    words = any(method.words for method in record.methods)
    context = replace(context, head=WORDS) if words else context
    opened = (open_below if record.base else _plain)(below, config, context)
    opened.model.requires_grad_(False)
    anatomy = examine(opened.model, opened.new)
    if HEADS[context.head].given:
        anatomy = replace(anatomy, head=())  # as in training: what predicts words is not the task's
    model, _ = insert_all(opened.model, anatomy, record.methods, context)
    if record.base is not None:
        model = _loaded(model, Path(folder.location))
    return Opened(model, opened.new, opened.notes)


def open_saved(folder: Base, record: Record | None, config: Mapping[str, Any], context: Context) -> Opened:
    """A saved model as it answers, with everything folded into its weights that can be; arguments as in `reopen`."""
    if record is None:
        return _plain(folder, config, context)
    opened = reopen(folder, record, config, context)
    model = opened.model
    for method in reversed(record.methods):
        model = method.merge(model)
    return Opened(model, (), opened.notes)


def open_below(base: Base, config: Mapping[str, Any], context: Context) -> Opened:
    """The model to start from: plain, or an earlier run's, with what its methods had inserted folded into the weights.

    Raises:
        ModelError: it cannot be opened, or holds modules that cannot be folded in.
    """
    folder = Path(base.location)
    record = read(folder) if folder.is_dir() else None
    if record is None or record.base is None:
        return _plain(base, config, context)
    lasting = [method.name for method in record.methods if method.lasting]
    if lasting:
        raise ModelError(
            f"{base.name} cannot be trained further: its {lasting[0]} is no part of a plain model. Start from {record.base.name!r}, "
            "with stages in one recipe."
        )
    saved = AutoConfig.from_pretrained(base.location)
    if saved.id2label == config.get("id2label", saved.id2label):
        return _opened(base, record, config, context)
    own = {key: getattr(saved, key) for key in config}
    return _with_new_head(
        base, _opened(base, record, own, context).model, open_below(_found(base, record), config, context)
    )


def _opened(base: Base, record: Record, config: Mapping[str, Any], context: Context) -> Opened:
    """An increment opened with the head that is asked for.

    Raises:
        ModelError: it was trained with another.
    """
    try:
        return open_saved(base, record, config, context)
    except (KeyError, ValueError) as other:
        raise ModelError(
            f"{base.name} holds only what another task has trained, and does not fit the head that this one needs ({other}). Train it with "
            "save: merged, and start from that."
        ) from other


def _with_new_head(base: Base, tuned: nn.Module, fresh: Opened) -> Opened:
    """A newly opened base, with all weights of a tuned one but those of its head, which was for other labels."""
    head = {name for name, _ in parameters_of(fresh.model, examine(fresh.model).head)}
    kept = {name: value for name, value in tuned.state_dict().items() if name not in head}
    fresh.model.load_state_dict(kept, strict=False)
    return Opened(fresh.model, tuple(sorted(head)), (head_note(base, tuned.config),))


def _plain(base: Base, config: Mapping[str, Any], context: Context) -> Opened:
    opened = open_model(base, config, context.tokenizer.pad_token_id if context.tokenizer else None, context.head)
    if context.positions is not None:
        shorten(opened.model, context.positions)
    return opened


def _save_increment(model: nn.Module, inserted: Sequence[Inserted], trained: Collection[str], folder: Path) -> None:
    whole: Any = model
    whole.config.save_pretrained(str(folder))
    if isinstance(model, PeftModel) and adapter_holds_all(model, trained):
        save_adapter(model, folder)
        return
    before = {name for name, _ in model.named_parameters()}
    for one in inserted:
        if one.method.lasting:
            model = one.method.merge(model)
    now = {name for name, _ in model.named_parameters()}
    kept = (now & set(trained)) | (now - before)
    state = trained_state(model, kept)
    save_file({name: value.contiguous() for name, value in state.items()}, folder / WEIGHTS, {"format": "pt"})


def _record(folder: Path, methods: Sequence[Method], base: Base | None) -> None:
    below = base and {
        "name": base.name,
        "location": base.location,
        "revision": base.revision,
        "sha256": base.sha256,
    }
    content = {"base": below, "methods": [method.model_dump(mode="json") for method in methods]}
    (folder / RECORD).write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _found(folder: Base, record: Record) -> Base:
    """The base below, if it is the one that the increment was trained on.

    Raises:
        ModelError: it is not there, or another.
    """
    below = record.base
    if below is None:
        return folder
    trusted = replace(below, trust_remote_code=folder.trust_remote_code)
    where = trusted if Path(below.location).is_dir() else _searched(folder, below)
    found = where.sha256
    if found != record.sha256:
        raise ModelError(
            f"{folder.name} belongs to another base than {where.location}: it was trained on weights with the hash "
            f"{record.sha256}, and those there have {found}. Put the right {below.name!r} there, or train anew."
        )
    return where


def _searched(folder: Base, below: Base) -> Base:
    try:
        return find(below.name, below.revision, folder.trust_remote_code)
    except ModelError as missing:
        raise ModelError(
            f"{folder.name} holds only what was added to {below.name!r} (it was in {below.location}), which is needed to use it. {missing}"
        ) from None


def _loaded(model: nn.Module, folder: Path) -> nn.Module:
    try:
        if (folder / WEIGHTS).is_file():
            state = load_file(folder / WEIGHTS)
            load_trained_state(model, state, state.keys())
        elif isinstance(model, PeftModel):
            model.load_adapter(str(folder), adapter_name="default")
    except SafetensorError as broken:
        raise ModelError(
            f"The weights in {folder} are damaged or cut short: {broken}. Fetch the run again, or train it anew."
        ) from None
    return model
