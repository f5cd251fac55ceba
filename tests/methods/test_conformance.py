"""What every method must keep on every model, driven from the registry: a new member is tested by being registered.

The cells are those of docs/methods.md: what it calls right goes through all tests here, what it calls refused must be, for
the reason that stands there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from cells import (
    OWN,
    TARGET,
    TEXT_MODELS,
    TEXTS,
    YES,
    Shelf,
    cells,
    lay,
    open_perceiving,
    published,
    recipe_of,
    settings,
)
from peft import PeftModel
from resuming import SAVED, Trial, interrupt
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, pipeline
from tuning import Tuned, logits_of, marked_in, merged_copy, save, tune

import tiny_models
from luthier import increment
from luthier.folder import RunFolder
from luthier.models.names import plain
from luthier.models.open import Base
from luthier.models.quick import quicken
from luthier.models.quiet import quiet

NO_PROMISE = ("scratch", "prefix", "prompt", "ptuning", "cloze")
"""Methods whose outputs before training are other ones than those of the model below."""

COMBINATIONS: dict[str, list[Any]] = {
    "lora + top": [{"name": "top", "blocks": 1}, "lora"],
    "head + bias": ["head", "bias"],
    "bias + lora": ["bias", {"name": "lora", "targets": "attention", "rank": 4}],
    "full + lora": ["full", "lora"],
    "norm + adapter": ["norm", *settings("adapter")],
    "prefix + norm + lora": [*settings("prefix"), "norm", *settings("lora")],
    "prompt + top": [*settings("prompt"), {"name": "top", "blocks": 1}],
    "cloze + full": [*settings("cloze"), "full"],
    "hard cloze + prompt": [settings("cloze")[0] | {"pattern": "{text} {mask}"}, *settings("prompt")],
    "cloze + lora": [*settings("cloze"), *settings("lora")],
    "scratch + norm": ["scratch", "norm"],
}
VARIANTS: dict[str, list[Any]] = {
    "parallel adapter": [{"name": "adapter", "kind": "parallel", "reduction": 4}],
    "pfeiffer adapter": [{"name": "adapter", "kind": "pfeiffer", "reduction": 4}],
    "projected prefix": [{"name": "prefix", "length": 4, "projection": True, "hidden": 16}],
    "prompt from a text": [{"name": "prompt", "length": 4, "initialise": "text", "text": "the film is"}],
    "random prompt": [{"name": "prompt", "length": 4, "initialise": "random"}],
    "hard cloze + full": [{"name": "cloze", "pattern": "{text} is {mask}", "verbalizer": {"so so": "film"}}, "full"],
}
"""Settings that put other modules into a network than those of the grid do, or start them elsewhere."""
HEAVY = "multilingual-e5-small-zhen"
COMBINED_ON = ("bert", "gpt2")
VARIED_ON = ("bert", "llama")


@pytest.fixture(scope="session")
def plain_logits() -> dict[str, Tensor]:
    """Logits of each model in plain transformers, computed once."""
    return {}


def right() -> list[Any]:
    """Cells that are not said to be refused, combinations, and variants."""
    said = published()
    single = [(model, method, settings(method)) for model, method in cells() if said.get((model, method), YES) == YES]
    several = [(model, name, methods) for model in COMBINED_ON for name, methods in COMBINATIONS.items()]
    varied = [(model, name, methods) for model in VARIED_ON for name, methods in VARIANTS.items()]
    return [pytest.param(cell, id=f"{cell[0]}: {cell[1]}") for cell in [*single, *several, *varied]]


@pytest.fixture(scope="module", params=right())
def tuned(request: pytest.FixtureRequest, shelf: Shelf) -> Tuned:
    model, name, methods = request.param
    if model in tiny_models.REAL:
        request.getfixturevalue("assets")
    return tune(shelf, model, name, methods)


def opened_plainly(tuned: Tuned) -> nn.Module:
    """The base model with a new head, by plain transformers."""
    if tuned.model_name not in TEXT_MODELS:
        return open_perceiving(tuned.model_name, tuned.laid.folder)[0]
    torch.manual_seed(0)
    with quiet():
        model = AutoModelForSequenceClassification.from_pretrained(tuned.laid.folder, num_labels=3, dtype=torch.float32)
    assert tuned.laid.context.tokenizer is not None
    model.config.pad_token_id = tuned.laid.context.tokenizer.pad_token_id
    return model


def test_before_training_the_logits_are_those_of_plain_transformers(
    tuned: Tuned, plain_logits: dict[str, Tensor]
) -> None:
    if any(method.name in NO_PROMISE for method in tuned.laid.methods):
        pytest.skip("it starts elsewhere")
    if tuned.model_name not in plain_logits:
        plain_logits[tuned.model_name] = logits_of(opened_plainly(tuned), tuned.laid.batch)
    assert torch.allclose(tuned.untouched, plain_logits[tuned.model_name], atol=1e-5)


def test_only_marked_weights_move(tuned: Tuned) -> None:
    moved = {name for name, value in tuned.before.items() if not torch.equal(value, tuned.after[name])}
    shared = {id(one) for name, one in tuned.model.named_parameters() if name in tuned.marked}
    names = {name for name, one in tuned.model.named_parameters(remove_duplicate=False) if id(one) in shared}
    assert moved <= names
    # A bias of keys moves no logit (softmax does not see it), and not every row of a table is looked up: most, not all.
    assert len(moved & tuned.marked) >= 0.9 * len(tuned.marked)


def test_a_new_head_is_always_trained(tuned: Tuned) -> None:
    if any(method.words for method in tuned.laid.methods):
        pytest.skip("the head that predicts words is not new")
    assert tuned.laid.new
    assert set(tuned.laid.new) <= {plain(name) for name in tuned.marked}


def test_loss_falls(tuned: Tuned) -> None:
    assert tuned.losses[-1] < tuned.losses[0]


def test_a_copy_is_independent_and_merges_to_the_same_logits(tuned: Tuned) -> None:
    other = merged_copy(tuned)
    assert torch.allclose(logits_of(other, tuned.laid.batch), tuned.logits, atol=1e-5)
    with torch.no_grad():
        for one in other.parameters():
            one.mul_(1.5)
    assert not torch.allclose(logits_of(other, tuned.laid.batch), tuned.logits, atol=1e-5)
    assert torch.equal(logits_of(tuned.model, tuned.laid.batch), tuned.logits)


@pytest.fixture(scope="module")
def saved(tuned: Tuned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As the pipeline saves it by default: a plain model where there is one, else an increment."""
    folder = tmp_path_factory.mktemp("saved")
    how = increment.kind(tuned.laid.applied.inserted, None)
    assert (how == increment.MERGED) != tuned.roomless
    save(tuned, how, folder)
    return folder


