"""Two towers as one network: nothing of them is lost, closed gates change nothing, and it is opened again by its folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import captioned
import perceiving
import tiny_models
from luthier.errors import ModelError
from luthier.methods.select import Top
from luthier.models.anatomy import examine
from luthier.models.cross_attention import GatedCrossAttention
from luthier.models.find import find
from luthier.models.fused import FusedForAlignment, FusedForClassification
from luthier.models.open import open_model
from luthier.networks.towers import Towers

CONFIG = {"num_labels": 2, "id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    place = tmp_path_factory.mktemp("towers")
    return captioned.towers("gated", place)


def opened(folders: dict[str, str], fusion: str) -> Any:
    base = find(Towers(**{**folders, "fusion": fusion}))  # type: ignore[arg-type]
    return open_model(base, CONFIG, 0, "image+text")


def rows() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.tensor([[2, 5, 6, 7, 3], [2, 9, 3, 0, 0]])
    pixels = torch.randn(2, 3, captioned.SIDE, captioned.SIDE, generator=generator)
    return {"pixel_values": pixels, "input_ids": ids, "attention_mask": (ids != 0).long()}


@pytest.mark.parametrize("fusion", captioned.FUSIONS)
def test_towers_keep_their_weights(folders: dict[str, str], fusion: str) -> None:
    found = opened(folders, fusion)
    for tower, folder in (("image", folders["image"]), ("text", folders["text"])):
        alone = AutoModel.from_pretrained(folder)
        own = dict(found.model.get_submodule(f"towers.{tower}").named_parameters())
        assert own, "a tower has weights"
        for name, value in own.items():
            assert torch.equal(value, alone.get_parameter(name)), f"{tower}.{name}"
    assert all(not name.startswith("towers.") for name in found.new)
    assert found.new, "what joins them is new"


def test_an_untrained_gated_network_is_the_text_tower_alone(folders: dict[str, str]) -> None:
    model = opened(folders, "gated").model.eval()
    batch = rows()
    reader = AutoModel.from_pretrained(folders["text"], add_pooling_layer=False).eval()
    with torch.no_grad():
        hidden = reader(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
        means = torch.stack(
            [one[: int(mask.sum())].mean(0) for one, mask in zip(hidden, batch["attention_mask"], strict=True)]
        )
        expected = model.classifier(means)
        assert torch.allclose(model(**batch).logits, expected, atol=1e-6)
        other = batch | {"pixel_values": batch["pixel_values"] + 1}
        assert torch.equal(model(**other).logits, model(**batch).logits)
        for name, gate in model.named_parameters():
            if name.endswith("gate"):
                gate.fill_(0.5)
        assert not torch.allclose(model(**other).logits, model(**batch).logits, atol=1e-4)


def test_gates_open_by_the_gradient_although_they_are_closed() -> None:
    torch.manual_seed(0)
    layer = GatedCrossAttention(8, 6)
    layer(torch.randn(2, 1, 8), torch.randn(2, 4, 6)).square().sum().backward()
    assert layer.gate.grad is not None
    assert layer.gate.grad.abs() > 0
    assert layer.feed_forward_gate.grad is not None
    assert layer.feed_forward_gate.grad.abs() > 0


def test_concatenation_reads_both(folders: dict[str, str]) -> None:
    model = opened(folders, "concat").model.eval()
    batch = rows()
    with torch.no_grad():
        before = model(**batch).logits
        seen = model(**batch | {"pixel_values": batch["pixel_values"] + 1}).logits
        read = model(
            **batch | {"input_ids": batch["input_ids"].flip(0), "attention_mask": batch["attention_mask"].flip(0)}
        ).logits
    assert not torch.allclose(before, seen, atol=1e-5)
    assert not torch.allclose(before, read, atol=1e-5)


def test_padding_changes_nothing(folders: dict[str, str]) -> None:
    model = opened(folders, "concat").model.eval()
    batch = rows()
    alone = {name: value[1:] for name, value in batch.items()}
    alone = alone | {name: alone[name][:, :3] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        assert torch.allclose(model(**batch).logits[1:], model(**alone).logits, atol=1e-6)


def test_convolutions_are_towers_too(folders: dict[str, str], tmp_path: Path) -> None:
    image = perceiving.network("resnet", tmp_path / "resnet")
    found = open_model(find(Towers(image=str(image), text=folders["text"], fusion="gated")), CONFIG, 0, "image+text")
    batch = rows() | {"pixel_values": torch.randn(2, 3, perceiving.SIDE, perceiving.SIDE)}
    assert found.model(**batch).logits.shape == (2, 2)


def test_alignment_begins_with_the_temperature_of_clip(folders: dict[str, str]) -> None:
    model = open_model(find(Towers(**folders)), {}, 0, "aligned towers").model.eval()  # type: ignore[arg-type]
    with torch.no_grad():
        vectors = model(**rows()).logits
    assert torch.allclose(vectors.norm(dim=-1), torch.tensor([1 / 0.07] * 2 + [1.0] * 2), rtol=1e-3)


def test_saved_networks_are_known_after_import_luthier(folders: dict[str, str], tmp_path: Path) -> None:
    model = opened(folders, "gated").model.eval()
    model.save_pretrained(tmp_path / "saved")
    with torch.no_grad():
        torch.save(model(**rows()).logits, tmp_path / "logits.pt")
        torch.save(rows(), tmp_path / "rows.pt")
    lines = (
        "import luthier, torch",
        "from transformers import AutoConfig",
        f"print(AutoConfig.from_pretrained({str(tmp_path / 'saved')!r}).fusion)",
        "from luthier.models.fused import FusedForClassification",
        f"model = FusedForClassification.from_pretrained({str(tmp_path / 'saved')!r}).eval()",
        f"batch, expected = (torch.load({str(tmp_path)!r} + name) for name in ('/rows.pt', '/logits.pt'))",
        "assert torch.equal(model(**batch).logits.detach(), expected)",
    )
    done = subprocess.run([sys.executable, "-c", "; ".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "gated"


def test_the_same_towers_make_the_same_folder(folders: dict[str, str]) -> None:
    one, other = (Towers(**folders) for _ in range(2))  # type: ignore[arg-type]
    assert find(one) == find(other)
    assert find(one).sha256 == find(other).sha256
    assert find(Towers(**{**folders, "fusion": "concat"})).location != find(one).location  # type: ignore[arg-type]


def test_towers_that_read_something_else_are_refused(folders: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match="bert, has no head for this task in transformers; it must be one that reads images"
    ):
        find(Towers(image=folders["text"], text=folders["text"]))
    with pytest.raises(
        ModelError, match="vit, has no head for this task in transformers; it must be one that reads text"
    ):
        find(Towers(image=folders["image"], text=folders["image"]))
    both = tiny_models.make("t5", tmp_path / "t5")
    with pytest.raises(
        ModelError, match="cannot be the tower for text: expected an encoder or a decoder, and it is both"
    ):
        find(Towers(image=folders["image"], text=str(both)))


def test_the_folder_holds_what_makes_the_input(folders: dict[str, str]) -> None:
    base = find(Towers(**folders))  # type: ignore[arg-type]
    own = AutoTokenizer.from_pretrained(folders["text"])("the film is good")["input_ids"]
    assert AutoTokenizer.from_pretrained(base.location)("the film is good")["input_ids"] == own
    assert FusedForAlignment.base_model_prefix == FusedForClassification.base_model_prefix == "towers"


def test_the_last_blocks_of_both_towers_train(folders: dict[str, str], tmp_path: Path) -> None:
    model = opened(folders, "gated").model
    chosen = Top(blocks=1).chosen(model, examine(model))
    assert {name.rpartition(".")[0].split(".attention")[0] for name in chosen} >= {"towers.text.encoder.layer.2"}
    towers = {name.split(".")[1] for name in chosen}
    assert towers == {"image", "text"}
    assert not [name for name in chosen if "layer.0." in name or "layers.0." in name or "embeddings" in name]
    clip = AutoModel.from_pretrained(captioned.network("clip", tmp_path / "clip"))
    last = Top(blocks=1).chosen(clip, examine(clip))
    assert {name.split(".")[0] for name in last} == {
        "text_model",
        "vision_model",
        "visual_projection",
        "text_projection",
    }
    assert not [name for name in last if "layers.0." in name or "embedding" in name]
