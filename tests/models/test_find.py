from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

from luthier.errors import ModelError
from luthier.models.find import Base, find
from luthier.models.open import architecture, open_model, open_tokenizer

UNREACHABLE = (
    "The model 'somebody/some-model' is not a folder here, and the hub cannot be reached (ConnectionError: no route). Without a "
    "network give a local folder: copy one that `hf download` fetched elsewhere and write model: path/to/it. demo/minilm-en needs "
    "only the package index."
)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """`hub(error)`: the hub answers with this error, or knows every model."""

    def answers(error: Exception | None) -> None:
        def model_info(self: Any, name: str, **options: Any) -> Any:
            assert options["timeout"] <= 5
            if error is not None:
                raise error
            return SimpleNamespace(sha=f"commit of {options['revision']}")

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)

    return answers


@pytest.fixture
def cached(tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub as `hf download somebody/some-model` leaves it."""
    commit = "0123456789012345678901234567890123456789"
    repository = tmp_path / "hub" / "models--somebody--some-model"
    shutil.copytree(tiny("bert"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(repository.parent))
    return repository / "snapshots" / commit


def answer(kind: type[Any]) -> Any:
    """An error of the hub's client, which wants the response that it came with."""
    from huggingface_hub.utils import get_session

    session = get_session()
    request = session.build_request("GET", "https://localhost/api")
    response_type = pytest.importorskip(type(request).__module__.partition(".")[0]).Response
    return kind("no", response=response_type(404, request=request))


def test_a_folder(tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny("bert")
    assert find(str(folder)).location == str(folder)
    monkeypatch.chdir(folder.parent)
    assert find("bert").location == str(folder)
    assert find("./bert").arguments == {"trust_remote_code": False, "local_files_only": True}


def test_code_that_comes_with_a_folder_runs_where_the_recipe_trusts_it(tiny: Callable[[str], Path]) -> None:
    assert find(str(tiny("bert")), trust_remote_code=True).arguments["trust_remote_code"]


def test_an_earlier_run(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(tiny("bert"), tmp_path / "run" / "model")
    (tmp_path / "run" / "recipe.yaml").write_text("")
    assert find(str(tmp_path / "run")).location == str(tmp_path / "run" / "model")


def test_a_run_that_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    with pytest.raises(ModelError) as refused:
        find(str(tmp_path))
    assert str(refused.value) == (
        f"The run in {tmp_path} is not finished and has no model yet: `luthier train {tmp_path}/recipe.yaml` goes on."
    )


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        find(str(tmp_path))
    assert str(refused.value) == (
        f"The folder {tmp_path} holds no model: expected config.json and model.safetensors in it."
    )


@pytest.mark.parametrize("written", ["{parent}/tiny-bret", "./tiny-bret", "../here/tiny-bret"])
def test_a_folder_that_is_not_there_suggests_the_nearest(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "tiny-bert").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    name = written.format(parent=tmp_path / "here")
    near = str(Path(name).parent / "tiny-bert")
    with pytest.raises(ModelError) as refused:
        find(name)
    assert str(refused.value) == f"There is no model folder {name!r}. Did you mean {near!r}?"


def test_a_demo_that_does_not_exist() -> None:
    with pytest.raises(ModelError) as refused:
        find("demo/minilm")
    assert str(refused.value) == "There is no model folder 'demo/minilm'. Did you mean 'demo/minilm-en'?"


def test_a_name_that_the_hub_cannot_have() -> None:
    with pytest.raises(ModelError) as refused:
        find("my model!")
    assert str(refused.value) == ("There is no model folder 'my model!', and the hub cannot have a model of that name.")


def test_no_network_says_how_to_go_on(hub: Callable[..., None]) -> None:
    hub(ConnectionError("no route"))
    with pytest.raises(ModelError) as refused:
        find("somebody/some-model")
    assert str(refused.value) == UNREACHABLE


def test_no_network_is_said_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    # an address that answers nobody: what a firewall looks like
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://192.0.2.1")
    monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://192.0.2.1")
    started = time.perf_counter()
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        find("somebody/some-model")
    assert time.perf_counter() - started < 8


def test_a_model_in_the_cache_is_used_without_network(hub: Callable[..., None], cached: Path) -> None:
    hub(ConnectionError("no route"))
    base = find("somebody/some-model")
    assert base.name == "somebody/some-model"
    assert base.location == str(cached)
    assert base.revision == cached.name
    assert architecture(base).model_type == "bert"
    assert len(open_tokenizer(base)) > 10
    assert open_model(base, {"num_labels": 3}, 0).new == ("classifier.bias", "classifier.weight")


def test_with_a_network_the_hub_is_asked_for_files(hub: Callable[..., None]) -> None:
    hub(None)
    base = find("somebody/some-model", revision="v2")
    assert base.location == base.name == "somebody/some-model"
    assert base.arguments == {"revision": "commit of v2", "trust_remote_code": False, "local_files_only": False}
    assert find("somebody/some-model").revision == "commit of None"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            RepositoryNotFoundError,
            "There is no model 'somebody/some-model' on the hub, or it is private (`hf auth login`), and no folder of that name here.",
        ),
        (
            GatedRepoError,
            "The model 'somebody/some-model' is gated: accept its terms on its page and log in with `hf auth login`.",
        ),
        (RevisionNotFoundError, "The model 'somebody/some-model' has no revision 'v2' on the hub."),
    ],
)
def test_what_the_hub_refuses(error: type[Exception], text: str, hub: Callable[..., None]) -> None:
    hub(answer(error))
    with pytest.raises(ModelError) as refused:
        find("somebody/some-model", revision="v2")
    assert str(refused.value) == text


def test_an_adapter_is_found_by_its_own_configuration(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/nowhere/base"}))
    base = find(str(tmp_path))
    with pytest.raises(ModelError) as refused:
        architecture(base)
    assert str(refused.value) == (
        f"{tmp_path} is an adapter of '/nowhere/base', which is needed to use it. There is no model folder '/nowhere/base'."
    )


def test_weights_without_safetensors_have_no_hash(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as refused:
        _ = Base("mine", str(tmp_path)).sha256
    assert str(refused.value) == "The model 'mine' has no safetensors files, so nothing tells its weights from others."
