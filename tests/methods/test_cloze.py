from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

import tiny_models
from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.methods.cloze import Cloze
from luthier.methods.lora import Lora
from luthier.methods.prompt import Prompt
from luthier.modalities import FIRST_VIRTUAL
from luthier.modalities.text import Text
from luthier.models.anatomy import examine
from luthier.models.open import Base, open_model, open_tokenizer
from luthier.models.quick import quicken
from luthier.models.quiet import quiet
from luthier.models.virtual import prompt_in
from luthier.tasks.classify import Classes

CAUSAL = ("llama", "gpt2")
LABELS = ("bad", "good")
WORDS = {"bad": ["bad", "awful"], "good": ["good"]}
TEXTS = ["the film is good", "bad", "the room is very bad the service not good"]


@pytest.fixture(scope="session")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`speaking(family)`: the folder of a random model with the head that predicts words."""
    made: dict[tuple[str, bool], Path] = {}

    def folder(family: str, masks: bool | None = None) -> Path:
        masks = family not in CAUSAL if masks is None else masks
        if (family, masks) not in made:
            place = made[family, masks] = tmp_path_factory.mktemp("speaking") / family
            tiny_models.make(family, place)
            mask = {"mask_token": "[MASK]"} if masks else {}
            tiny_models.word_tokenizer(pad_id=1 if family == "roberta" else 0, **mask).save_pretrained(place)
            kind = AutoModelForCausalLM if family in CAUSAL else AutoModelForMaskedLM
            torch.manual_seed(0)
            model = kind.from_config(AutoConfig.from_pretrained(place))
            for name, one in model.named_parameters():  # of transformers' own draw all biases are zero
                if name.endswith("bias"):
                    nn.init.normal_(one)
            with quiet():
                model.save_pretrained(place)
        return made[family, masks]

    return folder


def opened(folder: Path, *methods: Method, labels: tuple[str, ...] = LABELS) -> tuple[Any, Text]:
    base = Base("base", str(folder))
    tokenizer = open_tokenizer(base)
    context = Context(tokenizer, labels)
    template = next((found for method in methods if (found := method.template(context))), None)
    found = open_model(base, Classes(labels, False).model_config, tokenizer.pad_token_id, head="words")
    model: nn.Module = found.model
    anatomy = examine(model, found.new)
    model.requires_grad_(False)
    for method in methods:
        model = method.insert(model, anatomy, context)
    return model.eval(), Text(tokenizer, template=template)


def batch_of(modality: Text, texts: list[str] = TEXTS) -> dict[str, Tensor]:
    return modality.collate(modality.encode(texts).columns)


def by_hand(folder: Path, row: str, behind: int, words: dict[str, list[str]] = WORDS) -> Tensor:
    """Plain transformers on a row that is written out; the answer is read `behind` tokens before its end."""
    tokenizer = open_tokenizer(Base("base", str(folder)))
    config = AutoConfig.from_pretrained(folder)
    kind = AutoModelForCausalLM if config.model_type in CAUSAL else AutoModelForMaskedLM
    with quiet():
        model = kind.from_pretrained(folder).eval()
    logits = model(**tokenizer(row, return_tensors="pt")).logits[0, -behind]
    return torch.stack([logits[tokenizer.convert_tokens_to_ids(words[label])].mean() for label in LABELS])


@pytest.mark.parametrize("family", [family for family in tiny_models.FAMILIES if family not in CAUSAL])
def test_masked_models_answer_with_the_logits_of_plain_transformers_at_the_mask(
    family: str, speaking: Callable[..., Path]
) -> None:
    model, modality = opened(speaking(family), Cloze(pattern="{text} film {mask} is", verbalizer=WORDS))
    found = quicken(model)(**batch_of(modality)).logits
    expected = [by_hand(speaking(family), f"{text} film [MASK] is", 3) for text in TEXTS]
    assert torch.allclose(found, torch.stack(expected), atol=1e-5)


@pytest.mark.parametrize("masks", [False, True], ids=["no mask token", "a mask token"])
@pytest.mark.parametrize("family", CAUSAL)
def test_causal_models_answer_with_the_logits_of_the_next_word(
    family: str, masks: bool, speaking: Callable[..., Path]
) -> None:
    model, modality = opened(speaking(family, masks), Cloze(pattern="{text} film is {mask}", verbalizer=WORDS))
    found = model(**batch_of(modality)).logits
    expected = [
        by_hand(speaking(family), f"{text} film is", 2) for text in TEXTS
    ]  # the tokenizer closes the row by [SEP]
    assert torch.allclose(found, torch.stack(expected), atol=1e-5)


def test_a_causal_model_cannot_answer_before_the_text(speaking: Callable[..., Path]) -> None:
    with pytest.raises(RecipeError, match=r"before it has read the text: \{mask\} must stand behind \{text\}"):
        opened(speaking("llama", True), Cloze(pattern="{mask} film {text}", verbalizer=WORDS))


@pytest.mark.parametrize("pattern", ["{mask} film {text}", "{text} film {mask}"])
def test_a_mask_in_the_text_is_not_the_gap(pattern: str, speaking: Callable[..., Path]) -> None:
    model, modality = opened(speaking("bert"), Cloze(pattern=pattern))
    text = "the [MASK] is good"
    filled = pattern.format(text=text, mask="[MASK]")
    behind = 2 if pattern.startswith("{text}") else 7
    expected = by_hand(speaking("bert"), filled, behind, {"bad": ["bad"], "good": ["good"]})
    assert torch.allclose(model(**batch_of(modality, [text])).logits[0], expected, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_soft_tokens_that_start_as_words_answer_as_the_words_do(family: str, speaking: Callable[..., Path]) -> None:
    hard, modality = opened(speaking(family), Cloze(pattern="the film {text} story is {mask}"))
    soft, softly = opened(speaking(family), Cloze(pattern="{soft:the film} {text} story {soft:is} {mask}"))
    assert torch.allclose(soft(**batch_of(softly)).logits, hard(**batch_of(modality)).logits, atol=1e-5)
    [name] = [name for name, one in soft.named_parameters() if one.requires_grad]
    assert name.endswith(".prompt.vectors")
    soft(**batch_of(softly)).logits[:, 0].sum().backward()
    assert (prompt_in(soft).vectors.grad.abs().sum(1) > 0).all()


def test_soft_tokens_without_words_are_drawn(speaking: Callable[..., Path]) -> None:
    model, modality = opened(speaking("bert"), Cloze(pattern="{soft:3} {text} {soft} {mask}"))
    assert prompt_in(model)().shape == (4, 32)
    row = modality.encode(["good"]).columns["input_ids"][0]
    assert [token - FIRST_VIRTUAL for token in row if token >= FIRST_VIRTUAL] == [0, 1, 2, 3]


def test_nothing_trains_by_itself_and_no_name_changes(speaking: Callable[..., Path]) -> None:
    before, _ = opened(speaking("bert"))
    after, _ = opened(speaking("bert"), Cloze())
    assert list(after.state_dict()) == list(before.state_dict())
    assert not any(one.requires_grad for one in after.parameters())
    assert (Cloze.words, Cloze.lasting, Cloze.wraps) == (True, True, False)


def test_the_tied_head_trains_as_in_plain_transformers(speaking: Callable[..., Path]) -> None:
    model, modality = opened(speaking("bert"), Cloze(verbalizer=WORDS))
    plain, _ = opened(speaking("bert"))
    model, plain = quicken(model).requires_grad_(True), plain.requires_grad_(True)
    batch, words = batch_of(modality), [modality.tokenizer.convert_tokens_to_ids(WORDS[label]) for label in LABELS]
    gap = batch["input_ids"] == modality.tokenizer.mask_token_id
    for _ in range(2):  # two micro-batches: from the second on gradients are added sparsely
        nn.functional.cross_entropy(model(**batch).logits, torch.tensor([1, 0, 0])).backward()
        logits = torch.stack([plain(**batch).logits[gap][:, some].mean(1) for some in words], dim=1)
        nn.functional.cross_entropy(logits, torch.tensor([1, 0, 0])).backward()
    expected = dict(plain.named_parameters())
    for name, one in model.named_parameters():
        other = expected[name].grad
        assert (one.grad is None and not other.any()) or torch.allclose(one.grad, other, atol=1e-5), name


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_lora_goes_around_it(family: str, speaking: Callable[..., Path]) -> None:
    method, lora = Cloze(pattern="{soft:2} {text} is {mask}"), Lora(rank=2)
    torch.manual_seed(0)
    plain, modality = opened(speaking(family), method)
    batch = batch_of(modality)
    expected = plain(**batch).logits
    torch.manual_seed(0)
    tuned, _ = opened(speaking(family), method)
    anatomy = examine(opened(speaking(family))[0])
    both = lora.insert(tuned, replace(anatomy, head=()), Context(modality.tokenizer, LABELS)).eval()
    assert torch.allclose(both(**batch).logits, expected, atol=1e-5)
    with torch.no_grad():
        for name, one in both.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(one, std=0.1)
    moved = both(**batch).logits
    assert not torch.allclose(moved, expected, atol=1e-4)
    assert torch.allclose(lora.merge(both)(**batch).logits, moved, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_padding_and_neighbours_do_not_matter_and_copies_answer_too(family: str, speaking: Callable[..., Path]) -> None:
    model, modality = opened(speaking(family), Prompt(length=3), Cloze())
    found = model(**batch_of(modality)).logits
    alone = torch.cat([model(**batch_of(modality, [text])).logits for text in TEXTS])
    assert torch.allclose(found, alone, atol=1e-5)
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for one in model.parameters():
            one.zero_()
    assert torch.allclose(copied(**batch_of(modality)).logits, found, atol=1e-5)


def test_what_is_saved_is_a_plain_model_that_predicts_words(speaking: Callable[..., Path], tmp_path: Path) -> None:
    model, _ = opened(speaking("bert"), Cloze())
    with quiet():
        model.save_pretrained(tmp_path)
        again = AutoModelForMaskedLM.from_pretrained(tmp_path).eval()
        before = AutoModelForMaskedLM.from_pretrained(speaking("bert")).eval()
    ids = torch.tensor([[2, 5, 4, 3]])
    assert torch.allclose(again(ids).logits, before(ids).logits, atol=1e-6)


def refusal(folder: Path, *methods: Method, labels: tuple[str, ...] = LABELS) -> str:
    with pytest.raises(RecipeError) as refused:
        opened(folder, *methods, labels=labels)
    return str(refused.value)


def test_labels_that_are_numbers(speaking: Callable[..., Path]) -> None:
    assert refusal(speaking("bert"), Cloze(), labels=("0", "1")) == (
        "method cloze: the label '0' is no word; say which words stand for it: verbalizer: {0: ..., 1: ...}."
    )
    Cloze.model_validate({"verbalizer": {0: "bad", 1: ["good", "great"]}})
    opened(speaking("bert"), Cloze.model_validate({"verbalizer": {0: "bad", 1: ["good", "great"]}}), labels=("0", "1"))


@pytest.mark.parametrize(("word", "read"), [("very bad", "very bad"), ("unheard", "[UNK]")])
def test_words_that_are_not_one_token(word: str, read: str, speaking: Callable[..., Path]) -> None:
    assert refusal(speaking("bert"), Cloze(verbalizer={"bad": [word]})) == (
        f"method cloze: the word {word!r} for the label 'bad' is not one token here (the tokenizer reads it as: {read}), and the gap "
        "has room for one; name another word in the verbalizer."
    )


def test_two_labels_with_the_same_words(speaking: Callable[..., Path]) -> None:
    same = {"bad": ["good", "great"], "good": ["great", "good"]}
    assert refusal(speaking("bert"), Cloze(verbalizer=same)) == (
        "method cloze: the labels 'bad' and 'good' have the same words, so no answer could tell them apart; change the verbalizer."
    )


def test_a_label_that_the_data_do_not_have(speaking: Callable[..., Path]) -> None:
    assert refusal(speaking("bert"), Cloze(verbalizer={"goood": ["good"]})) == (
        "method cloze: the verbalizer names the label 'goood', which the data do not have; did you mean 'good'?"
    )


def test_a_masked_model_whose_tokenizer_has_no_mask(speaking: Callable[..., Path]) -> None:
    assert refusal(speaking("bert", masks=False), Cloze()) == (
        "method cloze: this model predicts masked words, and its tokenizer has no mask token. Take another model or method."
    )


def test_two_prompts(speaking: Callable[..., Path]) -> None:
    assert refusal(speaking("bert"), Prompt(length=3), Cloze(pattern="{text} {soft} {mask}")) == (
        "method: two methods put learned tokens into the input, and a network takes them from one: choose one of prompt, ptuning "
        "and cloze with {soft}."
    )


def test_a_model_that_reads_no_text() -> None:
    with pytest.raises(RecipeError) as refused:
        Cloze().template(Context())
    assert str(refused.value) == "method cloze puts tokens beside a text, and this model reads no text."


def test_a_pattern_that_means_nothing() -> None:
    with pytest.raises(ValidationError, match=r"\{text\} once, where each row's text stands"):
        Cloze(pattern="It was {mask}")
