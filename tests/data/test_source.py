"""Files, folders and names to splits. Nothing here may touch the network."""

import socket
from pathlib import Path
from typing import Any

import datasets
import pytest

from luthier import demo
from luthier.data import hub, source
from luthier.errors import DataError
from luthier.recipe.data import Data


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError("the network is unreachable (test)")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def table(file: Path, *texts: str) -> str:
    file.write_text("\n".join(["text,label", *(f"{text},{index % 2}" for index, text in enumerate(texts))]) + "\n")
    return str(file)


def texts(read: source.Source) -> dict[str, list[str]]:
    return {name: list(rows["text"]) for name, rows in read.splits.items()}


def test_one_file_is_undivided(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", "x", "y")
    read = source.read(Data(files=file))
    assert texts(read) == {"all": ["x", "y"]}
    assert read.files == {"all": [{"path": file, "rows": 2}]}
    assert read.notes == []


def test_files_per_split_are_joined_in_order(tmp_path: Path) -> None:
    one, two, test = table(tmp_path / "a.csv", "x"), table(tmp_path / "b.csv", "y", "z"), table(tmp_path / "c.csv", "t")
    read = source.read(Data(files={"train": [one, two], "test": test}))
    assert texts(read) == {"train": ["x", "y", "z"], "test": ["t"]}
    assert read.files["train"] == [{"path": one, "rows": 1}, {"path": two, "rows": 2}]


def test_a_mapping_with_training_rows_only_is_undivided(tmp_path: Path) -> None:
    assert texts(source.read(Data(files={"train": table(tmp_path / "a.csv", "x")}))) == {"all": ["x"]}


def test_columns_in_another_order_are_joined_by_name(tmp_path: Path) -> None:
    one = table(tmp_path / "a.csv", "x")
    (tmp_path / "b.csv").write_text("label,text\n1,y\n")
    assert texts(source.read(Data(files={"train": [one, str(tmp_path / "b.csv")]}))) == {"all": ["x", "y"]}


def test_files_of_one_split_with_other_columns_are_refused(tmp_path: Path) -> None:
    one = table(tmp_path / "a.csv", "x")
    (tmp_path / "b.csv").write_text("label,review\n1,y\n")
    with pytest.raises(
        DataError, match=r"b\.csv has the columns label, review where .*a\.csv has text, label; files of one split must"
    ):
        source.read(Data(files={"train": [one, str(tmp_path / "b.csv")]}))


def test_files_of_one_split_with_other_kinds_of_values_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 1}')
    (tmp_path / "b.jsonl").write_text('{"text": "a", "label": "x"}')
    with pytest.raises(
        DataError, match=r"a\.jsonl, .*b\.jsonl: a column holds different kinds of values in these files"
    ):
        source.read(Data(files={"train": [str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl")]}))


def test_a_folder_of_files_named_after_splits(tmp_path: Path) -> None:
    table(tmp_path / "my_train.csv", "x")
    table(tmp_path / "my_dev.csv", "y")
    table(tmp_path / "test-00000-of-00001.csv", "z")
    table(tmp_path / "extra.csv", "e")
    read = source.read(Data(files=str(tmp_path)))
    assert texts(read) == {"train": ["x"], "validation": ["y"], "test": ["z"]}
    assert read.notes == [
        "my_dev.csv is used as the validation split.",
        f"{tmp_path}: left out, because not named after a split: extra.csv.",
    ]


def test_real_files_per_split(assets: Path) -> None:
    names = {"train": "train", "validation": "dev", "test": "test"}
    read = source.read(
        Data(files={ours: str(assets / "data" / f"sst2_en_{theirs}.csv") for ours, theirs in names.items()})
    )
    assert {name: len(rows) for name, rows in read.splits.items()} == {"train": 6920, "validation": 872, "test": 1821}


def test_a_folder_without_a_training_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"The folder .* holds neither data files nor a dataset written by save_to_disk\."
    ):
        source.read(Data(files=str(tmp_path)))
    table(tmp_path / "a.csv", "x")
    with pytest.raises(
        DataError,
        match=r"holds no file named after the training split, such as train\.csv; it holds a\.csv\. Name one of",
    ):
        source.read(Data(files=str(tmp_path)))


@pytest.mark.parametrize("theirs", ["validation", "valid", "val", "dev"])
def test_a_saved_dataset_dict(tmp_path: Path, theirs: str) -> None:
    part = {
        name: datasets.Dataset.from_dict({"text": [name], "label": [1]})
        for name in ("train", theirs, "test", "unsupervised")
    }
    datasets.DatasetDict(part).save_to_disk(str(tmp_path / "saved"))
    read = source.read(Data(files=str(tmp_path / "saved")))
    assert texts(read) == {"train": ["train"], "validation": [theirs], "test": ["test"]}
    assert read.files["test"] == [{"path": str(tmp_path / "saved"), "rows": 1}]
    renamed = [f"{tmp_path / 'saved'}: {theirs} is used as the validation split."] if theirs != "validation" else []
    assert read.notes == [
        *renamed,
        f"{tmp_path / 'saved'}: left out, because neither train, validation nor test: unsupervised.",
    ]


def test_a_saved_dataset_is_undivided_and_can_be_one_split(tmp_path: Path) -> None:
    folder = str(tmp_path / "saved")
    datasets.Dataset.from_dict({"text": ["a"], "label": [1]}).save_to_disk(folder)
    assert texts(source.read(Data(files=folder))) == {"all": ["a"]}
    (tmp_path / "t.jsonl").write_text('{"text": "t", "label": 0}')
    assert texts(source.read(Data(files={"train": folder, "test": str(tmp_path / "t.jsonl")}))) == {
        "train": ["a"],
        "test": ["t"],
    }


def test_saved_data_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    datasets.DatasetDict({"test": rows}).save_to_disk(str(tmp_path / "a"))
    with pytest.raises(DataError, match=r"a has no training split; it has test\."):
        source.read(Data(files=str(tmp_path / "a")))
    datasets.DatasetDict({"train": rows, "test": rows.select([])}).save_to_disk(str(tmp_path / "b"))
    with pytest.raises(DataError, match=r"b cannot be read: a split in it holds no rows\."):
        source.read(Data(files=str(tmp_path / "b")))
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "state.json").write_text("{}")
    with pytest.raises(DataError, match=r"c was written by save_to_disk and cannot be read: .*Save it again\."):
        source.read(Data(files=str(tmp_path / "c")))
    with pytest.raises(
        DataError,
        match=r"a is a folder; a file, or a folder with a single saved dataset or with a folder of images or sounds for each class, "
        r"was expected for one split\.",
    ):
        source.read(Data(files={"train": str(tmp_path / "a")}))


@pytest.mark.parametrize(
    "name", ["reviews.csv", "./reviews", "some/reviews.jsonl", "a/b/c", "~/reviews.parquet", "reviews.xlsx"]
)
def test_a_missing_path_is_no_hub_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "download", lambda name: pytest.fail("asked the hub"))
    with pytest.raises(DataError, match="There is no file"):
        source.read(Data(files=name))


def test_a_missing_folder_beside_others_is_no_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "download", lambda name: pytest.fail("asked the hub"))
    (tmp_path / "data" / "reviews").mkdir(parents=True)
    with pytest.raises(DataError, match=r"There is no file 'data/review'; did you mean 'data/reviews'\?"):
        source.read(Data(files="data/review"))


