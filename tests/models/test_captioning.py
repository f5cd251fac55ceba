"""A language model that looks at an image: what it computes, what it learns, how it writes, and which networks it is made of."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor
from transformers import AutoModelForCausalLM
from transformers.cache_utils import DynamicCache

import describing
import perceiving
import tiny_models
from luthier.errors import ModelError
from luthier.models.captioning import Captioner
from luthier.models.cross_attention import GatedCrossAttention
from luthier.models.find import find
from luthier.models.open import open_model
from luthier.networks.captioner import Captioner as Described
from luthier.objectives.next_token import NextToken

FAMILIES = ("llama", "gpt2", "qwen3")
IDS = torch.tensor([[1, 5, 6, 7, 8], [1, 9, 10, 11, 2]])


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("captioners")


def opened(shelf: Path, family: str = "llama", every: int = 1) -> Any:
    said: Any = describing.networks(shelf / family, family, every)
    found = open_model(find(Described(**said)), {}, 0, "captioner").model
    return found.eval()


def open_gates(model: Any, width: float = 0.8) -> Any:
    with torch.no_grad():
        for name, one in model.named_parameters():
            if name.endswith("gate"):
                one.fill_(width)
    return model


def pixels(rows: int = 2) -> Tensor:
    return torch.randn(rows, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def logits(model: Any, seen: Tensor, ids: Tensor) -> Tensor:
    found: Tensor = model(pixel_values=seen, decoder_input_ids=ids).logits
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_it_begins_as_the_language_model_alone(shelf: Path, family: str) -> None:
    model = opened(shelf, family)
    plain = AutoModelForCausalLM.from_pretrained(shelf / family / family).eval()
    with torch.no_grad():
        assert torch.equal(logits(model, pixels(), IDS), plain(IDS).logits)
    open_gates(model)
    assert not torch.allclose(logits(model, pixels(), IDS), logits(model, pixels() + 1, IDS), atol=1e-3)


def test_words_that_are_read_and_written_by_one_table_stay_so(shelf: Path, tmp_path: Path) -> None:
    model = opened(shelf, "gpt2")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    again = Captioner.from_pretrained(tmp_path)
    assert again.get_output_embeddings().weight is again.get_input_embeddings().weight
    assert torch.equal(logits(again.eval(), pixels(), IDS), logits(model, pixels(), IDS))


def test_closed_gates_open_by_the_gradient_and_the_loss_falls(shelf: Path) -> None:
    model = opened(shelf)
    model.requires_grad_(False)
    model.looks.requires_grad_(True)
    batch = {"pixel_values": pixels(), "labels": IDS, "target_tokens": torch.nn.functional.pad(IDS, (1, 0), value=-100)}
    optimizer, losses = torch.optim.AdamW(model.looks.parameters(), 1e-2), []
    for step in range(20):
        optimizer.zero_grad()
        loss, count = NextToken()(model, batch)
        (loss / count).backward()
        gates = [one.grad for name, one in model.looks.named_parameters() if name.endswith("gate")]
        assert step or (len(gates) == 6 and all(one is not None and one.abs() > 0 for one in gates))
        optimizer.step()
        losses.append(loss.item() / count.item())
    assert losses[-1] < losses[0] - 0.5
    assert all(one.grad is None for one in model.towers.parameters())


def test_the_loss_is_that_of_a_plain_language_model_on_the_caption(shelf: Path) -> None:
    model = opened(shelf)
    plain = AutoModelForCausalLM.from_pretrained(shelf / "llama" / "llama").eval()
    labels = IDS.clone()
    labels[1, 3:] = -100
    batch = {
        "pixel_values": pixels(),
        "labels": labels,
        "target_tokens": torch.nn.functional.pad(labels, (1, 0), value=-100),
    }
    start = torch.full((2, 1), model.config.decoder_start_token_id)
    with torch.no_grad():
        loss, count = NextToken()(model, batch)
        read = torch.cat([start, labels.clamp(min=0)], dim=1)
        expected = plain(input_ids=read, labels=torch.cat([torch.full_like(start, -100), labels], dim=1)).loss
    assert float(count) == 8
    assert float(loss / count) == pytest.approx(float(expected), abs=1e-6)


def test_later_tokens_padding_and_other_rows_change_nothing(shelf: Path) -> None:
    model = open_gates(opened(shelf))
    whole, other = logits(model, pixels(), IDS), IDS.clone()
    other[:, 3:] = 4
    assert torch.equal(logits(model, pixels(), other)[:, :3], whole[:, :3])
    assert torch.allclose(logits(model, pixels()[:1], IDS[:1, :3]), whole[:1, :3], atol=1e-5)
    swapped = torch.cat([pixels()[:1], pixels()[1:] + 1])
    assert torch.allclose(logits(model, swapped, IDS)[0], whole[0], atol=1e-6)
    assert not torch.allclose(logits(model, swapped, IDS)[1], whole[1], atol=1e-3)


def step_by_step(model: Any, seen: Tensor, tokens: int) -> Tensor:
    """The likeliest next token, each time by a call of the whole network without a cache."""
    ids = torch.full((len(seen), 1), model.config.decoder_start_token_id)
    for _ in range(tokens):
        ids = torch.cat([ids, logits(model, seen, ids)[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    return ids


@pytest.mark.parametrize("family", FAMILIES)
def test_it_writes_what_calls_without_a_cache_write(shelf: Path, family: str) -> None:
    model = open_gates(opened(shelf, family))
    free = {"max_new_tokens": 8, "min_new_tokens": 8, "eos_token_id": 10_000, "do_sample": False}
    assert torch.equal(model.generate(pixel_values=pixels(3), **free), step_by_step(model, pixels(3), 8))
    beams = [model.generate(pixel_values=pixels(3), num_beams=3, use_cache=used, **free) for used in (True, False)]
    assert torch.equal(*beams)


def test_an_image_is_read_once_for_all_tokens(shelf: Path) -> None:
    model, calls = open_gates(opened(shelf)), {"image": 0, "remembered": 0}

    def count(name: str) -> Any:
        return lambda *_: calls.__setitem__(name, calls[name] + 1)

    handles = [model.towers.image.register_forward_hook(count("image"))]
    handles += [layer.key.register_forward_hook(count("remembered")) for layer in model.looks.layers]
    model.generate(pixel_values=pixels(), max_new_tokens=7, min_new_tokens=7, do_sample=False)
    assert calls == {"image": 1, "remembered": len(model.looks.layers)}
    for handle in handles:
        handle.remove()


def test_what_is_remembered_is_what_is_computed_anew() -> None:
    torch.manual_seed(0)
    layer = GatedCrossAttention(8, 6)
    torch.nn.init.ones_(layer.gate)
    read, seen = torch.randn(2, 3, 8), torch.randn(2, 4, 6)
    assert torch.equal(layer(read, seen), layer(read, seen, layer.remember(seen)))
    with torch.no_grad():
        reference = torch.nn.MultiheadAttention(8, layer.heads, kdim=6, vdim=6, batch_first=True)
        for name, one in (("q", layer.query), ("k", layer.key), ("v", layer.value)):
            getattr(reference, f"{name}_proj_weight").copy_(one.weight)
        reference.in_proj_bias.copy_(torch.cat([layer.query.bias, layer.key.bias, layer.value.bias]))
        reference.out_proj.load_state_dict(layer.output.state_dict())
        memory = layer.norm_seen(seen)
        found, _ = reference(layer.norm(read), memory, memory)
        assert torch.allclose(layer(read, seen), read + torch.tanh(layer.gate) * found, atol=1e-6)


@pytest.mark.parametrize(("every", "places"), [(1, [0, 1, 2]), (2, [0, 2]), (4, [2])])
def test_it_looks_before_the_last_block_and_each_so_many_below(shelf: Path, every: int, places: list[int]) -> None:
    model = opened(shelf, every=every)
    assert model.looked_at == [f"model.layers.{place}" for place in places]
    assert len(model.looks.layers) == len(places)


def test_a_saved_network_is_known_to_plain_transformers(shelf: Path, tmp_path: Path) -> None:
    model = open_gates(opened(shelf))
    model.save_pretrained(tmp_path / "saved")
    torch.save(pixels(), tmp_path / "pixels.pt")
    script = (
        "import sys, torch, luthier; from transformers import AutoModelForImageTextToText as Auto;"
        f"model = Auto.from_pretrained({str(tmp_path / 'saved')!r}).eval();"
        f"made = model.generate(pixel_values=torch.load({str(tmp_path / 'pixels.pt')!r}), max_new_tokens=5, do_sample=False);"
        f"torch.save(made, {str(tmp_path / 'made.pt')!r})"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    expected = model.generate(pixel_values=pixels(), max_new_tokens=5, do_sample=False)
    assert torch.equal(torch.load(tmp_path / "made.pt"), expected)


def mamba(folder: Path) -> Path:
    """A language model without attention, whose state goes from token to token in a cache of its own."""
    torch.manual_seed(0)
    tokenizer = tiny_models.word_tokenizer()
    config = tf.MambaConfig(
        hidden_size=32, num_hidden_layers=2, state_size=4, vocab_size=len(tokenizer), pad_token_id=0
    )
    tf.MambaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("image", "writer", "said"),
    [
        (
            "llama",
            "vit",
            "its architecture, llama, has no head for this task in transformers; it must be one that reads",
        ),
        ("vit", "bert", "task generate needs a decoder, which predicts the next word, and bert is none."),
        ("vit", "bart", "cannot be the writer: expected a language model that is a decoder alone, such as Llama, Qwen"),
        ("vit", "mamba", "cannot be the writer, as nothing can be put between its blocks: "),
        (
            "vit",
            "headless",
            "are not in the checkpoint, such as lm_head.weight, so it cannot write. Take a checkpoint of a",
        ),
    ],
)
def test_what_cannot_be_joined_is_refused(shelf: Path, image: str, writer: str, said: str) -> None:
    makers: dict[str, Any] = {
        "vit": lambda folder: perceiving.network("vit", folder),
        "llama": lambda folder: tiny_models.make_speaking("llama", folder),
        "headless": lambda folder: tiny_models.make("llama", folder),
        "bert": lambda folder: tiny_models.make("bert", folder),
        "bart": lambda folder: tiny_models.make_answering("bart", folder),
        "mamba": mamba,
    }
    places = {name: makers[name](shelf / "refused" / name) for name in (image, writer)}
    with pytest.raises(ModelError, match=r".") as refused:
        find(Described(image=str(places[image]), writer=str(places[writer])))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_cache_of_the_language_model_alone_is_enough(shelf: Path) -> None:
    model = open_gates(opened(shelf))
    cache = DynamicCache(config=model.config.get_text_config())
    with torch.no_grad():
        parts = [
            model(pixel_values=pixels(), decoder_input_ids=one, past_key_values=cache, use_cache=True).logits
            for one in IDS.split(1, dim=1)
        ]
    assert torch.allclose(torch.cat(parts, dim=1), logits(model, pixels(), IDS), atol=1e-5)
