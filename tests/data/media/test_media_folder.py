"""Folders of images and sounds as people keep them, and paths in tables beside them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pyarrow as pa
import pytest

from luthier.data import source
from luthier.data.formats import open_table
from luthier.errors import DataError
from luthier.recipe.data import Data


def filled(folder: Path, *names: str) -> Path:
    """Empty files: whether they can be decoded is not asked when a folder is read."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def read(files: Any) -> source.Source:
    return source.read(Data(files=str(files) if isinstance(files, Path) else files))


def rows(found: source.Source) -> dict[str, list[tuple[str, ...]]]:
    return {split: [tuple(row.values()) for row in part] for split, part in found.splits.items()}


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    filled(tmp_path, "bees/2.jpg", "ants/b.PNG", "bees/1.jpg", "ants/2020/May/a.jpg")
    found = read(tmp_path)
    assert rows(found) == {
        "all": [
            (str(tmp_path / "ants/2020/May/a.jpg"), "ants"),
            (str(tmp_path / "ants/b.PNG"), "ants"),
            (str(tmp_path / "bees/1.jpg"), "bees"),
            (str(tmp_path / "bees/2.jpg"), "bees"),
        ]
    }
    assert found.splits["all"].column_names == ["image", "label"]
    assert found.files == {"all": [{"path": str(tmp_path), "rows": 4}]}
    assert found.notes == []


def test_a_file_that_is_added_is_read(tmp_path: Path) -> None:
    filled(tmp_path, "a/1.wav", "b/1.wav")
    assert read(tmp_path).splits["all"].column_names == ["audio", "label"]
    filled(tmp_path, "b/2.wav")
    assert len(read(tmp_path).splits["all"]) == 3


def test_splits_above_the_classes(tmp_path: Path) -> None:
    filled(tmp_path, "train/ants/1.jpg", "train/bees/2.jpg", "VAL/ants/3.jpg", "test/bees/4.jpg", "more/ants/5.jpg")
    found = read(tmp_path)
    assert rows(found) == {
        "train": [(str(tmp_path / "train/ants/1.jpg"), "ants"), (str(tmp_path / "train/bees/2.jpg"), "bees")],
        "validation": [(str(tmp_path / "VAL/ants/3.jpg"), "ants")],
        "test": [(str(tmp_path / "test/bees/4.jpg"), "bees")],
    }
    assert found.notes == [
        "VAL is used as the validation split.",
        f"{tmp_path}: left out, because not named after a split: more.",
    ]


def test_folders_given_for_each_split(tmp_path: Path) -> None:
    filled(tmp_path, "one/ants/1.jpg", "two/bees/2.jpg", "three/bees/3.jpg")
    found = read({"train": [str(tmp_path / "one"), str(tmp_path / "two")], "test": str(tmp_path / "three")})
    assert {split: part["label"][:] for split, part in found.splits.items()} == {
        "train": ["ants", "bees"],
        "test": ["bees"],
    }


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    filled(tmp_path, "train/1.jpg", "bus/2.jpg")
    assert read(tmp_path).splits["all"]["label"][:] == ["bus", "train"]


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    how = "Put those of each class into a folder of its name, or write a metadata.csv with the columns file_name and label."
    with pytest.raises(DataError) as error:
        read(filled(tmp_path / "flat", "1.jpg", "2.jpg"))
    flat = tmp_path / "flat"
    assert str(error.value) == f"The folder {flat} holds 2 files without labels, such as 1.jpg. {how}"
    with pytest.raises(DataError) as error:
        read(filled(tmp_path / "divided", "train/1.wav", "test/2.wav", "test/3.wav"))
    divided = tmp_path / "divided"
    assert str(error.value) == f"The folder {divided} holds 3 files without labels, such as test/2.wav. {how}"


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    filled(
        tmp_path,
        *("ants/1.jpg", "ants/._1.jpg", "ants/notes.txt", "bees/2.jpg", "loose.png", "README.md"),
        *(".DS_Store", ".git/3.jpg", "__MACOSX/ants/4.jpg"),
    )
    (tmp_path / "wasps").mkdir()
    found = read(tmp_path)
    assert len(found.splits["all"]) == 2
    assert found.notes == [
        f"{tmp_path}: no class, because no image lies in it: wasps.",
        f"{tmp_path}: left out, because in no folder of a class: loose.png.",
        f"{tmp_path}: left out, because neither image nor audio: README.md, ants/notes.txt.",
        f"{tmp_path}: left out, because hidden: .DS_Store, ants/._1.jpg.",
    ]


