from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from adapter_networks import KINDS, NETWORKS, adapted, logits_of, plain, stirred, taps_of, tokens
from luthier.errors import ModelError
from luthier.methods import Context
from luthier.methods.adapter import Adapter
from luthier.models.anatomy import examine
from luthier.models.bottleneck import PEFT_TYPE, BottleneckConfig, BottleneckLayer, InputTap


def test_a_fresh_process_loads_it_once_the_type_is_known(tmp_path: Path) -> None:
    model = stirred(adapted("bert", kind="parallel"))
    plain("bert").save_pretrained(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    torch.save(logits_of(model, tokens()), tmp_path / "logits.pt")
    torch.save(tokens(), tmp_path / "batch.pt")
    program = f"""
import luthier.models.bottleneck
import torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification
base = AutoModelForSequenceClassification.from_pretrained({str(tmp_path / "base")!r})
model = PeftModel.from_pretrained(base, {str(tmp_path / "adapter")!r}).eval()
with torch.no_grad():
    logits = model(**torch.load({str(tmp_path / "batch.pt")!r})).logits
assert torch.allclose(logits, torch.load({str(tmp_path / "logits.pt")!r}), atol=1e-6), logits
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def slow(layer: BottleneckLayer, rows: Tensor, scale: float) -> Tensor:
    """What a bottleneck adds, by its formula."""
    down, up = layer.bottleneck_down["default"], layer.bottleneck_up["default"]
    narrow = rows @ down.weight.T + down.bias
    return scale * (nn.functional.gelu(narrow) @ up.weight.T + up.bias)


def test_houlsby_computes_what_hooks_behind_the_layers_do() -> None:
    model, reference = stirred(adapted("bert")), plain("bert")
    for name in NETWORKS["bert"].places("houlsby"):
        layer = model.get_base_model().get_submodule(name)
        reference.get_submodule(name).register_forward_hook(
            lambda module, read, written, layer=layer: written + slow(layer, written, 1)
        )
    assert torch.allclose(logits_of(model, tokens()), logits_of(reference, tokens()), atol=1e-6)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize(("settings", "scale"), [({}, 4.0), ({"scale": 0.5}, 0.5)])
def test_parallel_computes_what_hooks_beside_the_feedforward_do(
    family: str, settings: dict[str, float], scale: float
) -> None:
    model, reference = stirred(adapted(family, kind="parallel", **settings)), plain(family)
    for first, last in NETWORKS[family].feedforwards:
        for block in range(NETWORKS[family].blocks):
            layer = model.get_base_model().get_submodule(last.format(block))
            seen: list[Tensor] = []
            reference.get_submodule(first.format(block)).register_forward_pre_hook(
                lambda module, read, seen=seen: seen.append(read[0])
            )
            reference.get_submodule(last.format(block)).register_forward_hook(
                lambda module, read, written, layer=layer, seen=seen: written + slow(layer, seen.pop(), scale)
            )
    assert torch.allclose(logits_of(model, tokens()), logits_of(reference, tokens()), atol=1e-5)


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_blocks_give_the_same_gradients(kind: str, reentrant: bool) -> None:
    def gradients(recompute: bool) -> dict[str, Tensor]:
        model = stirred(adapted("llama", kind=kind)).train()
        if recompute:
            model.get_base_model().activation_checkpointing_enable({"use_reentrant": reentrant})
            model.get_base_model().enable_input_require_grads()
        model(**tokens(), use_cache=False).logits.square().sum().backward()
        assert not any(tap.kept for tap in taps_of(model))
        return {name: one.grad for name, one in model.named_parameters() if one.requires_grad}

    plainly, recomputed = gradients(False), gradients(True)
    assert plainly.keys() == recomputed.keys()
    assert all(torch.allclose(recomputed[name], one, atol=1e-6) for name, one in plainly.items())


def test_threads_do_not_mix_their_inputs() -> None:
    """Both are inside the same feed-forward at the same time."""
    model = stirred(adapted("bert", kind="parallel"))
    batches = [{"input_ids": torch.randint(3, 30, (1, length))} for length in (5, 5)]
    alone = [logits_of(model, batch) for batch in batches]
    meet = threading.Barrier(2, timeout=20)

    def wait(module: nn.Module, read: Any) -> None:
        meet.wait()

    for name in NETWORKS["bert"].places("parallel"):
        model.get_base_model().get_submodule(name).register_forward_pre_hook(wait)
    found: list[Tensor] = [torch.empty(0)] * 2

    def answer(index: int) -> None:
        found[index] = logits_of(model, batches[index])

    threads = [threading.Thread(target=answer, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, expected in zip(found, alone, strict=True):
        assert torch.allclose(one, expected, atol=1e-6)


def test_wrapped_layers_show_their_weights() -> None:
    model = adapted("t5", kind="parallel")
    for name in NETWORKS["t5"].places("parallel") | NETWORKS["t5"].inputs("parallel"):
        layer, below = model.get_base_model().get_submodule(name), plain("t5").get_submodule(name)
        assert torch.equal(layer.weight, below.weight)
        assert (layer.in_features, layer.out_features) == (below.in_features, below.out_features)


def test_a_network_in_half_precision_gets_adapters_in_single() -> None:
    model = plain("bert").to(torch.bfloat16)
    wrapped: Any = stirred(Adapter(kind="parallel", reduction=4).insert(model, examine(model), Context()))
    assert {one.dtype for name, one in wrapped.named_parameters() if "bottleneck_" in name} == {torch.float32}
    assert logits_of(wrapped, tokens()).dtype == torch.bfloat16


def test_the_file_holds_adapters_and_head_alone(tmp_path: Path) -> None:
    adapted("bert").save_pretrained(tmp_path, save_embedding_layers=False)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    places = NETWORKS["bert"].places("houlsby")
    expected = {
        f"base_model.model.{place}.bottleneck_{part}.{kind}"
        for place in places
        for part in ("down", "up")
        for kind in ("weight", "bias")
    }
    assert set(tensors) == expected | {f"base_model.model.classifier.{kind}" for kind in ("weight", "bias")}
    assert sum(one.numel() for one in tensors.values()) == len(places) * (32 * 8 + 8 + 8 * 32 + 32) + 2 * 32 + 2
    assert f'"peft_type": "{PEFT_TYPE}"' in (tmp_path / "adapter_config.json").read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_can_be_switched_off_and_taken_out(kind: str) -> None:
    model = stirred(adapted("bert", kind=kind))
    expected = logits_of(plain("bert"), tokens())
    with model.disable_adapter():
        assert torch.equal(logits_of(model, tokens()), expected)
    assert not any(tap.kept for tap in taps_of(model))
    taken_out = model.unload()
    assert torch.equal(logits_of(taken_out, tokens()), expected)
    assert not any(isinstance(one, BottleneckLayer | InputTap) for one in taken_out.modules())


def test_a_second_adapter_of_the_same_kind_is_added_and_another_kind_refused() -> None:
    model = stirred(adapted("bert", kind="pfeiffer"))
    before = logits_of(model, tokens())
    settings: dict[str, Any] = {"target_modules": sorted(NETWORKS["bert"].places("pfeiffer")), "reduction": 8}
    model.add_adapter("second", BottleneckConfig(**settings))
    assert torch.equal(logits_of(model, tokens()), before)
    model.set_adapter("second")
    assert torch.equal(logits_of(model, tokens()), logits_of(plain("bert"), tokens()))
    beside = dict(zip(settings["target_modules"], sorted(NETWORKS["bert"].inputs("parallel")), strict=True))
    with pytest.raises(ModelError) as refused:
        model.add_adapter("third", BottleneckConfig(**settings, inputs=beside))
    assert str(refused.value) == (
        "Bottleneck adapters of one network all stand behind its layers or all beside its feed-forwards; this one differs "
        "from those that are there. Load it into a network of its own."
    )
