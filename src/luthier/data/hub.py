"""Data sets that `datasets` finds by itself: saved folders and names on the Hugging Face hub."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets

from luthier.cache import cache_folder
from luthier.errors import DataError

LOCALLY = (
    "Without the hub give a local file (data.files: reviews.csv), or a folder: where there is a network, run "
    "datasets.load_dataset({name!r}).save_to_disk('reviews'), copy it here and write data.files: reviews."
)


def is_saved(folder: Path) -> bool:
    """Whether `datasets.save_to_disk` wrote this folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def open_saved(folder: Path) -> dict[str, datasets.Dataset]:
    """The splits of a folder written by `save_to_disk`; a single data set is called `train`.

    Raises:
        DataError: the folder is incomplete or damaged.
    """
    with quiet():
        try:
            found = datasets.load_from_disk(str(folder))
        except (OSError, ValueError, KeyError) as wrong:
            raise DataError(
                f"{folder} was written by save_to_disk and cannot be read: {wrong}. Save it again."
            ) from wrong
        except IndexError as wrong:  # datasets 5.2 cannot open what has no shards
            raise DataError(f"{folder} cannot be read: a split in it holds no rows.") from wrong
    return {"train": found} if isinstance(found, datasets.Dataset) else dict(found)


def download(name: str) -> dict[str, datasets.Dataset]:
    """The splits of a data set on the hub, or of its copy in the cache.

    Raises:
        DataError: there is no such data set, the hub cannot be reached, or `datasets` cannot read it.
    """
    _ask(name)
    with quiet():
        try:
            found = datasets.load_dataset(name, cache_dir=str(cache_folder() / "hub"))
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as wrong:
            reason = str(wrong).strip().split("\n")[0]
            raise DataError(
                f"The Hugging Face dataset {name!r} cannot be read: {reason}. {LOCALLY.format(name=name)}"
            ) from wrong
    return dict(found)


def _ask(name: str) -> None:
    """Ask the hub once, so that no network means a sentence at once and not half a minute of retries."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    if (cache_folder() / "hub" / name.replace("/", "___").lower()).is_dir():
        return
    try:
        HfApi().dataset_info(name, timeout=5)
    except GatedRepoError:
        raise DataError(
            f"The dataset {name!r} is gated: accept its terms on its page and log in with `hf auth login`."
        ) from None
    except (RepositoryNotFoundError, HFValidationError):
        raise DataError(
            f"There is no file or folder {name!r} here, and no Hugging Face dataset of that name (or it is private: `hf auth login`)."
        ) from None
    except Exception as unreachable:  # the hub client's network errors have no common base
        raise DataError(
            f"There is no file or folder {name!r} here, and the Hugging Face hub cannot be reached to look for a dataset of that name "
            f"({type(unreachable).__name__}). {LOCALLY.format(name=name)}"
        ) from unreachable


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of `datasets` unless a person watches."""
    hide = not sys.stderr.isatty() and datasets.are_progress_bars_disabled() is False
    if hide:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            datasets.enable_progress_bars()