def test_a_hub_name_without_network_says_how_to_use_a_local_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as error:
        source.read(Data(files="stanfordnlp/imdb"))
    said = str(error.value)
    assert said.startswith(
        "There is no file or folder 'stanfordnlp/imdb' here, and the Hugging Face hub cannot be reached"
    )
    assert (
        "Without the hub give a local file (data.files: reviews.csv), or a folder: where there is a network, run "
        in said
    )
    assert (
        "datasets.load_dataset('stanfordnlp/imdb').save_to_disk('reviews'), copy it here and write data.files: reviews."
        in said
    )


def test_a_hub_name_is_loaded_by_datasets(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    monkeypatch.setattr(hub, "_ask", lambda name: None)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, cache_dir: datasets.DatasetDict({"train": rows, "test": rows})
    )
    read = source.read(Data(files="owner/name"))
    assert read.files == {
        "train": [{"dataset": "owner/name", "rows": 1}],
        "test": [{"dataset": "owner/name", "rows": 1}],
    }


def test_what_datasets_cannot_load_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, cache_dir: str) -> None:
        raise ValueError("Config name is missing.\nMore.")

    monkeypatch.setattr(hub, "_ask", lambda name: None)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(
        DataError,
        match=r"The Hugging Face dataset 'owner/name' cannot be read: Config name is missing\.\. Without the hub",
    ):
        source.read(Data(files="owner/name"))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            "RepositoryNotFoundError",
            r"There is no file or folder 'owner/name' here, and no Hugging Face dataset of that name",
        ),
        (
            "GatedRepoError",
            r"The dataset 'owner/name' is gated: accept its terms on its page and log in with `hf auth login`\.",
        ),
    ],
)
def test_a_name_that_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, status: str, message: str) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    def refuse(self: Any, name: str, timeout: float) -> None:
        raise_as: type[Exception] = getattr(errors, status)
        raise raise_as.__new__(raise_as)

    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", refuse)
    with pytest.raises(DataError, match=message):
        source.read(Data(files="owner/name"))


def test_demo_data_are_fetched_and_their_notes_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(table(tmp_path / "a.csv", "x"))
    monkeypatch.setattr(demo, "fetch", lambda name: file)
    monkeypatch.setattr(demo, "notes", lambda name: [f"{name}: some left out"])
    read = source.read(Data(files="demo/reviews-en"))
    assert texts(read) == {"all": ["x"]}
    assert read.notes == ["demo/reviews-en: some left out"]


def test_an_encoding_is_noted_and_one_given_is_used(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("text,label\n这个酒店很好，服务也不错,1\n".encode("gb18030"))
    read = source.read(Data(files=str(file)))
    assert texts(read) == {"all": ["这个酒店很好，服务也不错"]}
    assert read.notes == [
        f"{file} is not UTF-8; it was read as gb18030. If texts look wrong, name data.encoding in the recipe."
    ]
    given = source.read(Data(files=str(file), encoding="gbk"))
    assert texts(given) == texts(read)
    assert given.notes == []


def test_progress_bars_stay_as_they_were(tmp_path: Path) -> None:
    datasets.enable_progress_bars()
    with hub.quiet():
        assert datasets.are_progress_bars_disabled()
    assert not datasets.are_progress_bars_disabled()


def test_a_hub_split_without_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    monkeypatch.setattr(hub, "_ask", lambda name: None)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name, cache_dir: datasets.DatasetDict({"train": rows, "test": rows.select([])})
    )
    with pytest.raises(DataError, match=r"^owner/name: the test split holds no rows\.$"):
        source.read(Data(files="owner/name"))
