"""Names of parameters, as they were before something was put around their modules."""

import re

WRAPPERS = re.compile(r"(^(base_model\.model\.)+)|\.(base_layer|modules_to_save\.[^.]+)(?=\.)")
"""What PEFT puts into names: around the network, around a layer that it adapts, and around its copy of the head."""


def plain(name: str) -> str:
    """A parameter's name as it was in the network before PEFT wrapped it; what was inserted keeps the name of its place."""
    return WRAPPERS.sub("", name)
