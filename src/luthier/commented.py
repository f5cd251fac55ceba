"""Lines of YAML with comments."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

COLUMN = 44
"""Where comments start."""

RESERVED: Sequence[str] = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def said(text: Any) -> str:
    """On one line, as a comment must be."""
    return " ".join(str(text).split())[:200]


def line(text: str, comment: str) -> str:
    """YAML, and why it is so."""
    return f"{text.ljust(COLUMN)} # {said(comment)}"


def scalar(text: str) -> str:
    """A string as YAML, quoted where it would be read as something else."""
    plain = re.fullmatch(r"[^\W\d][\w./-]*( [\w./-]+)*|/[\w./-]+", text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)