def test_of_many_left_out_the_first_are_named(tmp_path: Path) -> None:
    filled(tmp_path, "ants/1.jpg", "bees/1.jpg", *(f"ants/{number}.txt" for number in range(8)))
    said = ", ".join(f"ants/{number}.txt" for number in range(5))
    assert read(tmp_path).notes == [f"{tmp_path}: left out, because neither image nor audio: {said} and 3 more."]


def test_images_and_sounds_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        read(filled(tmp_path, "ants/1.jpg", "bees/2.wav"))
    assert str(error.value) == (
        f"{tmp_path} holds both image (ants/1.jpg) and audio (bees/2.wav); expected files of one kind. Keep each kind in a folder "
        "of its own."
    )


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_file_of_metadata(tmp_path: Path, ending: str) -> None:
    filled(tmp_path, "1.wav", "inside/2.wav", "unnamed.wav")
    frame = pd.DataFrame({"file_name": ["inside/2.wav", "1.wav", "gone.wav"], "who": ["x", "y", "x"]})
    write = {
        "csv": lambda path: frame.to_csv(path, index=False),
        "jsonl": lambda path: frame.to_json(path, orient="records", lines=True),
        "parquet": frame.to_parquet,
    }
    write[ending](tmp_path / f"metadata.{ending}")
    names = [str(tmp_path / name) for name in ("inside/2.wav", "1.wav", "gone.wav")]
    assert rows(read(tmp_path)) == {"all": list(zip(names, "xyx", strict=True))}


def test_metadata_above_the_folders_of_splits(tmp_path: Path) -> None:
    filled(tmp_path, "train/1.jpg", "dev/2.jpg", "train/3.jpg")
    (tmp_path / "metadata.csv").write_text("file_name,label\ntrain/1.jpg,a\ndev/2.jpg,b\ntrain/3.jpg,b\n")
    found = read(tmp_path)
    assert rows(found) == {
        "train": [(str(tmp_path / "train/1.jpg"), "a"), (str(tmp_path / "train/3.jpg"), "b")],
        "validation": [(str(tmp_path / "dev/2.jpg"), "b")],
    }
    assert found.files["validation"] == [{"path": str(tmp_path), "rows": 1}]
    with (tmp_path / "metadata.csv").open("a") as file:
        file.write("4.jpg,a\n")
    assert {split: len(part) for split, part in read(tmp_path).splits.items()} == {"all": 4}


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes on Linux only")
def test_a_name_that_is_not_unicode_is_left_out(tmp_path: Path) -> None:
    filled(tmp_path, "ants/1.jpg", "bees/1.jpg")
    (tmp_path / "bees" / os.fsdecode(b"\xff.jpg")).touch()
    found = read(tmp_path)
    assert len(found.splits["all"]) == 2
    assert found.notes == [f"{tmp_path}: left out, because of a name that is not Unicode: bees/?.jpg."]


def test_a_file_of_metadata_for_each_split(tmp_path: Path) -> None:
    for split in ("train", "test"):
        filled(tmp_path / split, "1.jpg")
        (tmp_path / split / "metadata.csv").write_text("file_name,label\n1.jpg,a\n")
    found = read(tmp_path)
    assert rows(found) == {split: [(str(tmp_path / split / "1.jpg"), "a")] for split in ("train", "test")}


def test_metadata_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("name,label\n1.jpg,a\n")
    with pytest.raises(
        DataError, match=r"metadata\.csv has no column file_name; it has name, label\. That column says"
    ):
        read(tmp_path)
    (tmp_path / "metadata.jsonl").write_text("{}")
    with pytest.raises(
        DataError, match=r"holds metadata\.csv, metadata\.jsonl; expected one file of metadata\. Keep one\."
    ):
        read(tmp_path)


