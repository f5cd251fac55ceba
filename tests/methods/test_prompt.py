from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from luthier.entrances.texts import text_of
from luthier.errors import RecipeError
from luthier.methods import Context, Method
from luthier.methods.lora import Lora
from luthier.methods.prompt import Prompt
from luthier.methods.ptuning import PTuning
from luthier.modalities.text import Text
from luthier.models.anatomy import examine
from luthier.models.open import Base, architecture, open_model, open_tokenizer, positions
from luthier.models.quick import quicken
from luthier.models.virtual import Vectors, prompt_in, word_table
from luthier.tasks.classify import Classes

LABELS = Classes(("bad", "good"), False).model_config
TEXTS = ["the film is good", "bad", "the room is very bad the service not good"]


def opened(folder: Path, *methods: Method) -> tuple[Any, Text]:
    """A model with methods, everything else frozen, in evaluation mode."""
    base = Base("base", str(folder))
    tokenizer = open_tokenizer(base)
    torch.manual_seed(0)
    plain = open_model(base, LABELS, tokenizer.pad_token_id)
    model: nn.Module = plain.model
    anatomy = examine(model, plain.new)
    model.requires_grad_(False)
    for method in methods:
        model = method.insert(model, anatomy, Context(tokenizer, ("bad", "good")))
    return model.eval(), Text(tokenizer)


def batch_of(modality: Text) -> dict[str, Tensor]:
    return modality.collate(modality.encode(TEXTS).columns)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_in_front_of_a_decoder_it_is_peft_prompt_tuning(family: str, base: Callable[[str], Path]) -> None:
    tokenizer = open_tokenizer(Base("base", str(base(family))))
    tokenizer.backend_tokenizer.post_processor = (
        None  # nothing before the text: ours is then at the very front, as PEFT's
    )
    torch.manual_seed(0)
    model = AutoModelForSequenceClassification.from_pretrained(base(family), num_labels=2)
    config = PromptTuningConfig(task_type=TaskType.SEQ_CLS, num_virtual_tokens=5)
    theirs = get_peft_model(model, config).eval()
    torch.manual_seed(0)
    ours = AutoModelForSequenceClassification.from_pretrained(base(family), num_labels=2)
    ours = Prompt(length=5).insert(ours, examine(ours), Context(tokenizer)).eval()
    with torch.no_grad():
        prompt_in(ours).vectors.copy_(theirs.prompt_encoder["default"].embedding.weight)
        for text in TEXTS:
            ids = tokenizer(text, return_tensors="pt")
            row = {"input_ids": ids["input_ids"], "attention_mask": ids["attention_mask"]}
            assert torch.allclose(ours(**row).logits, theirs(**row).logits, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "llama"])
def test_it_stands_behind_what_the_tokenizer_writes_first(family: str, base: Callable[[str], Path]) -> None:
    model, modality = opened(base(family), Prompt(length=2))
    plain, _ = opened(base(family))
    vectors = prompt_in(model)()
    ids = modality.encode(TEXTS[:1]).columns["input_ids"][0]
    words = word_table(plain)(torch.tensor([list(ids)]))
    written = torch.cat([words[:, :1], vectors[None], words[:, 1:]], dim=1)
    expected = plain(inputs_embeds=written).logits
    assert torch.allclose(model(input_ids=torch.tensor([list(ids)])).logits, expected, atol=1e-6)


def test_starting_from_a_text_repeats_it_to_the_length(base: Callable[[str], Path]) -> None:
    model, modality = opened(base("bert"), Prompt(length=5, initialise="text", text="the film"))
    the, film = modality.tokenizer.convert_tokens_to_ids(["the", "film"])
    assert torch.equal(prompt_in(model)(), word_table(model).weight[[the, film, the, film, the]])


def test_a_text_in_which_the_tokenizer_reads_nothing(base: Callable[[str], Path]) -> None:
    model, _ = opened(base("bert"))
    deaf: Any = lambda text, **options: {"input_ids": []}  # noqa: E731
    with pytest.raises(
        RecipeError, match=r"^method prompt: this tokenizer reads nothing in text: '~'\. Write other words\.$"
    ):
        Prompt(length=5, initialise="text", text="~")._start(model, deaf)


