"""From what a recipe calls `data.files` to one memory-mapped table per split."""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets

from luthier import demo
from luthier.data import hub
from luthier.data.formats import Reading, Table, ending, open_table
from luthier.data.media import folder as media_folder
from luthier.data.media.stored import undecoded
from luthier.errors import DataError
from luthier.recipe.data import Data

ORDER = ("train", "validation", "test")
OTHER_NAMES = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev", "development", "eval", "evaluation"},
    "test": {"test", "testing"},
}
"""What people call the splits."""

UNDIVIDED = "all"


@dataclass(frozen=True)
class Source:
    """The rows as they came: nothing cleaned, nothing divided."""

    splits: dict[str, datasets.Dataset]
    """`train` and, as given, `validation` and `test`; or only `all`, which is still to be divided."""
    files: dict[str, list[dict[str, Any]]]
    """For each split what it was read from: `path` (or `dataset`) and `rows`, and of annotated files `annotation` (see
    `exchange.votes.settle`)."""
    notes: list[str]
    """Sentences for the user: encodings detected, splits renamed or left out."""


@dataclass(frozen=True)
class _Part:
    """Rows of one file."""

    rows: datasets.Dataset
    origin: dict[str, Any]


def read(options: Data) -> Source:
    """Open the files of a recipe.

    Raises:
        DataError: a file is missing, empty, damaged, of an unsupported kind or not in the encoding given; a pattern fits no file,
            or a shard is missing; a folder holds no data; a hub name is unknown or out of reach.
    """
    found = _read(options, Reading(options.encoding, options.annotators))
    return replace(found, splits={name: undecoded(rows) for name, rows in found.splits.items()})


def _read(options: Data, reading: Reading) -> Source:
    if isinstance(options.files, str):
        return _read_one(options.files, reading)
    given = {name: paths for name, paths in options.files.model_dump().items() if paths}
    return _read_files(
        {name: [one for path in paths for one in _named(path)] for name, paths in given.items()}, reading, []
    )


def _read_one(name: str, reading: Reading) -> Source:
    path = _local(name)
    if path.is_dir():
        return _read_folder(path, reading)
    if path.exists() or _looks_local(name):
        source = _read_files(_by_split(_named(name)), reading, [])
        return Source(source.splits, source.files, [*source.notes, *demo.notes(name)])
    return _from_splits(hub.download(name), {"dataset": name}, name)


def _named(name: str) -> list[Path]:
    """The file that a name says, or those that a pattern such as `train-*.parquet` fits, in the order of their names."""
    path = _local(name)
    if path.exists() or not glob.has_magic(name):
        return [path]
    found = sorted(one for one in Path(path.anchor).glob(str(path.relative_to(path.anchor))) if one.is_file())
    if not found:
        raise DataError(f"No file fits the pattern {name!r} (looked from {Path.cwd()}).")
    _check_shards(found)
    return found


SHARD = re.compile(r"(.*?)(\d+)-of-(\d+)(.*)")


def _check_shards(paths: Sequence[Path]) -> None:
    """Refuse a set of `NAME-00000-of-00003` files that is not whole."""
    found: dict[tuple[str, ...], set[int]] = {}
    for path in paths:
        shard = SHARD.fullmatch(path.name)
        if shard:
            start, number, of, end = shard.groups()
            found.setdefault((str(path.parent), start, of, end), set()).add(int(number))
    for (folder, start, of, end), numbers in found.items():
        first = 0 if 0 in numbers else 1
        missing = sorted(set(range(first, int(of) + first)) - numbers)
        if missing:
            name = f"{start}{missing[0]:0{len(of)}d}-of-{of}{end}"
            raise DataError(f"{len(missing)} of {int(of)} shards are missing from {folder}, such as {name}.")


