"""Networks that a factory makes: as models of transformers they compute what they compute by themselves."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, pipeline

import own_networks
from luthier.errors import LuthierError, ModelError, RecipeError
from luthier.models.anatomy import examine
from luthier.models.code import maker
from luthier.models.find import Base, find
from luthier.models.open import architecture, open_model
from luthier.networks import NETWORKS, Named, Network
from luthier.networks.factory import Factory
from luthier.recipe.reading import read

LABELS: Mapping[str, Any] = {
    "num_labels": 3,
    "id2label": {0: "a", 1: "b", 2: "c"},
    "label2id": {"a": 0, "b": 1, "c": 2},
}
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def beside(tmp_path: Path) -> Path:
    return own_networks.beside(tmp_path / "recipes")


def module(beside: Path) -> Any:
    """The user's own module, imported in the plain way."""
    spec = importlib.util.spec_from_file_location("theirs", beside / "images.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def network(beside: Path, factory: str = "images:cnn", **keys: Any) -> Network:
    built: Network = Named(NETWORKS).build(own_networks.described(beside, factory, **keys))
    return built


def opened(beside: Path, factory: str = "images:cnn", **keys: Any) -> Any:
    return open_model(find(network(beside, factory, **keys)), LABELS, None, "image")


@pytest.mark.parametrize("factory", ["cnn", "certain", "convolutional"])
def test_it_answers_as_the_factorys_own_network(beside: Path, factory: str) -> None:
    model = opened(beside, f"images:{factory}").model.eval()
    plain = getattr(module(beside), factory)(3).eval()
    inner = {name.removeprefix("body.network."): one for name, one in model.state_dict().items()}
    plain.load_state_dict(
        {("fc." + name.removeprefix("head.") if name.startswith("head.") else name): one for name, one in inner.items()}
    )
    with torch.no_grad():
        assert torch.equal(model(pixel_values=IMAGES).logits, plain(IMAGES))


def test_tensors_that_are_not_saved_keep_their_values(beside: Path, tmp_path: Path) -> None:
    model = opened(beside).model
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "saved")
    for one in (model, again):
        assert one.body.network.scale.item() == 2.0
        assert one.body.network.shift.item() == 0.5
    with torch.no_grad():
        assert torch.equal(again.eval()(IMAGES).logits, model.eval()(IMAGES).logits)


def test_a_factory_that_knows_no_labels_gets_a_new_head(beside: Path) -> None:
    model = opened(beside, "images:ten_classes").model
    assert model(IMAGES).logits.shape == (4, 3)
    assert (model.head.in_features, model.head.out_features) == (8, 3)


def test_the_head_is_drawn_and_nothing_else(beside: Path) -> None:
    torch.manual_seed(1)
    first = opened(beside)
    torch.manual_seed(2)
    second = opened(beside)
    assert first.new == ("head.bias", "head.weight")
    assert first.notes == ()
    drawn = {
        name for name, one in first.model.state_dict().items() if not torch.equal(one, second.model.state_dict()[name])
    }
    assert drawn == {"head.weight", "head.bias"}
    assert first.model.head.weight.abs().max() <= 8**-0.5  # as nn.Linear draws it


def test_anatomy(beside: Path) -> None:
    found = examine(opened(beside).model, ("head.weight", "head.bias"))
    assert found.head == ("head",)
    assert found.base == "body"
    assert found.blocks == ("body.network.blocks.0", "body.network.blocks.1")
    inside = examine(opened(beside, "images:convolutional").model)
    assert inside.head == ("body.network.2",)


def test_pretrained_weights(beside: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    plain = module(beside).Cnn(7)
    save_file(plain.state_dict(), tmp_path / "w.safetensors")
    model = opened(beside, weights=str(tmp_path / "w.safetensors")).model
    own = {
        name.removeprefix("body.network."): one
        for name, one in model.state_dict().items()
        if not name.startswith("head.")
    }
    assert own.keys() == plain.state_dict().keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(one, plain.state_dict()[name]) for name, one in own.items())


def test_the_same_network_is_made_once_and_other_code_is_another(beside: Path) -> None:
    first = find(network(beside))
    assert find(network(beside)) == first
    assert find(network(beside, settings={"width": 4})).location != first.location
    text = (beside / "images.py").read_text(encoding="utf-8")
    (beside / "images.py").write_text(text.replace("functional.relu", "functional.gelu"), encoding="utf-8")
    other = find(network(beside))
    assert other.location != first.location
    assert other.sha256 != first.sha256  # the weights are the same, and they belong to another network
    (beside / "images.py").write_text(text, encoding="utf-8")
    shutil.rmtree(first.location)
    assert find(network(beside)).sha256 == Base("first", first.location).sha256 == first.sha256


def test_a_folder_of_it_computes_the_same_when_the_file_has_changed(beside: Path, tmp_path: Path) -> None:
    model = opened(beside).model.eval()
    model.save_pretrained(tmp_path / "saved")
    (beside / "images.py").write_text("raise SystemExit", encoding="utf-8")
    again = AutoModelForImageClassification.from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        assert torch.equal(again(IMAGES).logits, model(IMAGES).logits)


