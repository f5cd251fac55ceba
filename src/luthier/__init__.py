"""Fine-tune pretrained models on your labelled data, from the raw file to an evaluated, saved, usable model.

import luthier

run = luthier.train("recipe.yaml", method="lora")
run.predict(["works great"])
run.evaluate("test")
run.report()
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from luthier import peft_types

if TYPE_CHECKING:
    from luthier.errors import LuthierError as LuthierError
    from luthier.pipeline import train as train
    from luthier.recipe.schema import Recipe as Recipe
    from luthier.run import Evaluation as Evaluation
    from luthier.run import Run as Run
    from luthier.run import open as open
    from luthier.tasks import Prediction as Prediction

__version__ = "0.1.0"

# OpenMP's threads spin while they wait for each other, and read this once, when torch is loaded. Where a core is shared with other
# work, spinning made a training step three times slower; where none is, waiting passively costs nothing (benchmarks/RESULTS.md).
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# oneDNN, and PyTorch around it, keep a compiled kernel for each shape that they meet, and rows of many lengths make many: 300 MB
# with LoRA on 256 rows. With room for those of one shape it was no slower (benchmarks/METHODS.md). Read once, when torch is loaded.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "16")
os.environ.setdefault("LRU_CACHE_CAPACITY", "16")

# Where bitsandbytes is installed PEFT imports it, and it warns of optional kernels that are not needed here.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

peft_types.register()

_HOMES = {
    "train": "luthier.pipeline",
    "open": "luthier.run",
    "Run": "luthier.run",
    "Evaluation": "luthier.run",
    "Prediction": "luthier.tasks",
    "Recipe": "luthier.recipe.schema",
    "LuthierError": "luthier.errors",
}
"""Public names and their modules; imported when first used, so that `import luthier` is instant."""

__all__ = ["Evaluation", "LuthierError", "Prediction", "Recipe", "Run", "open", "train"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'luthier' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
