"""Settling where a base model is: the demo table, a folder, an earlier run, or the hub and its local cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from luthier import demo
from luthier.cache import cache_folder
from luthier.errors import ModelError
from luthier.folder import sha256
from luthier.networks import Network

ADAPTER = "adapter_config.json"
"""What makes a folder a PEFT adapter."""
RECORD = "increment.json"
"""What makes a folder a model that needs another, or methods, to compute (`luthier.increment`)."""


@dataclass(frozen=True)
class Base:
    """Where a base model is, settled once per run."""

    name: str
    """As the recipe says it."""
    location: str
    """A local folder, or a hub name."""
    revision: str | None = None
    """Of what is on the hub, the commit: a branch may move on."""
    trust_remote_code: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `from_pretrained`."""
        here = Path(self.location).is_dir()
        revision = {"revision": self.revision} if self.revision and not here else {}
        return {"trust_remote_code": self.trust_remote_code, "local_files_only": here, **revision}

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights: of the hashes of all safetensors files, in the order of their names, and of the code of a network's own.

        Raises:
            ModelError: there are none.
        """
        files = self._weights()
        if not files:
            raise ModelError(
                f"The model {self.name!r} has no safetensors files, so nothing tells its weights from others."
            )
        return hashlib.sha256("".join([*map(sha256, files), self._code()]).encode()).hexdigest()

    def _code(self) -> str:
        """Hash of the file that makes a network of a recipe's own: the same weights compute something else in another network."""
        config = Path(self.location) / "config.json"
        return str(json.loads(config.read_text(encoding="utf-8")).get("code") or "") if config.is_file() else ""

    def _weights(self) -> list[Path]:
        if Path(self.location).is_dir():
            return sorted(Path(self.location).glob("*.safetensors"))
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(self.location, "config.json", revision=self.revision)
        return sorted(Path(config).parent.glob("*.safetensors")) if isinstance(config, str) else []


def find(name: str | Network, revision: str | None = None, trust_remote_code: bool = False) -> Base:
    """Settle where a model is; one that the recipe describes is made, once.

    Raises:
        ModelError: no such folder, or a hub name that is neither reachable nor in the local cache.
        LuthierError: a network that is described cannot be made.
    """
    if isinstance(name, Network):
        return Base(name.title, str(_made(name)))
    if name in demo.MODELS:
        return Base(name, str(demo.fetch(name)))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Base(name, str(_model_folder(folder).resolve()), None, trust_remote_code)
    if name.startswith((".", "/", "~", "demo/")) or name.count("/") > 1 or (folder.parent.is_dir() and "/" in name):
        raise ModelError(f"There is no model folder {name!r}.{_similar(name)}")
    location, commit = _on_hub(name, revision)
    return Base(name, location, commit or revision, trust_remote_code)


def _made(network: Network) -> Path:
    """The folder of a network that the recipe describes, in the cache."""
    folder = cache_folder() / "networks" / network.key()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent, prefix=".making-") as place:
            new = Path(place) / "model"
            new.mkdir()
            network.build(new)
            if not folder.is_dir():  # no other process was faster
                new.replace(folder)
    return folder


def _model_folder(folder: Path) -> Path:
    """The folder itself, or the one inside a run."""
    if (folder / "recipe.yaml").is_file():
        if not (folder / "model").is_dir():
            raise ModelError(
                f"The run in {folder} is not finished and has no model yet: `luthier train {folder}/recipe.yaml` goes on."
            )
        return folder / "model"
    if not any((folder / file).is_file() for file in ("config.json", ADAPTER)):
        raise ModelError(f"The folder {folder} holds no model: expected config.json and model.safetensors in it.")
    return folder


def _on_hub(name: str, revision: str | None) -> tuple[str, str | None]:
    """The name where the hub can be reached, else the folder of its local cache; and the commit that the revision is now.

    The hub is asked once, so that no network means a sentence at once and not a minute of retries.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        cached = try_to_load_from_cache(name, "config.json", revision=revision)
    except HFValidationError:
        raise ModelError(
            f"There is no model folder {name!r}, and the hub cannot have a model of that name.{_similar(name)}"
        ) from None
    try:
        commit: str | None = HfApi().model_info(name, revision=revision, timeout=5).sha
    except GatedRepoError:
        raise ModelError(
            f"The model {name!r} is gated: accept its terms on its page and log in with `hf auth login`."
        ) from None
    except RevisionNotFoundError:
        raise ModelError(f"The model {name!r} has no revision {revision!r} on the hub.") from None
    except RepositoryNotFoundError:
        raise ModelError(
            f"There is no model {name!r} on the hub, or it is private (`hf auth login`), and no folder of that name here.{_similar(name)}"
        ) from None
    except Exception as unreachable:  # the hub client's network errors have no common base
        if isinstance(cached, str):
            return str(Path(cached).parent), Path(cached).parent.name
        raise ModelError(
            f"The model {name!r} is not a folder here, and the hub cannot be reached ({type(unreachable).__name__}: {unreachable}). "
            "Without a network give a local folder: copy one that `hf download` fetched elsewhere and write model: path/to/it. "
            f"demo/minilm-en needs only the package index.{_similar(name)}"
        ) from None
    return name, commit


def _similar(name: str) -> str:
    """Names near a mistyped one: demo models and folders beside it."""
    parent = Path(name).expanduser().parent
    beside = [str(parent / one.name) for one in parent.iterdir() if one.is_dir()] if parent.is_dir() else []
    near = get_close_matches(name, [*demo.MODELS, *beside], n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
