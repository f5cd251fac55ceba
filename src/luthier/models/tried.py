"""A network that a factory makes, tried on some rows before anything is trained: what its head is, and what it answers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from luthier.errors import ModelError
from luthier.models.made import KINDS, MadeNetwork, answer_of, make, put
from luthier.models.made_config import MadeConfig
from luthier.models.quiet import quiet

LAST = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""What a head may be where none is named."""


def settled(config: MadeConfig, rows: Tensor, head: str | None) -> MadeConfig:
    """A configuration with what trying shows: the head, and whether it is the last that is computed.

    Args:
        config: says how the network is made.
        rows: to try it with.
        head: name of the head, where the recipe names it.

    Raises:
        LuthierError: the network cannot be made, fails on these rows, or does not answer with as many numbers a row as it is to.
    """
    network = make(config).eval()
    answer = _answer(config, network, rows)
    config.head = head or _last(config, network, rows)
    module = dict(network.named_modules()).get(config.head)
    if module is None:
        raise ModelError(f"model: head: {config.head!r} is no module of {config.factory}.")
    if isinstance(module, nn.Linear):
        config.apart = _is_last(network, config.head, module, rows, answer)
        config.hidden_size = module.in_features if config.apart else None
    _answer(config, make(config).eval(), rows, config.num_labels)
    return config


def write(config: MadeConfig, folder: Path, weights: Path | None) -> None:
    """Write the folder of an untrained network, without its head, which is drawn for the labels.

    Args:
        config: from `settled`.
        folder: an empty one.
        weights: a safetensors file with those of the network as its factory makes it; None for what the factory draws.

    Raises:
        ModelError: the weights are not those of this network.
    """
    model = _network(config)
    heads = tuple(f"{head}." for head in model.head_names or ("head",))
    if weights is not None:
        _load(model, weights, heads)
    state = {name: one.clone() for name, one in model.state_dict().items() if not name.startswith(heads)}
    model.config.architectures = [type(model).__name__]
    with quiet():
        model.config.save_pretrained(str(folder))
    save_file(state, folder / "model.safetensors", {"format": "pt"})


def _answer(config: MadeConfig, network: nn.Module, rows: Tensor, outputs: int | None = None) -> Tensor:
    """What a network answers, (rows, outputs).

    Raises:
        ModelError: it fails, or answers with something else.
    """
    shape = tuple(rows.shape[1:])
    try:
        with torch.no_grad():
            answer = answer_of(network, rows)
    except Exception as wrong:  # whatever the user's code raises
        raise ModelError(
            f"model: {config.factory} makes a network that fails on rows of the shape {shape}: {type(wrong).__name__}: {wrong}"
        ) from wrong
    if answer.dim() != 2 or len(answer) != len(rows) or answer.shape[1] != (outputs or answer.shape[1]):
        wanted = outputs or "outputs"
        raise ModelError(
            f"model: {config.factory} makes a network that answers {len(rows)} rows of the shape {shape} with numbers of the shape "
            f"{tuple(answer.shape)}; expected ({len(rows)}, {wanted})."
        )
    return answer


def _last(config: MadeConfig, network: nn.Module, rows: Tensor) -> str:
    """Name of the layer that is computed last of those that may be the head, wherever it was made.

    Raises:
        ModelError: there is none.
    """
    layers = {module: name for name, module in network.named_modules() if isinstance(module, LAST) and name}
    called: list[str] = []
    hooks = [one.register_forward_pre_hook(lambda module, args: called.append(layers[module])) for one in layers]
    _answer(config, network, rows)
    for hook in hooks:
        hook.remove()
    if not called:
        raise ModelError(
            f"model: {config.factory} makes a network without a linear or convolutional layer inside, so its head is not known: name the "
            "module that gives the outputs with head."
        )
    return called[-1]


def _is_last(network: nn.Module, name: str, head: nn.Module, rows: Tensor, answer: Tensor) -> bool:
    """Whether nothing follows the head: without it the network gives what the head reads."""
    put(network, name, nn.Identity())
    with torch.no_grad():
        below = answer_of(network, rows)
        apart = (
            below.dim() == 2 and below.shape[1] == head.in_features and torch.allclose(head(below), answer, atol=1e-5)
        )
    put(network, name, head)
    return apart


def _network(config: MadeConfig) -> MadeNetwork:
    kinds = {kind: network for kind, network, _ in KINDS.values()}
    return kinds[type(config)](config)


def _load(model: MadeNetwork, file: Path, heads: tuple[str, ...]) -> None:
    """Load weights under the names that they have in the factory's network.

    Raises:
        ModelError: names or shapes are others.
    """
    config = model.config
    try:
        loaded = load_file(file)
    except SafetensorError as wrong:
        raise ModelError(
            f"model: {file} is no safetensors file ({wrong}). Pickled weights are not loaded: convert them."
        ) from None
    own = {
        name.removeprefix("body.network."): one
        for name, one in model.state_dict().items()
        if not name.startswith(heads)
    }
    given = {name: one for name, one in loaded.items() if not name.startswith(f"{config.head}.")}
    differing = sorted(own.keys() ^ given.keys()) or sorted(
        name for name in own if own[name].shape != given[name].shape
    )
    if differing:
        raise ModelError(
            f"model: the weights in {file} do not fit {config.factory}: {len(differing)} of {len(own)} are missing, unknown or of another "
            f"shape, such as {differing[0]}."
        )
    with torch.no_grad():
        for name, one in own.items():
            one.copy_(given[name])