def test_the_folder_reader_of_datasets_reads_the_same(assets: Path) -> None:
    folder = (assets / "data" / "ants_bees").resolve()  # as datasets does
    theirs = datasets.load_dataset("imagefolder", data_dir=str(folder))
    found = read(folder)
    assert found.notes == ["val is used as the validation split."]
    for split, part in theirs.items():
        paths = [row["path"] for row in part.cast_column("image", datasets.Image(decode=False))["image"]]
        labels = [part.features["label"].int2str(label) for label in part["label"]]
        assert sorted(rows(found)[str(split)]) == sorted(zip(paths, labels, strict=True))


def test_real_recordings_with_metadata(assets: Path) -> None:
    folder = (assets / "data" / "spoken_digits").absolute()
    found = read(folder).splits["all"]
    expected = pd.read_csv(folder / "metadata.csv", dtype=str)
    assert found["file_name"][:] == [str(folder / name) for name in expected["file_name"]]
    assert found["speaker"][:] == expected["speaker"].tolist()


def paths_in(file: Path, column: str = "photo") -> list[Any]:
    return list(open_table(file).rows[column])


def test_relative_paths_are_seen_from_the_folder_of_their_file(tmp_path: Path) -> None:
    filled(tmp_path, "photos/1.jpg")
    elsewhere = str(tmp_path / "elsewhere/3.jpg")
    cells = ["photos/1.jpg", "photos/gone.jpg", elsewhere, "https://example.com/4.jpg"]
    (tmp_path / "a.csv").write_text("photo,text\n" + "".join(f"{cell},see {cell}\n" for cell in cells) + ",none\n")
    expected = [str(tmp_path / "photos/1.jpg"), str(tmp_path / "photos/gone.jpg"), *cells[2:], ""]
    assert paths_in(tmp_path / "a.csv") == expected
    assert paths_in(tmp_path / "a.csv", "text") == [*(f"see {cell}" for cell in cells), "none"]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps({"photo": cell}) for cell in [*cells, None]))
    assert paths_in(tmp_path / "a.jsonl") == [*expected[:4], None]


def test_relative_paths_may_be_seen_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, "photos/1.jpg", "lists/nothing")
    (tmp_path / "lists" / "a.csv").write_text("photo,label\nphotos/1.jpg,x\n")
    monkeypatch.chdir(tmp_path)
    assert paths_in(Path("lists/a.csv")) == [str(tmp_path / "photos/1.jpg")]


def test_paths_of_files_that_are_not_there_stay(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("photo,label\nphotos/1.jpg,x\n")
    assert paths_in(tmp_path / "a.csv") == ["photos/1.jpg"]
    filled(tmp_path, "photos/1.jpg")
    assert paths_in(tmp_path / "a.csv") == [str(tmp_path / "photos/1.jpg")]


def test_types_of_the_other_columns_stay(tmp_path: Path) -> None:
    filled(tmp_path, "1.jpg")
    features = datasets.Features({"photo": datasets.Value("large_string"), "label": datasets.ClassLabel(names=["a"])})
    made = datasets.Dataset.from_dict({"photo": ["1.jpg", None], "label": [0, 0]}, features=features)
    made.to_parquet(str(tmp_path / "a.parquet"))
    found = open_table(tmp_path / "a.parquet").rows
    assert found.features == features
    assert found["photo"][:] == [str(tmp_path / "1.jpg"), None]


def test_stored_images_and_sounds_are_not_decoded_by_datasets(tmp_path: Path) -> None:
    stored = {"bytes": b"damaged", "path": "a"}
    plain = datasets.Dataset(pa.table({"image": [stored], "audio": [stored]}))
    made = plain.cast_column("image", datasets.Image()).cast_column("audio", datasets.Audio())
    made.to_parquet(str(tmp_path / "a.parquet"))
    made.save_to_disk(str(tmp_path / "saved"))
    for files in ("a.parquet", "saved"):
        assert read(tmp_path / files).splits["all"][0] == {"image": stored, "audio": stored}
