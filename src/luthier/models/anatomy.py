"""How a network is built, found by looking at its modules: no list of architectures.

head         what is outside the pretrained base, and whatever the checkpoint had no weights for
blocks       the longest list of equal modules inside the base (the layers of an encoder or decoder)
after        what the base registers behind its blocks (a last norm, a pooler)
embeddings   tables of vectors outside the blocks, with what stands beside them (their norm)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import takewhile

from torch import nn
from transformers.pytorch_utils import Conv1D


@dataclass(frozen=True)
class Anatomy:
    """Names of modules, as in `model.named_modules()`."""

    head: tuple[str, ...]
    blocks: tuple[str, ...]
    after: tuple[str, ...]
    embeddings: tuple[str, ...]
    linears: tuple[str, ...]
    """Linear layers inside the blocks; GPT-2's Conv1D is one with its weight transposed."""
    attentions: tuple[str, ...]
    """Attention modules inside the blocks."""

    @property
    def offers(self) -> frozenset[str]:
        """Names of the parts that this network has, to compare with a method's `needs`."""
        parts = {name: getattr(self, name) for name in ("blocks", "embeddings", "linears", "attentions")}
        return frozenset(name for name, found in parts.items() if found)


def examine(model: nn.Module, new: Iterable[str] = ()) -> Anatomy:
    """Find the parts of a transformers model.

    Args:
        model: a model with a task head around a base, as transformers' `AutoModelFor...` make them.
        new: names of parameters that the checkpoint did not have; their modules count as head.
    """
    prefix, base = _base(model)
    blocks = _blocks(prefix, base)
    linears = tuple(_inside(model, blocks, (nn.Linear, Conv1D)))
    attentions = tuple(
        name for name, module in model.named_modules() if _within(name, blocks) and _is_attention(module)
    )
    return Anatomy(
        head=_head(model, prefix, new, blocks),
        blocks=blocks,
        after=_after(prefix, base, blocks),
        embeddings=_embeddings(base, prefix, blocks),
        linears=linears,
        attentions=attentions,
    )


def parameters_of(model: nn.Module, modules: Iterable[str]) -> list[tuple[str, nn.Parameter]]:
    """Named parameters inside the named modules; a name may also be a parameter itself."""
    names = tuple(modules)
    return [(name, one) for name, one in model.named_parameters() if _within(name, names)]


def _base(model: nn.Module) -> tuple[str, nn.Module]:
    """The pretrained part: transformers says which attribute holds it; without that, the whole model."""
    name = getattr(model, "base_model_prefix", "")
    inner = model._modules.get(name) if name else None
    return (f"{name}.", inner) if isinstance(inner, nn.Module) else ("", model)


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
    """Modules with parameters outside the base, and those that hold new weights, but never a block."""
    outside = [
        name
        for name, child in model.named_children()
        if prefix and f"{name}." != prefix and any(True for _ in child.parameters())
    ]
    owners = [name.rpartition(".")[0] for name in new]
    inside = [name for name in owners if not _within(name, (*outside, *blocks))]
    return tuple(dict.fromkeys([*outside, *inside]))


def _after(prefix: str, base: nn.Module, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Children registered behind the one that holds the blocks, at each level from the base down to the list of blocks."""
    if not blocks:
        return ()
    path = blocks[0].removeprefix(prefix).split(".")[:-1]
    found, here, at = [], base, prefix
    for part in path:
        names = [name for name, _ in here.named_children()]
        later = [(name, here.get_submodule(name)) for name in names[names.index(part) + 1 :]]
        found += [
            f"{at}{name}" for name, module in takewhile(_is_no_table, later) if any(True for _ in module.parameters())
        ]
        here, at = here.get_submodule(part), f"{at}{part}."
    return tuple(found)


def _is_no_table(child: tuple[str, nn.Module]) -> bool:
    """Tables of relative positions (DeBERTa, MPNet) stand behind the blocks, with their norm, and are read by every block."""
    return not isinstance(child[1], nn.Embedding)


def _embeddings(base: nn.Module, prefix: str, blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Each table with what stands beside it, or alone where the blocks stand beside it too."""
    tables = [
        prefix + name
        for name, module in base.named_modules()
        if isinstance(module, nn.Embedding) and not _within(prefix + name, blocks)
    ]
    owners = [(name.rpartition(".")[0], name) for name in tables]
    outer = prefix.rstrip(".")
    return tuple(dict.fromkeys(name if owner == outer or _holds(owner, blocks) else owner for owner, name in owners))


def _holds(owner: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(f"{owner}.") for name in names)


def _inside(model: nn.Module, blocks: tuple[str, ...], kind: tuple[type[nn.Module], ...]) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, kind) and _within(name, blocks)]


def _is_attention(module: nn.Module) -> bool:
    """Transformers names its attention classes so, from BERT to Llama and T5; the name is all they share."""
    return "Attention" in type(module).__name__


def _within(name: str, owners: tuple[str, ...]) -> bool:
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)
