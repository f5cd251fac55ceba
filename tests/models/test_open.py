from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, TaskType, get_peft_model
from safetensors.torch import load_file
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

import tiny_models
from luthier.errors import ModelError
from luthier.models.find import find
from luthier.models.open import architecture, open_model, open_tokenizer
from luthier.tasks.classify import Classes

LABELS = {"num_labels": 2, "id2label": {0: "bad", 1: "good"}, "label2id": {"bad": 0, "good": 1}}
BATCH = {"input_ids": torch.tensor([[2, 5, 6, 7, 3]])}


@pytest.fixture
def broken(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A copy of a tiny BERT to be spoilt."""
    return Path(shutil.copytree(tiny("bert"), tmp_path / "broken"))


def fine_tuned(tiny: Callable[[str], Path], folder: Path, labels: dict[str, Any], family: str = "bert") -> Any:
    """A saved classifier with a head that nobody would draw."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny(family), **labels).eval()
    with torch.no_grad():
        for name, one in model.named_parameters():
            if not name.startswith(f"{model.base_model_prefix}."):
                one.fill_(0.25)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny(family)).save_pretrained(folder)
    return model


def test_a_base_model_gets_the_head_that_plain_transformers_draws(tiny: Callable[[str], Path]) -> None:
    base = find(str(tiny("roberta")))
    torch.manual_seed(7)
    opened = open_model(base, LABELS, 1)
    torch.manual_seed(7)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny("roberta"), **LABELS)
    assert all(torch.equal(one, plain.state_dict()[name]) for name, one in opened.model.state_dict().items())
    assert set(opened.new) == {
        f"classifier.{name}" for name in ("dense.weight", "dense.bias", "out_proj.weight", "out_proj.bias")
    }
    assert opened.notes == ()


def test_weights_are_float32_whatever_the_file_holds(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny("bert"), dtype=torch.float16, **LABELS)
    model.save_pretrained(tmp_path)
    assert {one.dtype for one in open_model(find(str(tmp_path)), LABELS, 0).model.parameters()} == {torch.float32}


