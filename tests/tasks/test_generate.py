"""Runs that write answers, from the file to the card: what is saved writes the same with plain transformers and PEFT."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

import luthier
import tiny_models
from luthier.errors import DataError, LuthierError
from luthier.methods import METHODS
from luthier.modalities.text import Text

TOKENS = 12


def recipe(files: Path, model: Path, output: Path, **more: Any) -> dict[str, Any]:
    return {
        "task": {"name": "generate", "max_new_tokens": TOKENS, **more.pop("task", {})},
        "model": str(model),
        "data": {"files": str(files), "max_length": 96, "split": {"sizes": {"validation": 8, "test": 12}}},
        "train": {"epochs": 2, "batch_size": 8, "precision": "fp32", "lr": 1e-3},
        "output": str(output),
        **more,
    }


@pytest.fixture(scope="module")
def stories(assets: Path) -> Path:
    return assets / "models/stories260k"


@pytest.fixture(scope="module")
def instructions(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short instructions and answers out of Alpaca, one of them without an answer."""
    rows = json.loads((assets / "data/alpaca_en_demo.json").read_text(encoding="utf-8"))
    short = [row for row in rows if len(row["output"]) < 120 and len(row["instruction"] + row["input"]) < 120][:70]
    file = tmp_path_factory.mktemp("alpaca") / "few.json"
    file.write_text(json.dumps([*short, {"instruction": "Say nothing.", "input": "", "output": " "}]), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def run(instructions: Path, stories: Path, tmp_path_factory: pytest.TempPathFactory) -> luthier.Run:
    return luthier.train(recipe(instructions, stories, tmp_path_factory.mktemp("run") / "run", method="full"))


@pytest.fixture(scope="module")
def stored(run: luthier.Run) -> pd.DataFrame:
    return pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")


def test_it_learns(run: luthier.Run) -> None:
    log = [json.loads(line) for line in (run.path / "log.jsonl").read_text().splitlines()]
    seen = [one for one in log if one["event"] == "evaluate"]
    steps = [one["loss"] for one in log if one["event"] == "step"]
    assert sum(steps[-4:]) < sum(steps[:4])
    assert seen[-1]["perplexity"] == pytest.approx(math.exp(seen[-1]["loss"]), rel=1e-5)
    assert "bleu" not in seen[-1], "nothing is written while training goes on"
    assert run.data["bad_rows"]["examples"] == [{"split": "all", "row": 71, "reason": "no answer"}]


def test_figures_are_of_the_rows_that_are_stored(run: luthier.Run, stored: pd.DataFrame) -> None:
    found = run.evaluate("test")
    assert found.rows == 12
    assert set(found.metrics) == set(found.intervals) >= {"perplexity", "token_accuracy", "exact_match", "chrf"}
    low, high = found.intervals["perplexity"]
    assert low < found.metrics["perplexity"] < high
    assert found.baseline is None
    assert {"instruction", "input", "label", "predicted"} <= set(stored.columns)


def test_stored_and_live_agree(run: luthier.Run, stored: pd.DataFrame) -> None:
    live = run.predict(list(zip(stored["instruction"], stored["input"], strict=True)))
    assert [one.label for one in live] == stored["predicted"].tolist()
    assert live[0].confidence is None


def test_a_file_is_scored_and_predicted(run: luthier.Run, instructions: Path, tmp_path: Path) -> None:
    rows = json.loads(instructions.read_text())[:4]
    file, output = tmp_path / "new.json", tmp_path / "out.jsonl"
    file.write_text(json.dumps(rows))
    assert run.evaluate(file).rows == 4
    assert run.predict_file(file, output) == 4
    written = [json.loads(line)["predicted"] for line in output.read_text().splitlines()]
    assert written == [one.label for one in run.predict([(row["instruction"], row["input"]) for row in rows])]


def test_plain_transformers_writes_the_same(run: luthier.Run, stored: pd.DataFrame) -> None:
    folder = run.path / "model"
    tokenizer, network = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    for row in stored.head(4).itertuples():
        asked = "\n\n".join(filter(str.strip, [row.instruction, row.input]))
        inputs = tokenizer.apply_chat_template(
            [{"role": "user", "content": asked}], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        made = network.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
        text = tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        assert text == row.predicted


def test_the_card_asks_as_the_run_does(run: luthier.Run) -> None:
    card = (run.path / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    assert "pipeline_tag: text-generation" in card
    lines = [line for line in code.splitlines() if not line.startswith("print")]
    said: dict[str, Any] = {}
    exec("\n".join(lines), said)
    answer = said["predict"]([{"role": "user", "content": "What is a lute?"}])[0]["generated_text"][-1]["content"]
    assert answer.strip() == run.predict(["What is a lute?"])[0].label
    assert pipeline is not None


@pytest.mark.parametrize("save", ["increment", "merged"])
def test_lora_is_saved_for_plain_libraries(instructions: Path, stories: Path, tmp_path: Path, save: str) -> None:
    run = luthier.train(recipe(instructions, stories, tmp_path / "run", method="lora", save=save))
    folder = run.path / "model"
    network = (AutoPeftModelForCausalLM if save == "increment" else AutoModelForCausalLM).from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Tell a story."}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    with torch.no_grad():
        made = network.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)
    text = tokenizer.decode(made[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
    assert text == run.predict(["Tell a story."])[0].label
    table = network.get_output_embeddings().weight
    base = AutoModelForCausalLM.from_pretrained(stories).get_output_embeddings().weight
    assert torch.equal(table, base), "what predicts words is the checkpoint's and stays as it is"


def test_conversations(stories: Path, tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "Where?"},
    ]
    rows = [{"messages": [*turns, {"role": "assistant", "content": f"In room {number}."}]} for number in range(40)]
    rows += [{"messages": turns[:1]}, {"messages": [{"role": "user", "content": "And you?"}, turns[1]]}]
    file = tmp_path / "talks.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    model = tmp_path / "model"
    AutoModelForCausalLM.from_pretrained(stories).save_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(stories)
    tokenizer.save_pretrained(model)
    with pytest.raises(LuthierError, match="has no chat template to write them with"):
        luthier.train(recipe(file, model, tmp_path / "run"))
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}{% if message['role'] == 'assistant' %}"
        "{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    tokenizer.save_pretrained(model)
    run = luthier.train(recipe(file, model, tmp_path / "run"))
    assert run.data["bad_rows"]["examples"] == [{"split": "all", "row": 41, "reason": "no assistant turn"}]
    assert isinstance(run.predict([turns])[0].label, str)
    assert (run.path / "report.html").is_file()


def test_bad_rows_may_be_refused(instructions: Path, stories: Path, tmp_path: Path) -> None:
    given = recipe(instructions, stories, tmp_path / "run")
    with pytest.raises(DataError, match=r"1 of 71 rows of the data cannot be used: row 71 \(no answer\)"):
        luthier.train(given, data={**given["data"], "bad_rows": "error"})


def test_what_is_no_prompt_is_refused(run: luthier.Run) -> None:
    for value, told in ((3, "int"), ([["tell", "me"]], "list")):
        with pytest.raises(DataError) as refused:
            run.predict(value)  # type: ignore[arg-type]
        assert str(refused.value) == (
            f"A model that writes answers a prompt, or a conversation as a list of {{role, content}}; got {told}."
        )


def test_a_modality_that_cannot_write_is_refused(run: luthier.Run) -> None:
    modality = Text(tiny_models.word_tokenizer())
    with pytest.raises(TypeError, match=r"Text reads and does not write"):
        run.target.completed(torch.zeros(1, 3), None, modality, {})


def test_too_long_rows_are_counted_dropped_or_refused(instructions: Path, stories: Path, tmp_path: Path) -> None:
    given = recipe(instructions, stories, tmp_path / "run", method="norm")
    given["train"]["epochs"] = 1
    short = {**given["data"], "max_length": 80}
    with pytest.raises(DataError, match="rows are longer than max_length 80"):
        luthier.train(given, data={**short, "too_long": "error"})
    run = luthier.train(given, data={**short, "too_long": "drop"})
    told = run.data["splits"]["train"]["too_long"]
    assert told["rows"] > 0
    assert told["action"] == "drop"


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (
            "prompt",
            "method prompt puts its tokens before the input of every call, and a text is written one call a token",
        ),
        ("cloze", "method cloze answers with one of the labels' words, and task generate writes"),
        ("head", "method head trains nothing by itself here"),
    ],
)
def test_methods_that_cannot_write_are_refused(
    instructions: Path, stories: Path, tmp_path: Path, method: str, said: str
) -> None:
    with pytest.raises(LuthierError, match=said):
        luthier.train(recipe(instructions, stories, tmp_path / "run", method=method))


