"""How a network is built, found by looking at its modules: no list of architectures.

head         what is outside the pretrained base, and whatever the checkpoint had no weights for
blocks       the longest list of equal modules inside the base (the layers of an encoder or decoder)
after        what the base registers behind its blocks (a last norm, a pooler)
embeddings   tables of vectors outside the blocks, with what stands beside them (their norm)
sub-layers   attentions and feed-forwards, in the blocks and in every other stack of layers (T5's encoder and decoder)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import takewhile

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True)
class Stack:
    """Names of the blocks of a network, and of what it registers behind them."""

    blocks: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Anatomy:
    """Names of modules, as in `model.named_modules()`."""

    head: tuple[str, ...]
    blocks: tuple[str, ...]
    after: tuple[str, ...]
    embeddings: tuple[str, ...]
    linears: tuple[str, ...]
    """Linear layers inside the blocks and every other stack of layers; GPT-2's Conv1D is one with its weight transposed."""
    attentions: tuple[str, ...]
    """Attention modules there."""
    attention_outputs: tuple[str, ...] = ()
    """Of each attention, cross-attention included, the linear layer that writes its output."""
    feedforward_inputs: tuple[str, ...] = ()
    """Of each feed-forward the first linear layer; it and its neighbour read the same where there is a gate."""
    feedforward_outputs: tuple[str, ...] = ()
    """Of each feed-forward, in the same order, the linear layer that writes its output."""
    base: str = ""
    """The pretrained part below the head; empty where the model holds its parts itself."""
    beside: tuple[Stack, ...] = ()
    """Where the base is made of several networks, such as one for images and one for texts, those that do not hold the `blocks`."""
    below: tuple[Stack, ...] = ()
    """Where the base reads by an encoder and writes by a decoder, whichever of the two does not hold the `blocks`."""
    bare: tuple[str, ...] = ()
    """Parameters of the head in none of its modules, as the network holds them itself: the weights of wav2vec 2.0's sum over layers."""

    @property
    def whole_head(self) -> tuple[str, ...]:
        """Modules and bare parameters of the head."""
        return (*self.head, *self.bare)

    def last(self, count: int) -> tuple[str, ...]:
        """The last blocks of each network side by side, and what they register behind them."""
        side = (Stack(self.blocks, self.after), *self.beside)
        return tuple(name for stack in side for name in (*stack.blocks[-count:], *stack.after))

    @property
    def offers(self) -> frozenset[str]:
        """Names of the parts that this network has, to compare with a method's `needs`."""
        parts = {name: getattr(self, name) for name in ("blocks", "embeddings", "linears", "attentions")}
        return frozenset(name for name, found in parts.items() if found)


def examine(model: nn.Module, new: Iterable[str] = ()) -> Anatomy:
    """Find the parts of a transformers model.

    Args:
        model: a model with a task head around a base, as transformers' `AutoModelFor...` make them.
        new: names of parameters that the checkpoint did not have; their modules count as head, and so do those that are in none.
    """
    new = tuple(new)
    prefix, base = _base(model)
    blocks = _blocks(prefix, base)
    head = _head(model, prefix, new, blocks)
    layers = _layers(prefix, base)
    linears = tuple(name for name in _inside(model, layers, (nn.Linear, Conv1D)) if not within(name, head))
    attentions = tuple(name for name, module in model.named_modules() if within(name, layers) and _is_attention(module))
    written, pairs = _sublayers(model, layers, linears, attentions)
    others = [_stack(f"{prefix}{name}.", part) for name, part in _networks(base) if not _holds(prefix + name, blocks)]
    stacked = (*blocks, *(block for stack in others for block in stack.blocks))
    side_by_side = bool(_towers(base))
    return Anatomy(
        head=head,
        blocks=blocks,
        after=_after(prefix, base, blocks),
        embeddings=_embeddings(base, prefix, stacked),
        linears=linears,
        attentions=attentions,
        attention_outputs=written,
        feedforward_inputs=tuple(first for first, _ in pairs),
        feedforward_outputs=tuple(last for _, last in pairs),
        base=prefix.rstrip("."),
        beside=tuple(others) if side_by_side else (),
        below=() if side_by_side else tuple(others),
        bare=_bare(model, prefix, new),
    )


