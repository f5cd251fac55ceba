"""Where downloads and prepared tables are kept between runs."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`LUTHIER_CACHE`, else `XDG_CACHE_HOME/luthier`, else `~/.cache/luthier`. It can be deleted at any time."""
    own = os.environ.get("LUTHIER_CACHE")
    if own:
        return Path(own).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "luthier"
