"""What luthier sets before PyTorch is loaded, which reads it once; in processes of their own, as this one has PyTorch already."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SETTINGS = {"OMP_WAIT_POLICY": "passive", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16", "LRU_CACHE_CAPACITY": "16"}
WATCH = """
import builtins, json, os
plain = builtins.__import__

def watching(name, *rest, **more):
    if name.partition(".")[0] == "torch":
        print(json.dumps({{one: os.environ.get(one) for one in {names!r}}}), flush=True)
        os._exit(0 if asked else 3)
    return plain(name, *rest, **more)

asked = False
builtins.__import__ = watching
import luthier
asked = True
luthier.train
"""


def when_torch_is_loaded(**own: str) -> dict[str, str | None]:
    """The settings at the moment when PyTorch is first imported, by `luthier.train`."""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS} | own
    program = WATCH.format(names=list(SETTINGS))
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    found: dict[str, str | None] = json.loads(run.stdout)
    return found


def test_they_are_set_before_torch_is_loaded() -> None:
    assert when_torch_is_loaded() == SETTINGS


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_person_has_set_stays(name: str) -> None:
    own = {name: "active" if name == "OMP_WAIT_POLICY" else "512"}
    assert when_torch_is_loaded(**own) == SETTINGS | own