def _by_split(paths: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by the split that each is named after, when all are and one is for training; else all are one."""
    given: dict[str, list[Path]] = {}
    for path in paths:
        given.setdefault(_split_of(path) or "", []).append(path)
    if len(given) == 1 or "" in given or "train" not in given:
        return {UNDIVIDED: list(paths)}
    return {name: given[name] for name in ORDER if name in given}


def _local(name: str) -> Path:
    """Where a name points on this machine; demo data are fetched first."""
    return demo.fetch(name) if name.startswith("demo/") else Path(name).expanduser()


def _looks_local(name: str) -> bool:
    """A hub name is `name` or `owner/name`, has no file ending, and does not point into a folder that is here."""
    if not re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", name) or Path(name).suffix[1:].isalpha():
        return True
    return "/" in name and Path(name).parent.is_dir()


def _read_folder(folder: Path, reading: Reading) -> Source:
    if hub.is_saved(folder):
        return _from_splits(hub.open_saved(folder), {"path": str(folder)}, str(folder))
    files = sorted(path for path in folder.iterdir() if path.is_file() and ending(path))
    _check_shards(files)
    given: dict[str, list[Path]] = {}
    for path in files:
        split = _split_of(path)
        if split:
            given.setdefault(split, []).append(path)
    if "train" not in given:
        return _read_media(folder, files, reading)
    ignored = [path.name for path in files if not _split_of(path)]
    notes = [
        _renamed(path.name, split) for split, paths in given.items() for path in paths if split not in path.name.lower()
    ]
    if ignored:
        notes.append(f"{folder}: left out, because not named after a split: {', '.join(ignored)}.")
    return _read_files({name: given[name] for name in ORDER if name in given}, reading, notes)


def _read_media(folder: Path, files: Sequence[Path], reading: Reading) -> Source:
    """A folder of images or sounds: its file of metadata, or folders of classes, with those of splits above them or not."""
    described = media_folder.metadata(folder)
    if described:
        return _read_described(described, reading)
    given = _labelled_folders(folder)
    if "train" in given:
        ignored = given.pop("", [])
        notes = [_renamed(one.name, split) for split, some in given.items() for one in some if one.name != split]
        if ignored:
            names = ", ".join(one.name for one in ignored)
            notes.append(f"{folder}: left out, because not named after a split: {names}.")
        return _read_files({name: given[name] for name in ORDER if name in given}, reading, notes)
    if not all(map(_split_called, media_folder.classes(folder))):
        return _read_files({UNDIVIDED: [folder]}, reading, [])
    raise DataError(media_folder.unlabelled(folder) or _no_training(folder, files))


def _read_described(file: Path, reading: Reading) -> Source:
    """A file of metadata in its folder; rows whose files all lie in folders of splits are divided so."""
    folder, table = file.parent, media_folder.read_described(file, reading)
    names = [_split_called(name) for name in media_folder.first_folders(table.rows, folder)]
    rows = {split: [row for row, name in enumerate(names) if name == split] for split in ORDER}
    divided = {split: table.rows.select(some) for split, some in rows.items() if some and None not in names}
    splits = divided if "train" in divided else {"train": table.rows}
    return _undivided(
        splits, {name: [{"path": str(folder), "rows": len(part)}] for name, part in splits.items()}, list(table.notes)
    )


def _labelled_folders(folder: Path) -> dict[str, list[Path]]:
    """Subfolders with metadata or folders of classes, by the split that each is called, or an empty text."""
    given: dict[str, list[Path]] = {}
    for one in media_folder.folders(folder):
        if media_folder.metadata(one) or media_folder.classes(one):
            given.setdefault(_split_called(one.name) or "", []).append(one)
    return given


def _split_called(name: str) -> str | None:
    """The split that a folder is called, or None."""
    return next((split for split, names in OTHER_NAMES.items() if name.lower() in names), None)


def _split_of(path: Path) -> str | None:
    """The split that a file is named after (`sst2_dev.csv`, `train-00000-of-00002.parquet`), or None."""
    words = set(re.split(r"[^a-z]+", path.name.lower()))
    named = [split for split, names in OTHER_NAMES.items() if words & names]
    return named[0] if len(named) == 1 else None


def _no_training(folder: Path, files: Sequence[Path]) -> str:
    if not files:
        return f"The folder {folder} holds neither data files nor a dataset written by save_to_disk."
    return (
        f"The folder {folder} holds no file named after the training split, such as train.csv; it holds "
        f"{', '.join(path.name for path in files[:10])}. Name one of them in data.files, or map them: "
        "data: {files: {train: ..., test: ...}}."
    )


def _renamed(name: str, split: str) -> str:
    return f"{name} is used as the {split} split."


def _from_splits(found: Mapping[str, datasets.Dataset], origin: dict[str, Any], name: str) -> Source:
    """Map the splits of a DatasetDict to ours; a lone training split is still to be divided."""
    splits: dict[str, datasets.Dataset] = {}
    notes = []
    for ours, names in OTHER_NAMES.items():
        theirs = next((one for one in found if one.lower() in names), None)
        if theirs is not None:
            splits[ours] = found[theirs]
            notes += [_renamed(f"{name}: {theirs}", ours)] if theirs != ours else []
    if "train" not in splits:
        raise DataError(f"{name} has no training split; it has {', '.join(found)}.")
    ignored = [one for one in found if not any(one.lower() in names for names in OTHER_NAMES.values())]
    if ignored:
        notes.append(f"{name}: left out, because neither train, validation nor test: {', '.join(ignored)}.")
    for split, rows in splits.items():
        if not len(rows):
            raise DataError(f"{name}: the {split} split holds no rows.")
    return _undivided(splits, {split: [{**origin, "rows": len(rows)}] for split, rows in splits.items()}, notes)


def _undivided(splits: dict[str, datasets.Dataset], files: dict[str, list[dict[str, Any]]], notes: list[str]) -> Source:
    if list(splits) == ["train"]:
        return Source({UNDIVIDED: splits["train"]}, {UNDIVIDED: files["train"]}, notes)
    return Source(splits, files, notes)


def _read_files(given: Mapping[str, Sequence[Path]], reading: Reading, notes: list[str]) -> Source:
    notes, splits, files = list(notes), {}, {}
    for split, paths in given.items():
        parts = []
        for path in paths:
            table = _open(path, reading)
            notes += table.notes
            annotation = {"annotation": dict(table.facts)} if table.facts else {}
            parts.append(_Part(table.rows, {"path": str(path), "rows": len(table.rows), **annotation}))
        splits[split] = _joined(parts)
        files[split] = [part.origin for part in parts]
    return _undivided(splits, files, notes)


def _open(path: Path, reading: Reading) -> Table:
    if not path.is_dir():
        return open_table(path, reading)
    found = hub.open_saved(path) if hub.is_saved(path) else {}
    if list(found) == ["train"]:
        return Table(found["train"])
    described = media_folder.metadata(path)
    if described:
        return media_folder.read_described(described, reading)
    if not found and media_folder.classes(path):
        rows, notes = media_folder.read_classes(path)
        return Table(rows, tuple(notes))
    raise DataError(
        f"{path} is a folder; a file, or a folder with a single saved dataset or with a folder of images or sounds for each class, "
        "was expected for one split."
    )


def _joined(parts: Sequence[_Part]) -> datasets.Dataset:
    """The rows of several files, one after the other."""
    first = parts[0]
    names = first.rows.column_names
    for part in parts[1:]:
        if sorted(part.rows.column_names) != sorted(names):
            raise DataError(
                f"{part.origin['path']} has the columns {', '.join(part.rows.column_names)} where {first.origin['path']} has "
                f"{', '.join(names)}; files of one split must have the same columns."
            )
    if len(parts) == 1:
        return first.rows
    try:
        return datasets.concatenate_datasets([part.rows.select_columns(names) for part in parts])
    except (ValueError, TypeError) as wrong:
        paths = ", ".join(part.origin["path"] for part in parts)
        raise DataError(f"{paths}: a column holds different kinds of values in these files: {wrong}.") from wrong