def test_a_head_for_the_same_labels_is_kept(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    model = fine_tuned(tiny, tmp_path, LABELS)
    opened = open_model(find(str(tmp_path)), LABELS, 0)
    assert opened.new == opened.notes == ()
    assert torch.equal(opened.model.eval()(**BATCH).logits, model(**BATCH).logits)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
@pytest.mark.parametrize(
    "names", [["no", "yes"], ["good", "bad"], ["a", "b", "c"]], ids=["other names", "other order", "other number"]
)
def test_a_head_for_other_labels_is_drawn_anew_and_said(
    family: str, names: list[str], tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    model = fine_tuned(tiny, tmp_path, Classes(tuple(names), False).model_config, family)
    opened = open_model(find(str(tmp_path)), LABELS, 0)
    head = {name for name, _ in opened.model.named_parameters() if not name.startswith(f"{model.base_model_prefix}.")}
    assert set(opened.new) == head
    assert opened.notes == (
        f"The head of {tmp_path} was trained for other labels ({', '.join(names)}); a new one is drawn for yours.",
    )
    # the base is that of the file; the head is drawn by the family's own rule: small normal weights, biases of zero
    for name, one in opened.model.named_parameters():
        if name not in head:
            assert torch.equal(one, model.state_dict()[name]), name
        elif name.endswith("bias"):
            assert not one.any()
        else:
            assert 0 < one.std() < 0.05
    assert opened.model.config.id2label == LABELS["id2label"]


def test_a_pooler_that_the_checkpoint_lacks_is_new(tiny: Callable[[str], Path]) -> None:
    opened = open_model(find(str(tiny("bert without pooler"))), LABELS, 0)
    assert {"bert.pooler.dense.weight", "bert.pooler.dense.bias"} < set(opened.new)


def test_an_adapter_is_folded_into_its_base(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    plain = AutoModelForSequenceClassification.from_pretrained(tiny("bert"), **LABELS)
    model = get_peft_model(plain, LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["query"], r=2)).eval()
    for name, one in model.named_parameters():
        if "lora_" in name or "modules_to_save" in name:
            torch.nn.init.normal_(one)
    model.save_pretrained(tmp_path)
    base = find(str(tmp_path))
    assert architecture(base).model_type == "bert"
    assert open_tokenizer(base).get_vocab() == AutoTokenizer.from_pretrained(tiny("bert")).get_vocab()
    opened = open_model(base, LABELS, 0)
    assert torch.allclose(opened.model.eval()(**BATCH).logits, model(**BATCH).logits, atol=1e-5)
    three = open_model(base, Classes(("a", "b", "c"), False).model_config, 0)
    assert three.model(**BATCH).logits.shape == (1, 3)


def test_a_tokenizer_without_padding_token_pads_with_its_end(tmp_path: Path) -> None:
    tiny_models.word_tokenizer(pad_token=None).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    tokenizer = open_tokenizer(find(str(tmp_path)))
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("[SEP]", 3)


@pytest.mark.parametrize("own", [None, 6])
def test_the_model_learns_which_token_pads(own: int | None, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    # a decoder reads its answer from the last token before the padding
    shutil.copytree(tiny("llama"), tmp_path, dirs_exist_ok=True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pad_token_id": own}))
    model = open_model(find(str(tmp_path)), LABELS, 3).model.eval()
    assert model.config.pad_token_id == 3
    padded = {"input_ids": torch.tensor([[2, 5, 6, 3, 3]]), "attention_mask": torch.tensor([[1, 1, 1, 0, 0]])}
    alone = {"input_ids": torch.tensor([[2, 5, 6]])}
    assert torch.allclose(model(**padded).logits, model(**alone).logits, atol=1e-6)


def test_the_token_that_positions_are_counted_from_stays(tiny: Callable[[str], Path]) -> None:
    counted = AutoConfig.from_pretrained(tiny("roberta")).pad_token_id
    assert open_model(find(str(tiny("roberta"))), LABELS, counted + 1).model.config.pad_token_id == counted


def test_padding_is_on_the_right(tmp_path: Path) -> None:
    tiny_models.word_tokenizer(padding_side="left").save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    assert open_tokenizer(find(str(tmp_path))).padding_side == "right"


def test_a_tokenizer_that_has_nothing_to_pad_with(tmp_path: Path) -> None:
    none = dict.fromkeys(("pad_token", "eos_token", "unk_token"))
    tiny_models.word_tokenizer(**none).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError) as refused:
        open_tokenizer(find(str(tmp_path)))
    assert str(refused.value) == (
        f"The tokenizer of {tmp_path} has no padding token, nor an end or unknown token to use instead. Add one with "
        "tokenizer.add_special_tokens({'pad_token': '[PAD]'}), save it, and use that folder as model."
    )


def test_a_model_without_tokenizer_files(broken: Path) -> None:
    # transformers makes a tokenizer out of nothing, for which every word is unknown
    for file in broken.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError) as refused:
        open_tokenizer(find(str(broken)))
    assert str(refused.value) == (
        f"The model {str(broken)!r} cannot be used here: it has no tokenizer: expected tokenizer.json or a vocabulary beside its weights."
    )


def refusal(folder: Path, check: Callable[..., Any]) -> str:
    with pytest.raises(ModelError) as refused:
        check(find(str(folder)))
    said = str(refused.value)
    assert "\n" not in said
    return said.removeprefix(f"The model {str(folder)!r} ")


def opens(base: Any) -> None:
    open_model(base, LABELS, 0)


def test_pickled_weights_only(broken: Path) -> None:
    torch.save(load_file(broken / "model.safetensors"), broken / "pytorch_model.bin")
    (broken / "model.safetensors").unlink()
    assert refusal(broken, opens) == (
        "cannot be used here: it has no model.safetensors (pickled weights are not loaded: convert them with save_pretrained)."
    )


def test_damaged_weights(broken: Path) -> None:
    whole = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[:2000])
    assert (
        refusal(broken, opens) == "cannot be used here: its model.safetensors is damaged or cut short; fetch it again."
    )


def test_weights_of_another_model(broken: Path) -> None:
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"hidden_size": 16}))
    said = refusal(broken, opens).replace(f"The weights of {str(broken)!r} ", "")
    assert said.startswith("do not fit its config.json: ")
    assert said.endswith(
        "parameters of its blocks and embeddings are missing or have another shape, such as bert.embeddings.LayerNorm.bias."
    )