def test_models_that_cannot_write_are_refused(instructions: Path, stories: Path, tmp_path: Path) -> None:
    encoder = tiny_models.make("bert", tmp_path / "bert")
    with pytest.raises(
        LuthierError, match="task generate needs a decoder, which predicts the next word, and bert is none"
    ):
        luthier.train(recipe(instructions, encoder, tmp_path / "run"))
    headless = tiny_models.make("llama", tmp_path / "llama")
    with pytest.raises(LuthierError, match="parameters of what predicts its words are not in the checkpoint"):
        luthier.train(recipe(instructions, headless, tmp_path / "run"))
    endless = tmp_path / "endless"
    AutoModelForCausalLM.from_pretrained(stories).save_pretrained(endless)
    tokenizer = AutoTokenizer.from_pretrained(stories)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(endless)
    with pytest.raises(LuthierError, match="has no end of sequence, which the model writes when an answer is complete"):
        luthier.train(recipe(instructions, endless, tmp_path / "run"))


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts and answers in the words of the tiny models."""
    draw = random.Random(0)
    rows = [
        {
            "prompt": " ".join(draw.choices(tiny_models.WORDS, k=draw.randint(1, 5))),
            "answer": draw.choice(tiny_models.WORDS),
        }
        for _ in range(60)
    ]
    file = tmp_path_factory.mktemp("words") / "words.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


CANNOT = {"head": "trains nothing by itself", "cloze": "task generate writes", "bias": "this model has no biases"}
CANNOT |= dict.fromkeys(("prompt", "ptuning"), "a text is written one call a token")


@pytest.mark.slow
@pytest.mark.parametrize("method", [*METHODS, "lora in 4 bits"])
def test_every_method_writes_as_it_was_scored_or_is_refused(words: Path, tmp_path: Path, method: str) -> None:
    settings: dict[str, Any] = {
        "pattern": {"name": "pattern", "train": [r"layers\.2"]},
        "lora in 4 bits": {"name": "lora", "bits": 4},
    }
    model = tiny_models.make_speaking("llama", tmp_path / "llama")
    given = recipe(words, model, tmp_path / "run", method=settings.get(method, method))
    if method in CANNOT:
        with pytest.raises(LuthierError, match=CANNOT[method]):
            luthier.train(given)
        return
    run = luthier.train(given)
    stored = pd.read_parquet(run.path / "predictions.parquet").query("split == 'test'")
    assert [one.label for one in run.predict(stored["prompt"].tolist())] == stored["predicted"].tolist()
    file = tmp_path / "test.jsonl"
    stored.rename(columns={"label": "answer"})[["prompt", "answer"]].to_json(file, orient="records", lines=True)
    live, before = run.evaluate(file).metrics, run.evaluate("test").metrics
    assert live["perplexity"] == pytest.approx(before["perplexity"], rel=1e-4)
