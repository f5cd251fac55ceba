"""Stages: what trains when, at which rate, with which memory, against a loop written by hand."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from killing import Moment, luthier
from pydantic import ValidationError
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import tiny_models
from luthier.errors import RecipeError
from luthier.methods import Context
from luthier.methods.select import Full, Head, Top, gradual
from luthier.models.open import Base, open_model, open_tokenizer
from luthier.pipeline import train
from luthier.recipe.schema import Recipe
from luthier.training.job import Job, State
from luthier.training.loop import fit
from luthier.training.stages import Applied, apply_methods
from luthier.training.work import enter
from small_jobs import job_of, recipe_for, weights_of, write_recipe

LAST = {"name": "top", "blocks": 1}
HEAD_THEN_LAST = [{"epochs": 1, "method": "head", "lr": 1e-2}, {"epochs": 2, "method": LAST, "lr": 1e-3}]
LORA = {"name": "lora", "rank": 2}


def applied(model: Path, **keys: Any) -> Applied:
    opened = open_model(Base("base", str(model)), {"num_labels": 2}, 0)
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, **keys})
    return apply_methods(opened.model, opened.new, recipe, Context())


def batch(job: Job, ready: Any, step: int, tokenizer: Any) -> tuple[Mapping[str, Tensor], Tensor]:
    rows = job.batches.at(step)
    texts = ready.data.tables["train"].rows[ready.data.found.text][:]
    encoded = tokenizer([texts[row] for row in rows], padding=True, return_tensors="pt")
    inputs = {name: encoded[name] for name in ("input_ids", "attention_mask")}
    return inputs, torch.from_numpy(ready.data.rows["train"].targets[rows])


def adamw_by_hand(model: nn.Module, names: Sequence[str], lr: float) -> torch.optim.AdamW:
    decayed = [one for name, one in model.named_parameters() if name in names and one.ndim > 1]
    plain = [one for name, one in model.named_parameters() if name in names and one.ndim < 2]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)


def loop_by_hand(
    job: Job, ready: Any, start: Mapping[str, Tensor], plan: Sequence[tuple[list[str], int, float]]
) -> Any:
    """Stages of (parameters, epochs, rate): linear decay in each, and AdamW's moments carried on for what stays."""
    model: Any = AutoModelForSequenceClassification.from_pretrained(ready.base.location, dtype=torch.float32)
    model.load_state_dict(start)
    model.train()
    tokenizer, moments, step = AutoTokenizer.from_pretrained(ready.base.location), {}, 0
    for names, epochs, lr in plan:
        steps = epochs * job.batches.per_epoch
        for name, one in model.named_parameters():
            one.requires_grad_(name in names)
        optimizer = adamw_by_hand(model, names, lr)
        for one in (one for group in optimizer.param_groups for one in group["params"] if one in moments):
            optimizer.state[one] = moments[one]
        for number in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = lr * (steps - number) / steps
            inputs, targets = batch(job, ready, step, tokenizer)
            nn.functional.cross_entropy(model(**inputs).logits, targets).backward()
            nn.utils.clip_grad_norm_([one for one in model.parameters() if one.requires_grad], 1.0)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
        moments = dict(optimizer.state)
    return model


