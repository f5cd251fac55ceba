"""Folders of images or sounds: one subfolder for each class, or a file of metadata beside them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import pyarrow as pa

from luthier.data.formats import Reading, Table, open_table
from luthier.data.media import MEDIA
from luthier.data.tables import cached
from luthier.errors import DataError

FILE_NAME = "file_name"
"""Column of a file of metadata, as the folder readers of `datasets` call it."""

SHOWN = 5

HOW = f"Put those of each class into a folder of its name, or write a metadata.csv with the columns {FILE_NAME} and label."


@dataclass(frozen=True)
class Files:
    """The files below a folder, (path, first folder on the way to it or an empty text), sorted."""

    media: dict[str, list[tuple[str, str]]]
    """By the medium that their endings say."""
    left_out: dict[str, list[str]]
    """By why they are no rows."""


def folders(folder: Path) -> list[Path]:
    """Its subfolders without hidden ones, sorted."""
    return sorted(one for one in folder.iterdir() if one.is_dir() and not _is_hidden(one.name))


def classes(folder: Path) -> list[str]:
    """Names of its subfolders in which, at any depth, an image or a sound lies."""
    return [one.name for one in folders(folder) if any(_kind(path) for path, _ in _walk(one))]


def metadata(folder: Path) -> Path | None:
    """Its file of metadata.

    Raises:
        DataError: there are several.
    """
    found = sorted(one for one in folder.iterdir() if one.name.lower() in METADATA)
    if len(found) > 1:
        raise DataError(
            f"{folder} holds {_listed([one.name for one in found])}; expected one file of metadata. Keep one."
        )
    return found[0] if found else None


METADATA = frozenset(("metadata.csv", "metadata.jsonl", "metadata.parquet"))


def read_classes(folder: Path) -> tuple[datasets.Dataset, list[str]]:
    """Rows with the path of each file, in a column called after the medium, and the name of its folder as `label`; and notes.

    Raises:
        DataError: there are both images and sounds.
    """
    found = _files(folder)
    medium = _medium(folder, found)
    rows = [(path, label) for path, label in found.media[medium] if label]
    key = hashlib.blake2b(repr((medium, rows)).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    paths, labels = ([row[place] for row in rows] for place in (0, 1))
    batch = pa.record_batch({medium: pa.array(paths, pa.string()), "label": pa.array(labels, pa.string())})
    return cached(key, f"listing {folder.name}", lambda: [batch]), _notes(folder, medium, found)


def read_loose(folder: Path, medium: str, column: str) -> datasets.Dataset | None:
    """The paths of all files of a medium, at any depth; None where metadata or folders of classes say more of them.

    Args:
        folder: to look in.
        medium: `image` or `audio`.
        column: what the paths are called.
    """
    paths = [path for path, _ in _files(folder).media[medium]]
    if not paths or metadata(folder) or classes(folder):
        return None
    return datasets.Dataset.from_dict({column: paths})


def read_described(file: Path, reading: Reading) -> Table:
    """The rows of a file of metadata, with absolute paths in `file_name`.

    Raises:
        DataError: the column is missing.
    """
    table = open_table(file, reading)
    if FILE_NAME not in table.rows.column_names:
        raise DataError(
            f"{file} has no column {FILE_NAME}; it has {', '.join(table.rows.column_names)}. That column says which file each row "
            "is about, seen from the folder of this one."
        )
    return table


def first_folders(rows: datasets.Dataset, folder: Path) -> list[str]:
    """For each row of metadata the first folder on the way to its file, or an empty text."""
    paths = (str(path or "") for path in rows[FILE_NAME][:])
    ways = (Path(os.path.relpath(path, folder.absolute())).parts if path else () for path in paths)
    return [way[0] if len(way) > 1 else "" for way in ways]


def unlabelled(folder: Path) -> str:
    """What is said of a folder whose images or sounds no subfolder gives a class; empty where there are none at all."""
    found = _files(folder)
    paths = [path for files in found.media.values() for path, _ in files]
    if not paths:
        return ""
    return f"The folder {folder} holds {len(paths):,} files without labels, such as {_below(folder, paths[0])}. {HOW}"


def _medium(folder: Path, found: Files) -> str:
    held = {name: files for name, files in found.media.items() if any(label for _, label in files)}
    if len(held) > 1:
        each = " and ".join(f"{name} ({_below(folder, files[0][0])})" for name, files in held.items())
        raise DataError(
            f"{folder} holds both {each}; expected files of one kind. Keep each kind in a folder of its own."
        )
    return next(iter(held))


def _files(folder: Path) -> Files:
    media: dict[str, list[tuple[str, str]]] = {name: [] for name in MEDIA}
    left_out: dict[str, list[str]] = {"neither image nor audio": [], "hidden": [], "of a name that is not Unicode": []}
    for path, label in _walk(folder.absolute()):
        kind, name = _kind(path), str(path).encode(errors="replace").decode()
        if name != str(path):
            left_out["of a name that is not Unicode"].append(name)
        elif kind:
            media[kind].append((name, label))
        else:
            left_out["hidden" if _is_hidden(path.name) else "neither image nor audio"].append(name)
    return Files(
        {name: sorted(files) for name, files in media.items()}, {why: sorted(files) for why, files in left_out.items()}
    )


def _walk(folder: Path) -> Iterable[tuple[Path, str]]:
    """Files below a folder, hidden folders left out, with the first folder on the way to each."""
    for here, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not _is_hidden(name)]
        label = next(iter(Path(here).relative_to(folder).parts), "")
        yield from ((Path(here, name), label) for name in names)


def _kind(path: Path) -> str | None:
    """The medium of a file that is not hidden, by its ending."""
    ending = path.suffix.lower()
    return None if _is_hidden(path.name) else next((one for one in MEDIA if ending in MEDIA[one].endings), None)


def _is_hidden(name: str) -> bool:
    """Also what Macs and Windows put beside the files of people."""
    return name.startswith(".") or name in {"__MACOSX", "Thumbs.db", "desktop.ini"}


def _notes(folder: Path, medium: str, found: Files) -> list[str]:
    loose = [path for files in found.media.values() for path, label in files if not label]
    filled = {label for _, label in found.media[medium]}
    empty = [one.name for one in folders(folder) if one.name not in filled]
    left_out = {
        f"{folder}: no class, because no {medium} lies in it": empty,
        f"{folder}: left out, because in no folder of a class": loose,
        **{f"{folder}: left out, because {why}": names for why, names in found.left_out.items()},
    }
    return [f"{said}: {_listed([_below(folder, one) for one in names])}." for said, names in left_out.items() if names]


def _below(folder: Path, path: str) -> str:
    return os.path.relpath(path, folder.absolute()) if Path(path).is_absolute() else path


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