def alone_in_peft(tuned: Tuned) -> bool:
    return len(tuned.laid.methods) == 1 and tuned.laid.methods[0].wraps


def test_plain_transformers_loads_what_was_saved(tuned: Tuned, saved: Path) -> None:
    if tuned.lasting:
        pytest.skip("no plain model computes the same")
    reloaded = tuned.laid.kind.from_pretrained(saved)
    # folding an adapter into the weights rounds once more
    tolerance = 1e-5 if isinstance(tuned.model, PeftModel) else 1e-6
    assert torch.allclose(logits_of(reloaded, tuned.laid.batch), tuned.logits, atol=tolerance)
    assert reloaded.config.id2label == {0: "bad", 1: "good", 2: "so so"}
    assert ("luthier" in (saved / "config.json").read_text()) == (tuned.model_name == OWN)


def test_plain_peft_loads_an_adapter_that_holds_all(tuned: Tuned, saved: Path) -> None:
    adapter = saved if tuned.lasting else saved / "adapter"
    assert (adapter / "adapter_config.json").is_file() == alone_in_peft(tuned)
    if alone_in_peft(tuned):
        with quiet():
            whole = PeftModel.from_pretrained(opened_plainly(tuned), adapter)
        assert torch.allclose(logits_of(whole, tuned.laid.batch), tuned.logits, atol=1e-6)


def test_an_increment_gives_the_same_logits(tuned: Tuned, saved: Path, tmp_path: Path) -> None:
    if not tuned.lasting:
        saved = tmp_path
        save(tuned, increment.INCREMENT, saved)
    record = increment.read(saved)
    assert record is not None
    torch.manual_seed(1)  # what was drawn must not matter
    opened = increment.reopen(Base("run", str(saved)), record, TARGET.model_config, tuned.laid.context)
    assert torch.allclose(logits_of(quicken(opened.model), tuned.laid.batch), tuned.logits, atol=1e-5)