def test_two_stages_are_the_loop_written_by_hand(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = recipe_for(still_bert, reviews, tmp_path / "run", {"warmup": 0}, stages=HEAD_THEN_LAST)
    job, ready = job_of(recipe)
    start = weights_of(ready.model)
    fit(job, State(), [])
    head = ["classifier.weight", "classifier.bias"]
    top = [name for name in start if name.startswith(("bert.encoder.layer.1.", "bert.pooler."))]
    expected = loop_by_hand(job, ready, start, [(head, 1, 1e-2), ([*top, *head], 2, 1e-3)])
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(weights_of(ready.model)[name], value, atol=2e-5, rtol=1e-4, msg=name)
    for name, value in start.items():  # what neither stage trains
        assert torch.equal(weights_of(ready.model)[name], value) == (name not in [*head, *top])


def test_without_carried_moments_it_would_be_another_run(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    recipe = recipe_for(still_bert, reviews, tmp_path / "run", {"warmup": 0}, stages=HEAD_THEN_LAST)
    job, ready = job_of(recipe)
    fit(job, State(), [])
    steps = {name: int(slots["step"]) for name, slots in moments_by_name(job, ready.model).items()}
    per_epoch = job.batches.per_epoch
    assert steps["classifier.weight"] == 3 * per_epoch
    assert steps["bert.pooler.dense.weight"] == 2 * per_epoch


def moments_by_name(job: Job, model: nn.Module) -> dict[str, Any]:
    names = {id(one): name for name, one in model.named_parameters()}
    return {names[id(one)]: slots for one, slots in job.work.optimizer.optimizer.state.items()}


def test_a_stage_switches_on_what_it_trains(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    job, ready = job_of(recipe_for(still_bert, reviews, tmp_path / "run", stages=HEAD_THEN_LAST))
    assert job.settings.lr == 1e-3
    for number, prefixes in ((0, ("classifier.",)), (1, ("classifier.", "bert.pooler.", "bert.encoder.layer.1."))):
        enter(job, number)
        trained = {name for name, one in ready.model.named_parameters() if one.requires_grad}
        assert trained == {name for name in weights_of(ready.model) if name.startswith(prefixes)}
        assert set(job.stages[number].rates.values()) == {HEAD_THEN_LAST[number]["lr"]}


def test_a_stage_without_its_own_takes_the_settings_of_train(still_bert: Path) -> None:
    keys = {"stages": [{"method": "head"}, {"method": "full", "layer_decay": 0.5}]}
    one, two = applied(still_bert, train={"epochs": 4, "lr": {"head": 1e-2, "rest": 1e-3}}, **keys).stages
    assert (one.epochs, two.epochs) == (4, 4)
    assert set(one.rates.values()) == {1e-2}
    assert two.rates["bert.encoder.layer.1.output.dense.weight"] == pytest.approx(5e-4)


@pytest.mark.parametrize(
    ("method", "settings", "epochs"),
    [
        ("lora", {}, 17),  # of 6 steps: 16 would be 96
        ("prompt", {}, 50),  # needs 300
        ("scratch", {}, 50),
        (["prompt", "lora"], {}, 17),
        ("lora", {"accumulation": 2}, 34),  # of 3
        ("lora", {"batch_size": 1}, 3),  # enough steps: the method's own
        ("head", {}, 30),
        (["head", "top"], {}, 17),
        ("lora", {"epochs": 2}, 2),  # as the recipe says
    ],
)
def test_few_rows_are_read_until_there_are_a_hundred_steps(
    method: Any, settings: dict[str, int], epochs: int, still_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = recipe_for(still_bert, reviews, tmp_path / "run", {"epochs": None, **settings}, method=method)
    job, ready = job_of(recipe)
    (stage,) = job.stages
    assert (stage.epochs, ready.applied.stages) == (epochs, (stage,))


def test_gradual_unfreezing_of_few_rows_takes_a_hundred_steps_too(
    still_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    job, _ = job_of(recipe_for(still_bert, reviews, tmp_path / "run", {"epochs": None}, stages="gradual"))
    first, *others = [stage.epochs for stage in job.stages]
    assert others == [first] * 2
    assert 100 <= 3 * first * job.batches.per_epoch < 100 + 3 * job.batches.per_epoch


def test_gradual_goes_from_the_head_down_to_the_whole_network(still_bert: Path) -> None:
    stages = applied(still_bert, stages="gradual", train={"epochs": 4}).stages
    assert [stage.epochs for stage in stages] == [1, 1, 1, 1]
    blocks = [{name.split(".")[3] for name in stage.rates if ".layer." in name} for stage in stages]
    assert blocks == [set(), {"1"}, {"0", "1"}, {"0", "1"}]
    assert set(stages[0].rates) == {"classifier.weight", "classifier.bias"}
    assert "bert.embeddings.word_embeddings.weight" in stages[-1].rates
    assert "bert.embeddings.word_embeddings.weight" not in stages[-2].rates


@pytest.mark.parametrize(
    ("epochs", "blocks", "expected"),
    [(2, 6, []), (3, 6, [4]), (5, 6, [2, 4, 6]), (8, 6, [1, 2, 3, 4, 5, 6]), (6, 2, [1, 2, 2, 2])],
)
def test_gradual_opens_one_more_block_an_epoch_where_there_are_epochs_enough(
    epochs: int, blocks: int, expected: list[int]
) -> None:
    first, *middle, last = gradual(epochs, blocks)
    assert [type(first), type(last)] == [Head, Full]
    assert middle == [Top(blocks=count) for count in expected]


def test_what_a_later_stage_inserts_is_left_alone_before(still_bert: Path, reviews: Path, tmp_path: Path) -> None:
    stages = [{"epochs": 1, "method": "head"}, {"epochs": 1, "method": LORA}]
    job, ready = job_of(recipe_for(still_bert, reviews, tmp_path / "run", stages=stages))
    before = weights_of(ready.model)
    job.stages, later = job.stages[:1], job.stages
    fit(job, State(), [])
    moved = {name for name, one in weights_of(ready.model).items() if not torch.equal(one, before[name])}
    assert moved
    assert all("modules_to_save" in name for name in moved)
    assert all(not one.any() for name, one in weights_of(ready.model).items() if ".lora_B." in name)
    job.stages = later
    fit(job, State(step=job.batches.per_epoch, stage=1, began=job.batches.per_epoch), [])
    assert all(one.any() for name, one in weights_of(ready.model).items() if ".lora_B." in name)


def log(folder: Path, event: str) -> list[dict[str, Any]]:
    lines = map(json.loads, (folder / "log.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["event"] == event]


def test_a_stage_that_stops_early_is_followed_by_the_next(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    settings = {"monitor": "loss", "early_stopping": {"patience": 1, "min_delta": 5.0}, "keep_best": False}
    stages = [{"epochs": 5, "method": "head", "lr": 1e-6}, {"epochs": 3, "method": LAST, "lr": 1e-6}]
    train(recipe_for(tiny_bert, reviews, tmp_path / "run", settings, stages=stages))
    found = [line["stage"] for line in log(tmp_path / "run", "step")]
    per_epoch = 6
    # the first evaluation is the best one, and every later one is no better: two epochs, then one of the next stage
    assert found == [0] * 2 * per_epoch + [1] * per_epoch
    (end,) = log(tmp_path / "run", "stop")
    assert end["reason"].startswith("early stopping: loss has not improved on ")


def test_every_step_of_the_log_has_the_number_of_its_stage(tiny_bert: Path, reviews: Path, tmp_path: Path) -> None:
    stages = [{"epochs": 1, "method": "head"}, {"epochs": 2, "method": LAST}]
    train(recipe_for(tiny_bert, reviews, tmp_path / "run", stages=stages))
    assert [line["stage"] for line in log(tmp_path / "run", "step")] == [0] * 6 + [1] * 12
    (end,) = log(tmp_path / "run", "stop")
    assert end["reason"] == "all 3 epochs done"


@pytest.mark.parametrize("second", [pytest.param(LAST, marks=pytest.mark.slow), LORA], ids=["top", "lora"])
def test_killed_in_the_second_stage_it_ends_with_the_same_weights(
    second: dict[str, Any], tiny_bert: Path, reviews: Path, tmp_path: Path
) -> None:
    stages = [{"epochs": 1, "method": "head", "lr": 1e-2}, {"epochs": 2, "method": second, "lr": 5e-3}]
    settings = {"save_every": 2, "monitor": "log_loss"}
    recipe = write_recipe(recipe_for(tiny_bert, reviews, tmp_path / "x", settings, stages=stages), tmp_path / "r.yaml")

    def run(name: str, at: Sequence[tuple[Moment, int]] = ()) -> int:
        arguments = ("train", str(recipe), f"output={tmp_path / name}")
        outcome = luthier(*arguments, notes=tmp_path / "notes", folder=tmp_path / name, at=at)
        return outcome.code

    assert run("whole") == 0
    for line in (5, 9, 14):  # in the first stage, just behind its end, and in the second
        assert run("chain", [(Moment("open log.jsonl a", line), signal.SIGKILL)]) == -signal.SIGKILL
    assert run("chain") == 0
    for file in ("model/model.safetensors", "predictions.parquet"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "chain" / file).read_bytes()
    steps = [
        [(one["step"], one["stage"], one["loss"]) for one in log(tmp_path / name, "step")]
        for name in ("whole", "chain")
    ]
    assert steps[0] == steps[1]


def test_a_method_that_comes_back_is_inserted_once(still_bert: Path) -> None:
    found = applied(still_bert, stages=[{"method": LORA}, {"method": [LORA, LAST]}])
    assert [one.method.name for one in found.inserted if one.names] == ["lora"]
    assert sum(".lora_A." in name for name in found.stages[0].rates) == 12
    assert set(found.stages[0].rates) < set(found.stages[1].rates) == found.trained


def test_method_and_stages_together() -> None:
    with pytest.raises(
        ValidationError, match="give `method` or `stages` and not both: each stage names its own method"
    ):
        Recipe.model_validate({"data": {"files": "x.csv"}, "method": "lora", "stages": [{"method": "head"}]})


def test_two_settings_of_what_is_inserted(still_bert: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        applied(still_bert, stages=[{"method": LORA}, {"method": {**LORA, "rank": 4}}])
    assert str(refused.value) == "method: lora is there twice with different settings; give it the same each time."


def test_a_setting_twice_of_what_does_not_wrap(still_bert: Path) -> None:
    prefix = {"name": "prefix", "length": 2}
    with pytest.raises(RecipeError) as refused:
        applied(still_bert, method=[prefix, {**prefix, "length": 3}])
    assert str(refused.value) == "method: prefix is there twice with different settings; give it the same each time."


def test_two_methods_around_the_same_layers(still_bert: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        applied(still_bert, stages=[{"method": LORA}, {"method": "ia3"}])
    assert str(refused.value) == (
        "method: lora and ia3 cannot be combined, as each puts its own modules around the same layers; choose one of them."
    )


@pytest.mark.parametrize(
    ("epochs", "lacking"), [(1, "train.epochs is 1"), (3, "this model has no blocks")], ids=["epochs", "blocks"]
)
def test_gradual_where_it_cannot_be(epochs: int, lacking: str, still_bert: Path) -> None:
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "stages": "gradual", "train": {"epochs": epochs}})
    model = (
        nn.Sequential(nn.Linear(2, 2)) if "blocks" in lacking else open_model(Base("b", str(still_bert)), {}, 0).model
    )
    with pytest.raises(RecipeError) as refused:
        apply_methods(model, (), recipe, Context())
    assert str(refused.value) == f"stages: gradual needs blocks and at least 2 epochs, one a stage, and {lacking}."


def test_a_method_whose_needs_are_not_met() -> None:
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "stages": [{"method": "full"}, {"method": LORA}]})
    with pytest.raises(
        RecipeError, match=r"^method lora needs linear layers in an nn\.ModuleList, which this model does not have\."
    ):
        apply_methods(nn.Sequential(nn.ReLU()), (), recipe, Context())


SOFT = {
    "name": "cloze",
    "pattern": "{text} {soft:2} {mask}",
    "verbalizer": {"negative": "bad", "positive": "good"},
}
HARD = SOFT | {"pattern": "{text} {mask}"}


@pytest.fixture(scope="session")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.make_speaking("bert", tmp_path_factory.mktemp("speaking") / "bert")


def answering_by_words(model: Path, *methods: Any) -> Applied:
    base = Base("base", str(model))
    opened = open_model(base, {"num_labels": 2}, 0, head="words")
    recipe = Recipe.model_validate({"data": {"files": "x.csv"}, "method": list(methods)})
    return apply_methods(opened.model, opened.new, recipe, Context(open_tokenizer(base), ("negative", "positive")))


@pytest.mark.parametrize("methods", [(SOFT, "head"), ("head", SOFT, LAST), (HARD, LORA, "head")], ids=str)
def test_head_where_there_is_no_new_one(methods: tuple[Any, ...], speaking: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        answering_by_words(speaking, *methods)
    assert str(refused.value) == (
        "method head trains a new task head and nothing else, and there is none here: this network answers by what it was pretrained "
        "with. Leave head out, or take full, top or lora in its place."
    )


def test_head_and_a_cloze_that_learns_nothing(speaking: Path) -> None:
    with pytest.raises(RecipeError, match=r"^method cloze \+ head trains nothing by itself here"):
        answering_by_words(speaking, HARD, "head")


def test_a_cloze_trains_its_tokens_and_beside_what_trains_more(speaking: Path) -> None:
    (alone,) = answering_by_words(speaking, SOFT).stages[0].rates
    assert alone.endswith(".prompt.vectors")
    both = answering_by_words(speaking, HARD, LAST).stages[0].rates
    assert both
    assert all(name.startswith("bert.encoder.layer.2.") for name in both)