def parameters_of(model: nn.Module, modules: Iterable[str]) -> list[tuple[str, nn.Parameter]]:
    """Named parameters inside the named modules; a name may also be a parameter itself."""
    names = tuple(modules)
    return [(name, one) for name, one in model.named_parameters() if within(name, names)]


def widths(linear: nn.Module) -> tuple[int, int]:
    """Width of what a linear layer reads, and of what it writes; GPT-2's Conv1D calls them nx and nf."""
    read, written = ("nx", "nf") if isinstance(linear, Conv1D) else ("in_features", "out_features")
    return getattr(linear, read), getattr(linear, written)


def base_of(model: nn.Module) -> nn.Module:
    """The pretrained part of a model with a task head."""
    return _base(model)[1]


def _base(model: nn.Module) -> tuple[str, nn.Module]:
    """The pretrained part.

    Transformers says which attribute holds it. Where there is none of that name, it is the only child that is a model of
    transformers itself (Whisper's classifier holds the encoder alone), and without such a child the whole model.
    """
    name = getattr(model, "base_model_prefix", "")
    inner = model._modules.get(name) if name else None
    if isinstance(inner, nn.Module):
        return f"{name}.", inner
    parts = [(f"{name}.", child) for name, child in model.named_children() if isinstance(child, PreTrainedModel)]
    return parts[0] if len(parts) == 1 else ("", model)


def _blocks(prefix: str, base: nn.Module) -> tuple[str, ...]:
    lists = [
        (name, module)
        for name, module in base.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) and len({type(one) for one in module}) == 1
    ]
    if not lists:
        return ()
    name, longest = max(lists, key=lambda pair: (sum(one.numel() for one in pair[1].parameters()), len(pair[1])))
    return tuple(f"{prefix}{name}.{index}" for index in range(len(longest)))