def test_plain_transformers_in_another_program(beside: Path, tmp_path: Path) -> None:
    model = opened(beside).model
    model.save_pretrained(tmp_path / "saved")
    AutoImageProcessor.from_pretrained(find(network(beside)).location).save_pretrained(tmp_path / "saved")
    lines = f"""
import luthier, transformers
answer = transformers.pipeline("image-classification", model={str(tmp_path / "saved")!r})
import PIL.Image
print(sorted(one["label"] for one in answer(PIL.Image.new("RGB", (20, 30)))))
"""
    run = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "['a', 'b', 'c']", run.stderr


def test_code_of_a_stranger_is_not_run(beside: Path, tmp_path: Path, cache: Path) -> None:
    opened(beside).model.save_pretrained(tmp_path / "saved")
    code = json.loads((tmp_path / "saved" / "config.json").read_text())["code"]
    stranger = tmp_path / "stranger"
    shutil.move(tmp_path / "saved", stranger)
    config = json.loads((stranger / "config.json").read_text())
    (stranger / "images.py").write_text("raise SystemExit('run')", encoding="utf-8")
    from luthier.folder import sha256

    other = sha256(stranger / "images.py")
    (stranger / "config.json").write_text(json.dumps(config | {"code": other}))
    with pytest.raises(ModelError) as refused:
        open_model(Base("stranger", str(stranger)), LABELS, None, "image")
    assert str(refused.value) == (
        f"The network is made by images.py with the SHA-256 {other}, which no recipe on this machine has named, so it is not run. A copy "
        f"lies beside the weights: read it, and where you trust it, copy it to {cache / 'code' / other / 'images.py'}."
    )
    assert code != other


def test_a_folder_calls_nothing_but_what_says_that_it_makes_networks(beside: Path, tmp_path: Path) -> None:
    opened(beside).model.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    config |= {"factory": "subprocess:run", "code": "", "settings": {"args": ["touch", str(tmp_path / "touched")]}}
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecipeError) as refused:
        AutoModelForImageClassification.from_pretrained(tmp_path / "saved")
    assert str(refused.value) == (
        "model: subprocess:run is in an installed package and does not say that it makes a network, so it is not called: expected a class "
        "derived from torch.nn.Module, or a function that is annotated with `-> torch.nn.Module`. Or write such a function into a file "
        "beside the recipe."
    )
    assert not (tmp_path / "touched").exists()


def test_code_in_the_current_folder_is_not_run_for_a_folder_that_names_it(beside: Path, tmp_path: Path) -> None:
    """Python would import it: where a program is started, modules are found."""
    opened(beside).model.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config | {"code": ""}))
    touched = tmp_path / "touched"
    (tmp_path / "saved" / "images.py").write_text(f"open({str(touched)!r}, 'w')", encoding="utf-8")
    lines = "import luthier, transformers; transformers.AutoModelForImageClassification.from_pretrained('.')"
    run = subprocess.run(
        [sys.executable, "-c", lines], cwd=tmp_path / "saved", capture_output=True, text=True, check=False
    )
    assert not touched.exists()
    assert "model: no package with the module 'images' is installed, and a network is made by it." in run.stderr


def test_installed_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert maker("torch.nn:Linear", "") is nn.Linear
    for name in (".x:net", "..x:net", "nothing_of_that_name:net"):
        with pytest.raises(RecipeError, match="no package with the module"):
            maker(name, "")
    (tmp_path / "theirs_unsaid.py").write_text(
        "from __future__ import annotations\ndef net(width: int) -> NowhereImported:\n    return 3\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        RecipeError, match="theirs_unsaid:net is in an installed package and does not say that it makes"
    ):
        maker("theirs_unsaid:net", "")


@pytest.mark.parametrize(
    "name", ["..images:cnn", "../images:cnn", "images", "images:cnn:x", "a..b:c", "images.py:", ""]
)
def test_names_that_are_none_of_functions(name: str) -> None:
    said = "model.factory: expected the name of a function in a module, such as my_networks:small_cnn; got"
    with pytest.raises(RecipeError, match=said):
        read({"model": {"factory": name, "image_size": 8}, "data": {"files": "rows.csv"}})


REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "no module": (
        {"factory": "image:cnn"},
        "model: there is no module 'image' for the factory 'image:cnn': image.py is neither in {beside} nor the current folder, nor is "
        "such a package installed.",
    ),
    "no function": ({"factory": "images:cn"}, "model: images has no function or class 'cn'; did you mean 'cnn'?"),
    "no network": (
        {"factory": "images:number"},
        "model: images:number returns int, and a torch.nn.Module is expected.",
    ),
    "unknown setting": (
        {"settings": {"widht": 3}},
        "model: images:cnn cannot be called with the settings widht, num_labels: got an unexpected keyword argument 'widht'. Its signature "
        "is (num_labels, width=8).",
    ),
    "missing setting": (
        {"factory": "images:failing"},
        "model: images:failing cannot be called with the settings none: missing a required argument: 'depth'. Its signature is (depth).",
    ),
    "failing factory": (
        {"factory": "images:failing", "settings": {"depth": 3}},
        "model: images:failing fails: ValueError: depth must be even",
    ),
    "shape": (
        {"factory": "images:every_pixel"},
        "model: images:every_pixel makes a network that answers 2 rows of the shape (3, 16, 16) with numbers of the shape (2, 2, 16, 16); "
        "expected (2, outputs).",
    ),
    "too small images": (
        {"image_size": 2},
        "model: images:cnn makes a network that fails on rows of the shape (3, 2, 2): RuntimeError: Calculated padded input size per "
        "channel: (2 x 2). Kernel size: (4 x 4). Kernel size can't be greater than actual input size",
    ),
    "no such head": ({"head": "last"}, "model: head: 'last' is no module of images:cnn."),
    "strange head": (
        {"factory": "images:ten_classes", "head": "blocks"},
        "model: its head is a ModuleList, which cannot be drawn anew for other labels. Let the factory take num_labels.",
    ),
    "wrong head": (
        {"factory": "images:ten_classes", "head": "stem"},
        "model: images:ten_classes makes a network that fails on rows of the shape (3, 16, 16): RuntimeError: Given groups=1, weight of "
        "size [8, 8, 3, 3], expected input[2, 2, 4, 4] to have 8 channels, but got 2 channels instead",
    ),
    "leaving factory": (
        {"factory": "images:leaving"},
        "model: images:leaving fails: SystemExit: 3",
    ),
    "no weights": ({"weights": "no.safetensors"}, "model: there is no file 'no.safetensors' with weights."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(beside: Path, case: str) -> None:
    keys, sentence = REFUSED[case]
    with pytest.raises(LuthierError) as refused:
        find(network(beside, **keys))
    assert str(refused.value) == sentence.replace("{beside}", str(beside))


def test_the_head_is_the_layer_that_is_computed_last_wherever_it_was_made(beside: Path) -> None:
    text = """
    from torch import nn

    class Turned(nn.Module):
        def __init__(self, num_labels):
            super().__init__()
            self.last, self.first, self.unused = nn.Linear(768, num_labels), nn.Linear(768, 768), nn.Linear(8, num_labels)

        def forward(self, images):
            return self.last(self.first(images.flatten(1)).relu())
    """
    own_networks.beside(beside, "turned", textwrap.dedent(text))
    config = AutoConfig.from_pretrained(find(network(beside, "turned:Turned")).location)
    assert (config.head, config.apart) == ("last", True)


def test_a_network_without_layers(beside: Path, tmp_path: Path) -> None:
    own_networks.beside(beside, "odd", "from torch import nn\ndef flat():\n    return nn.Flatten()\n")
    with pytest.raises(ModelError) as refused:
        find(network(beside, "odd:flat"))
    assert str(refused.value) == (
        "model: odd:flat makes a network without a linear or convolutional layer inside, so its head is not known: name the module that "
        "gives the outputs with head."
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import nothing_of_that_name",
            "ModuleNotFoundError: No module named 'nothing_of_that_name'. A network is one file: it imports what is installed, and no file "
            "beside it.",
        ),
        ("def net(:", "SyntaxError: invalid syntax (broken.py, line 1)."),
        ("raise SystemExit(3)", "SystemExit: 3."),
    ],
)
def test_a_file_that_cannot_be_imported(beside: Path, text: str, said: str) -> None:
    own_networks.beside(beside, "broken", text)
    with pytest.raises(RecipeError) as refused:
        find(network(beside, "broken:cnn"))
    assert str(refused.value) == f"model: broken.py cannot be imported: {said}"


def test_weights_of_another_network(beside: Path, tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file({"fc.weight": torch.zeros(3, 8)}, file)
    with pytest.raises(ModelError) as refused:
        find(network(beside, weights=str(file)))
    assert str(refused.value) == (
        f"model: the weights in {file} do not fit images:cnn: 16 of 16 are missing, unknown or of another shape, such as "
        "blocks.0.conv.bias."
    )
    file.write_bytes(b"pickled")
    with pytest.raises(
        ModelError, match=r"w.safetensors is no safetensors file \(.*\). Pickled weights are not loaded: convert them."
    ):
        find(network(beside, weights=str(file)))


def test_rows_that_it_does_not_read(beside: Path) -> None:
    with pytest.raises(ModelError) as refused:
        architecture(find(network(beside)), "audio")
    assert str(refused.value) == (
        "The model 'images:cnn' cannot be used here: its architecture, luthier-image-network, has no head for this task in transformers; "
        "it must be one that reads audio."
    )


def test_configurations_are_known_by_themselves(beside: Path) -> None:
    assert AutoConfig.from_pretrained(find(network(beside)).location).factory == "images:cnn"
    assert isinstance(network(beside), Factory)
    assert callable(pipeline)