def test_a_row_alone_has_the_logits_that_it_has_among_longer_ones(tuned: Tuned) -> None:
    """Padding is not seen, and neither is a prompt put in the wrong place of a short row."""
    if tuned.laid.modality is None:
        pytest.skip("nothing is padded")
    for row in (0, 1):
        alone = tuned.laid.modality.collate(tuned.laid.modality.encode(TEXTS[row : row + 1]).columns)
        assert torch.allclose(logits_of(tuned.model, alone)[0], tuned.logits[row], atol=1e-5)


def test_causal_models_see_no_future(tuned: Tuned) -> None:
    if tuned.model_name not in tiny_models.CAUSAL:
        pytest.skip("every token sees all others")
    last: Any = tuned.laid.blocks[-1]
    seen: list[Tensor] = []
    hook = last.register_forward_hook(lambda module, inputs, output: seen.append(output))
    ids = torch.tensor([[6, 9, 7, 10, 8, 6]])
    for tokens in (ids, torch.cat([ids[:, :-1], torch.tensor([[12]])], 1)):
        logits_of(tuned.model, {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)})
    hook.remove()
    first, second = (one if isinstance(one, Tensor) else one[0] for one in seen)
    assert torch.allclose(first[:, :-1], second[:, :-1], atol=1e-6)
    assert not torch.allclose(first[:, -1], second[:, -1], atol=1e-4)


@pytest.fixture(scope="module")
def whole(tuned: Tuned, shelf: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    """The cell trained to its end by the loop: in training mode, with dropout, and with frozen parts computed once."""
    if tuned.model_name == HEAVY:
        pytest.skip("its checkpoints take seconds to write, and it is a BERT, as small ones are")
    folder = RunFolder(tmp_path_factory.mktemp("whole"))
    trial = Trial(lay(shelf, tuned.model_name, tuned.laid.methods), folder)
    trial.run()
    return trial


def test_training_moves_marked_weights_and_what_their_batch_norms_count(whole: Trial) -> None:
    assert whole.moved() <= whole.job.trained | whole.counted()


def test_a_resumed_run_ends_as_one_that_was_not_interrupted(whole: Trial, tuned: Tuned, shelf: Shelf) -> None:
    """Bit for bit."""
    resumed = Trial(lay(shelf, tuned.model_name, tuned.laid.methods), whole.folder)
    interrupt(whole.folder)
    assert resumed.go_on() == SAVED
    assert resumed.losses.of == {step: loss for step, loss in whole.losses.of.items() if step > SAVED}
    ours, theirs = resumed.ended(), whole.ended()
    assert ours.keys() == theirs.keys()
    assert [name for name, one in theirs.items() if not torch.equal(ours[name], one)] == []


@pytest.mark.parametrize("name", ["full", "lora"])
def test_pipeline_of_transformers_gives_the_same_scores(name: str, shelf: Shelf, tmp_path: Path) -> None:
    tuned = tune(shelf, "roberta", name, settings(name))
    assert tuned.laid.modality is not None
    save(tuned, increment.MERGED, tmp_path)
    tuned.laid.modality.save(str(tmp_path))
    classify = pipeline("text-classification", model=str(tmp_path), top_k=None)
    expected = TARGET.scores(tuned.logits)
    for answer, row in zip(classify(TEXTS), expected, strict=True):
        scores = {one["label"]: one["score"] for one in answer}
        assert [scores[label] for label in TARGET.labels] == pytest.approx(row.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("model", COMBINED_ON)
def test_a_combination_trains_the_union(model: str, name: str, shelf: Shelf) -> None:
    methods = recipe_of(COMBINATIONS[name]).methods
    if any(method.words for method in methods):
        pytest.skip("alone, the others are laid on another head")

    def names(some: list[Any]) -> set[str]:
        return {plain(name) for name in marked_in(lay(shelf, model, some).model)}

    assert names(COMBINATIONS[name]) == set.union(*(names([one]) for one in COMBINATIONS[name]))