def test_starting_from_the_vocabulary_or_at_random(base: Callable[[str], Path]) -> None:
    drawn, modality = opened(base("bert"), Prompt(length=9))
    table = word_table(drawn).weight
    special = table[modality.tokenizer.all_special_ids]
    for row in prompt_in(drawn)():
        assert (table == row).all(1).any()
        assert not (special == row).all(1).any()
    model, _ = opened(base("bert"), Prompt(length=9, initialise="random"))
    assert not any((table == row).all(1).any() for row in prompt_in(model)())


@pytest.mark.parametrize("family", ["bert", "llama", "gpt2"])
def test_lora_goes_around_it(family: str, base: Callable[[str], Path]) -> None:
    prompted, modality = opened(base(family), Prompt(length=5))
    batch = batch_of(modality)
    expected = prompted(**batch).logits
    lora = Lora(rank=2)
    both, _ = opened(base(family), Prompt(length=5), lora)
    with torch.no_grad():
        prompt_in(both).vectors.copy_(prompt_in(prompted).vectors)
    assert torch.allclose(both(**batch).logits, expected, atol=1e-6)
    with torch.no_grad():
        for name, one in both.named_parameters():
            if "lora_B" in name:
                nn.init.normal_(one, std=0.1)
    tuned = both(**batch).logits
    assert not torch.allclose(tuned, expected, atol=1e-4)
    merged = lora.merge(both)
    assert torch.allclose(merged(**batch).logits, tuned, atol=1e-5)
    assert isinstance(prompt_in(merged), Vectors)


def test_it_moves_the_answer_of_a_frozen_network(tiny_bert: Path) -> None:
    model, modality = opened(tiny_bert, Prompt(length=8))
    quicken(model)
    with torch.no_grad():
        nn.init.normal_(model.classifier.weight)
        for layer in model.bert.encoder.layer:  # as drawn, hardly anything comes from other tokens
            layer.attention.self.value.weight.mul_(20)
            layer.attention.output.dense.weight.mul_(20)
    batch, target = batch_of(modality), torch.tensor([1, 1, 1])
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=Prompt.rate.value)
    losses = []
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(**batch).logits, target)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_it_takes_positions() -> None:
    assert Prompt(length=7).tokens == 7
    assert Prompt.lasting
    assert Prompt(length=7).folded == Prompt(length=7)


@pytest.mark.parametrize("method", [Prompt, PTuning])
@pytest.mark.parametrize(("family", "readable"), [("bert", 64), ("roberta", 62), ("gpt2", 64)])
def test_a_prompt_longer_than_the_model_reads_is_refused(
    family: str, readable: int, method: Any, base: Callable[[str], Path]
) -> None:
    there = Base("base", str(base(family)))
    room = positions(architecture(there))
    tokenizer = open_tokenizer(there)
    assert text_of(tokenizer, Context(tokenizer), [method(length=readable - 4)], None, room).limit == 4
    with pytest.raises(RecipeError) as refused:
        text_of(tokenizer, Context(tokenizer), [method(length=readable - 3)], None, room)
    assert str(refused.value) == (
        f"method {method.name} takes {readable - 3} of the {readable} positions of this model, which leaves none for the text."
    )


def test_a_model_that_reads_no_text_is_refused() -> None:
    with pytest.raises(RecipeError) as refused:
        Prompt().insert(nn.Linear(1, 1), examine(nn.Linear(1, 1)), Context())
    assert str(refused.value) == "method prompt puts tokens beside a text, and this model reads no text."


@pytest.mark.parametrize("fields", [{"initialise": "text"}, {"text": "a film"}, {"initialise": "text", "text": " "}])
def test_a_text_and_its_use_belong_together(fields: dict[str, Any]) -> None:
    with pytest.raises(
        ValidationError, match=r"initialise: text and text: ... belong together: give both, or neither\."
    ):
        Prompt(**fields)
