"""Putting a network into PEFT."""

from __future__ import annotations

from collections.abc import Collection

from peft import PeftConfig, get_peft_model
from peft.utils import ModulesToSaveWrapper
from torch import nn

from luthier.errors import RecipeError
from luthier.models.names import plain
from luthier.models.quiet import quiet


def wrap(model: nn.Module, config: PeftConfig, head: Collection[str], method: str) -> nn.Module:
    """The network with what a configuration of PEFT puts around its modules.

    PEFT takes for the head whatever has a name that ends so: in a block, `subhead` beside `head`. That stays frozen. It is saved with
    the head all the same, as PEFT looks for it when it loads the folder.

    Args:
        model: to wrap.
        config: its `modules_to_save` are the head.
        head: names of the modules that are trained and saved whole.
        method: for errors.

    Raises:
        RecipeError: PEFT does not adapt such layers.
    """
    try:
        with quiet():
            wrapped: nn.Module = get_peft_model(model, config)
    except (TypeError, ValueError) as wrong:
        raise RecipeError(
            f"method {method}: PEFT does not adapt a layer of this model ({wrong}). Leave it out with targets, or take another method."
        ) from wrong
    for name, module in wrapped.named_modules():
        if isinstance(module, ModulesToSaveWrapper) and plain(name) not in head:
            module.requires_grad_(False)
    return wrapped