def test_an_unknown_kind_of_model(broken: Path) -> None:
    (broken / "config.json").write_text('{"model_type": "frobnicate"}')
    assert refusal(broken, architecture).startswith(
        "cannot be used here: The checkpoint you are trying to load has model type `frobnicate` but Transformers does not recognize"
    )


def test_a_model_that_brings_its_own_code(broken: Path) -> None:
    own = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}
    (broken / "config.json").write_text(json.dumps(own))
    assert refusal(broken, architecture) == (
        "cannot be used here: it brings its own code. If you trust its source, write trust_remote_code: true."
    )


def test_an_architecture_without_a_classification_head(tmp_path: Path) -> None:
    transformers.ViTConfig(hidden_size=8).save_pretrained(tmp_path)
    assert refusal(tmp_path, architecture) == (
        "cannot be used here: its architecture, vit, has no head for this task in transformers; it must be "
        "one that reads text."
    )


def test_a_real_audio_model(assets: Path) -> None:
    assert refusal(assets / "models" / "whisper-tiny-en-encoder", architecture) == (
        "cannot be used here: its architecture, whisper, has no head for this task in transformers; it must be "
        "one that reads text."
    )


def test_a_model_that_needs_padding_on_the_left(tmp_path: Path) -> None:
    transformers.XLNetConfig(d_model=8, n_head=2).save_pretrained(tmp_path)
    assert refusal(tmp_path, architecture) == (
        "(xlnet) reads its answer from the last position and so needs padding on the left, which luthier does not do. Take another model."
    )


def test_a_configuration_that_is_no_json(broken: Path) -> None:
    (broken / "config.json").write_text("{")
    assert refusal(broken, architecture).startswith("cannot be used here: It looks like the config file at ")


@pytest.mark.parametrize(
    ("family", "kind"),
    [("roberta", AutoModelForMaskedLM), ("llama", AutoModelForCausalLM), ("gpt2", AutoModelForCausalLM)],
)
def test_the_head_that_predicts_words_is_that_of_plain_transformers(
    family: str, kind: Any, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny(family), tmp_path, dirs_exist_ok=True)
    plain = kind.from_config(AutoConfig.from_pretrained(tmp_path)).eval()
    plain.save_pretrained(tmp_path)
    opened = open_model(find(str(tmp_path)), LABELS, 0, head="words")
    assert type(opened.model) is type(plain)
    assert opened.new == opened.notes == ()
    assert torch.allclose(opened.model.eval()(**BATCH).logits, plain(**BATCH).logits, atol=1e-6)
    assert opened.model.config.id2label == LABELS["id2label"]


def test_a_checkpoint_with_part_of_the_head_that_predicts_words_is_taken_and_said(tiny: Callable[[str], Path]) -> None:
    opened = open_model(find(str(tiny("bert"))), LABELS, 0, head="words")
    assert all(name.startswith("cls.predictions.") for name in opened.new)
    assert opened.notes == (
        f"The head that predicts words is not in the checkpoint of {tiny('bert')}: 6 of its parameters, such as "
        "cls.predictions.transform.dense.weight, are drawn at random, so its answers mean nothing before training. Method cloze is made "
        "for checkpoints that have it.",
    )


def test_a_checkpoint_without_the_head_that_predicts_words(tiny: Callable[[str], Path]) -> None:
    assert refusal(tiny("llama"), lambda base: open_model(base, LABELS, 0, head="words")) == (
        "cannot be used here: the head that predicts words is not in its checkpoint, so method cloze has nothing to read the answer from. "
        "Take a checkpoint with it, or another method."
    )


def test_an_encoder_with_a_decoder_predicts_no_words_here(tmp_path: Path) -> None:
    transformers.T5Config(d_model=8).save_pretrained(tmp_path)
    assert refusal(tmp_path, lambda base: architecture(base, head="words")) == (
        "cannot be used here: method cloze needs an encoder or a decoder that predicts words, and t5 is neither."
    )


def test_a_real_head_that_predicts_words(assets: Path) -> None:
    folder = assets / "models" / "stories260k"
    opened = open_model(find(str(folder)), LABELS, 0, head="words")
    assert opened.new == opened.notes == ()
    assert isinstance(opened.model, transformers.LlamaForCausalLM)
