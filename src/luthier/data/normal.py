"""One plain form of a text, so that rows which only look different compare equal, and its hash."""

from __future__ import annotations

import hashlib
import re
import unicodedata

INVISIBLE = re.compile("[\u00ad\u200b\u200c\u200d\u2060\ufeff]")
"""Soft hyphen, zero-width space, non-joiner, joiner, word joiner and byte order mark."""


def normal(text: str) -> str:
    """A text without case, width, compatibility forms, invisible characters and runs of white space.

    Unicode's compatibility caseless matching (The Unicode Standard, section 3.13, D146), composed (NFKC) and with single spaces:
    full-width `ＡＢＣ` and `abc`, `Straße` and `STRASSE`, the ligature `ﬁ` and `fi` become the same. A second time changes nothing.
    """
    if text.isascii():
        return " ".join(text.lower().split())
    folded = unicodedata.normalize("NFD", INVISIBLE.sub("", text)).casefold()
    folded = unicodedata.normalize("NFKD", folded).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def mark(text: str) -> bytes:
    """Hash of the plain form: 16 bytes, so few that a thousand million texts fit and so many that none of them collide."""
    return hashlib.blake2b(normal(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()
