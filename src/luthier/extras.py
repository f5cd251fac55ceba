"""Optional packages: imported only where they are used, with the pip line in the error."""

import importlib
from types import ModuleType

from luthier.errors import ExtraError


def need(package: str, extra: str) -> ModuleType:
    """Import an optional package.

    Raises:
        ExtraError: the package is not installed; the message holds the pip line.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as missing:
        if missing.name != package.split(".", maxsplit=1)[0]:
            raise
        raise ExtraError(
            f"The package {package!r} is needed here and is not installed. Install it with: pip install 'luthier[{extra}]'"
        ) from missing
