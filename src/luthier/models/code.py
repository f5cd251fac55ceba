"""The function or class that makes a network, found by its name as `module:function`.

A module is one file beside the recipe or in the current folder, or one that is installed. A file's content is kept in the cache
under its hash, and networks are always made by what is kept: a trained network so computes the same when the file has changed
since. A folder of weights only names that hash. Code that no recipe on this machine has named is never run, even where it lies
beside the weights: like every model, such a folder may come from somebody else.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from torch import nn

from luthier.cache import cache_folder
from luthier.errors import ModelError, RecipeError
from luthier.registry import closest

Maker = Callable[..., Any]
"""Makes a network of its settings: a function, or a class of networks."""


def keep(name: str, folder: str) -> str:
    """Keep the file of a module in the cache.

    Args:
        name: of the factory, as `module:function`.
        folder: of the recipe; empty where it is not known. The current folder is looked into too.

    Returns:
        Hash of the file; empty where the module is an installed one.

    Raises:
        RecipeError: there is no such module.
    """
    module = _split(name)[0]
    file = file_of(module, folder)
    if file is None:
        if not _is_installed(module):
            places = f"{Path(folder)} nor the current folder" if folder else "the current folder"
            raise RecipeError(
                f"model: there is no module {module!r} for the factory {name!r}: {module}.py is neither in {places}, nor is such a package "
                "installed."
            )
        return ""
    content = file.read_bytes()
    code = sha256(content).hexdigest()
    kept = _kept(module, code)
    if not kept.is_file():
        draft = kept.with_suffix(f".{os.getpid()}.tmp")
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(kept)
    return code


def file_of(module: str, folder: str) -> Path | None:
    """The file of a module beside the recipe or in the current folder."""
    files = [Path(place) / f"{module}.py" for place in (folder, ".") if place]
    return next((file for file in files if file.is_file()), None)


def maker(name: str, code: str) -> Maker:
    """The factory.

    Args:
        name: as `module:function`.
        code: from `keep`.

    Raises:
        ModelError: this machine does not know the code.
        RecipeError: the module cannot be imported, has no such function, or says nowhere that it makes a network.
    """
    module_name, function = _split(name)
    module = _from_file(module_name, code) if code else _installed(module_name)
    made: Maker | None = getattr(module, function, None)
    if not callable(made):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise RecipeError(f"model: {module_name} has no function or class {function!r}; {closest(function, public)}")
    if not code and not _says_that_it_makes_networks(made):
        raise RecipeError(
            f"model: {name} is in an installed package and does not say that it makes a network, so it is not called: expected a class "
            "derived from torch.nn.Module, or a function that is annotated with `-> torch.nn.Module`. Or write such a function into a file "
            "beside the recipe."
        )
    return made


def copy(name: str, code: str, folder: Path) -> None:
    """Lay the code of a network beside its weights, for people to read; nothing is ever run from there."""
    module = _split(name)[0]
    if code and _kept(module, code).is_file():
        (folder / f"{module}.py").write_bytes(_kept(module, code).read_bytes())


def _split(name: str) -> tuple[str, str]:
    module, _, function = name.partition(":")
    return module, function


def _kept(module: str, code: str) -> Path:
    return cache_folder() / "code" / code / f"{module}.py"


def _is_installed(module: str) -> bool:
    """Whether Python finds it, and not only for being started where it lies: that may be a folder of somebody else's weights."""
    top = module.partition(".")[0]
    try:
        around = find_spec(top)
        if around is None or (_is_here(around) and top not in packages_distributions()):
            return False
        return find_spec(module) is not None
    except (ImportError, ValueError):  # of a package around it; no name of a module
        return False


def _is_here(spec: ModuleSpec) -> bool:
    """Whether a module or package lies in the current folder."""
    places = [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.has_location and spec.origin else [])]
    return any(Path(place).absolute().parent == Path.cwd() for place in places)


def _from_file(name: str, code: str) -> ModuleType:
    """The module of the content with this hash, made once in a program."""
    unique = f"luthier_code_{code[:16]}"
    if unique in sys.modules:
        return sys.modules[unique]
    file = _kept(name, code)
    if not file.is_file():
        raise ModelError(
            f"The network is made by {name}.py with the SHA-256 {code}, which no recipe on this machine has named, so it is not run. A "
            f"copy lies beside the weights: read it, and where you trust it, copy it to {file}."
        )
    if sha256(file.read_bytes()).hexdigest() != code:
        raise ModelError(f"{file} has been changed: its SHA-256 is not that of its folder. Delete the folder.")
    spec = spec_from_file_location(unique, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[unique] = module  # dataclasses look their module up while it is made
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as wrong:  # whatever the user's code raises
        del sys.modules[unique]
        alone = " A network is one file: it imports what is installed, and no file beside it."
        hint = alone if isinstance(wrong, ModuleNotFoundError) else ""
        raise RecipeError(f"model: {name}.py cannot be imported: {type(wrong).__name__}: {wrong}.{hint}") from wrong
    return module


def _installed(name: str) -> ModuleType:
    if not _is_installed(name):
        raise RecipeError(f"model: no package with the module {name!r} is installed, and a network is made by it.")
    try:
        return importlib.import_module(name)
    except Exception as wrong:  # whatever the module raises
        raise RecipeError(
            f"model: the module {name} cannot be imported: {type(wrong).__name__}: {wrong}".splitlines()[0]
        ) from wrong


def _says_that_it_makes_networks(made: Any) -> bool:
    """A folder of weights names its factory, and may come from anywhere: it must not call whatever is installed."""
    try:
        said = made if inspect.isclass(made) else get_type_hints(made).get("return")
    except (
        NameError,
        TypeError,
    ):  # it is annotated with what its module does not import, or is nothing that has annotations
        return False
    return inspect.isclass(said) and issubclass(said, nn.Module)