def _head(model: nn.Module, prefix: str, new: Iterable[str], blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Modules with parameters outside the base, those that the model names, and those that hold new weights, but never a block.

    What holds the blocks is no head for a weight of its own that is new, as wav2vec 2.0's masked frame is in many checkpoints.
    """
    outside = [
        name
        for name, child in model.named_children()
        if prefix and f"{name}." != prefix and any(True for _ in child.parameters())
    ]
    owners = [*getattr(model, "head_names", ()), *(name.rpartition(".")[0] for name in new)]
    inside = [name for name in owners if name and not _holds(name, blocks) and not within(name, (*outside, *blocks))]
    return tuple(dict.fromkeys([*outside, *inside]))


def _bare(model: nn.Module, prefix: str, new: Collection[str]) -> tuple[str, ...]:
    """Parameters that the model holds itself: outside the base all of them, and where it is its own base those that are new."""
    return tuple(name for name, _ in model.named_parameters(recurse=False) if prefix or name in new)


def _after(prefix: str, base: nn.Module, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Children registered behind the one that holds the blocks, at each level from the base down to the list of blocks.

    Not the norm of the embeddings, which BART registers there.
    """
    if not blocks:
        return ()
    path = blocks[0].removeprefix(prefix).split(".")[:-1]
    found, here, at = [], base, prefix
    for part in path:
        names = [name for name, _ in here.named_children()]
        towers = dict(_towers(here))
        later = [(name, here.get_submodule(name)) for name in names[names.index(part) + 1 :] if name not in towers]
        behind = [child for child in takewhile(_is_no_table, later) if "embed" not in child[0]]
        found += [f"{at}{name}" for name, module in behind if any(True for _ in module.parameters())]
        here, at = here.get_submodule(part), f"{at}{part}."
    return tuple(found)


def _towers(base: nn.Module) -> list[tuple[str, PreTrainedModel]]:
    """Networks that a base is made of and that run beside one another; a decoder runs behind its encoder."""
    found = _networks(base)
    return [] if any(child.config.is_encoder_decoder for _, child in found) else found


def _networks(base: nn.Module) -> list[tuple[str, PreTrainedModel]]:
    """Networks that a base is made of, where there are several."""
    found = [(name, child) for name, child in base.named_children() if isinstance(child, PreTrainedModel)]
    return found if len(found) > 1 else []


def _stack(prefix: str, tower: nn.Module) -> Stack:
    blocks = _blocks(prefix, tower)
    return Stack(blocks, _after(prefix, tower, blocks))


def _is_no_table(child: tuple[str, nn.Module]) -> bool:
    """Tables of relative positions (DeBERTa, MPNet) stand behind the blocks, with their norm, and are read by every block."""
    return not isinstance(child[1], nn.Embedding)


def _embeddings(base: nn.Module, prefix: str, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Each table with what stands beside it, or alone where the blocks stand beside it too."""
    tables = [
        prefix + name
        for name, module in base.named_modules()
        if isinstance(module, nn.Embedding) and not within(prefix + name, blocks)
    ]
    owners = [(name.rpartition(".")[0], name) for name in tables]
    outer = prefix.rstrip(".")
    return tuple(dict.fromkeys(name if owner == outer or _holds(owner, blocks) else owner for owner, name in owners))


def _holds(owner: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{owner}.") for name in names)


def _inside(model: nn.Module, blocks: tuple[str, ...], kind: tuple[type[nn.Module], ...]) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, kind) and within(name, blocks)]


def _layers(prefix: str, base: nn.Module) -> tuple[str, ...]:
    """Members of all lists of modules, nested ones too: T5's blocks, and the sub-layers in each."""
    return tuple(
        f"{prefix}{name}.{index}"
        for name, module in base.named_modules()
        if isinstance(module, nn.ModuleList)
        for index in range(len(module))
    )


def _sublayers(
    model: nn.Module, layers: tuple[str, ...], linears: tuple[str, ...], attentions: tuple[str, ...]
) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The linear layer that writes each attention's output, and the first and last one of each feed-forward."""
    attending: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for name in linears:
        around = [owner for owner in attentions if _holds(owner, (name,))]
        if around:
            attending.setdefault(min(around, key=len), []).append(name)
        else:
            innermost = max((layer for layer in layers if within(name, (layer,))), key=len)
            others.setdefault(innermost, []).append(name)
    outputs = tuple(_last_back(model, group) for group in attending.values())
    return outputs, [pair for group in others.values() for pair in _feedforwards(model, group)]


def _last_back(model: nn.Module, group: list[str]) -> str:
    """Of an attention's linear layers the last one that is as wide as what they read: it is registered behind the others."""
    read, _ = widths(model.get_submodule(group[0]))
    return [name for name in group if widths(model.get_submodule(name))[1] == read or name == group[0]][-1]


def _feedforwards(model: nn.Module, group: list[str]) -> list[tuple[str, str]]:
    """Pairs of a linear layer and the next one that comes back to the width that the first one reads."""
    pairs: list[tuple[str, str]] = []
    first = ""
    for name in group:
        if first and widths(model.get_submodule(name))[1] == widths(model.get_submodule(first))[0]:
            pairs.append((first, name))
            first = ""
        else:
            first = first or name
    return pairs


def _is_attention(module: nn.Module) -> bool:
    """Transformers names its attention classes so, from BERT to Llama and T5; the name is all they share."""
    return "Attention" in type(module).__name__


def within(name: str, owners: Iterable[str]) -> bool:
    """Whether a module or parameter is one of the owners or inside one of them."""
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)
