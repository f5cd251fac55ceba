"""Which library loads a saved model, from the files in its folder.

Nothing but JSON is read as far as possible: a report is written without importing torch.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from luthier.methods import Method
from luthier.models.find import ADAPTER, RECORD
from luthier.recipe.schema import AnyMethod

TRANSFORMERS, PEFT, LUTHIER = "transformers", "peft", "luthier"
OWN = "luthier-"
"""Begins the kinds of networks that only luthier knows."""
MADE = {*(f"{OWN}{medium}-network" for medium in ("image", "audio", "text")), f"{OWN}captioner"}
"""Those of them that transformers open after `import luthier`."""


@dataclass(frozen=True)
class Loading:
    """How a saved model is loaded."""

    library: str
    """The plainest that does: `transformers`, `peft` or `luthier`."""
    base: str = ""
    """Name of the model that an increment belongs to; empty where the folder holds all weights."""
    module: str = ""
    """What has to be imported first, so that PEFT or transformers knows the kind."""
    apart: bool = False
    """Whether the network has an encoder and a decoder."""

    @property
    def sentence(self) -> str:
        """The same for people, to stand behind the folder."""
        after = f" after `import {self.module}`" if self.module else ""
        if self.library == TRANSFORMERS:
            return f"loads with plain transformers{after}"
        start = f"an increment of {self.base}; " if self.base else ""
        plain = {PEFT: "; plain PEFT loads it"}.get(self.library, "")
        return f"{start}`luthier predict` and `luthier.open` load it{plain}{after}"


def loading(folder: Path) -> Loading:
    """How the model in a folder is loaded; a plain one where there is none yet."""
    record = _json(folder / RECORD)
    adapter = _json(folder / ADAPTER)
    base = (record.get("base") or {}).get("name", "")
    config = _json(folder / "config.json")
    apart, kind = bool(config.get("is_encoder_decoder")), str(config.get("model_type", ""))
    if (folder / ADAPTER).is_file() and _loads_with_peft(record):
        known, module = _type(adapter["peft_type"]) if "peft_type" in adapter else (True, "")
        if known:
            return Loading(PEFT, base, module, apart)
    if not record and kind in MADE:
        return Loading(TRANSFORMERS, module="luthier")
    return Loading(LUTHIER if record or kind.startswith(OWN) else TRANSFORMERS, base, apart=apart)


def _loads_with_peft(record: dict[str, Any]) -> bool:
    """Whether the network below the adapter is what transformers opens: no word head, no other weights, no increment itself."""
    location = (record.get("base") or {}).get("location", "")
    methods: list[Method] = TypeAdapter(list[AnyMethod]).validate_python(record.get("methods", []))
    own = any(method.words or method.alters for method in methods)
    return not own and not (location and (Path(location) / RECORD).is_file())


def _type(name: str) -> tuple[bool, str]:
    """Whether PEFT can know a type of adapter, and which module tells it."""
    from peft import PeftType

    from luthier.models import bottleneck

    own = {bottleneck.PEFT_TYPE: bottleneck.__name__}
    return name in own or name in set(PeftType), own.get(name, "")


def _json(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return content
