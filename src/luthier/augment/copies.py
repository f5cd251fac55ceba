"""Back translations that were made once are kept: a later epoch, a resumed run and the next run find them again."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager

from luthier.cache import cache_folder

FILE = "back_translation.sqlite"
TABLE = "CREATE TABLE IF NOT EXISTS copies (translator TEXT, text BLOB, copy TEXT, PRIMARY KEY (translator, text)) WITHOUT ROWID"


def stored(translator: str, texts: Sequence[str]) -> dict[str, str]:
    """Those of the texts that this translator has translated, with their copies."""
    with _database() as database:
        rows = ((text, _find(database, translator, text)) for text in texts)
        return {text: copy for text, copy in rows if copy is not None}


def store(translator: str, copies: Mapping[str, str]) -> None:
    """Keep copies, all of them or none."""
    rows = [(translator, _mark(text), copy) for text, copy in copies.items()]
    with _database() as database:
        database.executemany("INSERT OR REPLACE INTO copies VALUES (?, ?, ?)", rows)


@contextmanager
def _database() -> Iterator[sqlite3.Connection]:
    cache_folder().mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(cache_folder() / FILE, timeout=60)) as database, database:
        database.execute(TABLE)
        yield database


def _find(database: sqlite3.Connection, translator: str, text: str) -> str | None:
    found = database.execute(
        "SELECT copy FROM copies WHERE translator = ? AND text = ?", (translator, _mark(text))
    ).fetchone()
    return found[0] if found else None


def _mark(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
