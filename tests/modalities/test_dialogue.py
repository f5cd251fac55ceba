"""Prompts and answers as ids: what is learned, what ends an answer, what is cut, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import tiny_models
from luthier.data.batches import IGNORED
from luthier.errors import DataError, ModelError, RecipeError
from luthier.modalities.dialogue import PLAIN, Conversed, Dialogue, chat_template

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TALK = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Tell me a story."},
    {"role": "assistant", "content": "Once upon a time."},
    {"role": "user", "content": "More."},
    {"role": "assistant", "content": "The end."},
]


@pytest.fixture
def tokenizer(assets: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(assets / "models/stories260k")


@pytest.fixture
def chatting(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """A tokenizer that chats, with padding that equals its end of sequence."""
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"], "eos_token": "<|im_end|>"})
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.chat_template = CHATML
    return tokenizer


@pytest.fixture
def plain(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    tokenizer.chat_template = chat_template(tokenizer, PLAIN)
    return tokenizer


def learned(modality: Dialogue, row: Any) -> list[str]:
    """What is learned of a row, piece by piece."""
    encoded = modality.encode([row]).columns
    ids, targets = np.array(encoded["input_ids"][0]), np.array(encoded["target_tokens"][0])
    assert ((targets == ids) | (targets == IGNORED)).all()
    runs = np.split(targets, np.flatnonzero(np.diff((targets != IGNORED).astype(int))) + 1)
    return [modality.tokenizer.decode(run) for run in runs if run[0] != IGNORED]


def test_only_answers_are_learned_each_with_its_end(chatting: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(chatting, 256, None)
    assert learned(modality, TALK) == ["Once upon a time.<|im_end|>", "The end.<|im_end|>"]
    whole = chatting.apply_chat_template(TALK, tokenize=False)
    told = chatting.decode(modality.encode([TALK]).columns["input_ids"][0])
    assert told.replace(" ", "") == whole.rstrip("\n").replace(" ", ""), "the decoder puts spaces behind special tokens"


def test_end_is_learned_and_padding_is_not_where_they_are_the_same_token(chatting: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(chatting, 256, None)
    batch = modality.collate(modality.encode([TALK, TALK[1:3]]).columns)
    end = chatting.pad_token_id
    assert end == chatting.eos_token_id
    padding = batch["attention_mask"] == 0
    assert padding[1].any()
    assert (batch["input_ids"][padding] == end).all()
    assert (batch["target_tokens"][padding] == IGNORED).all()
    last = int(batch["attention_mask"][1].sum()) - 1
    assert batch["target_tokens"][1, last] == end


def test_a_template_of_the_plain_kind(plain: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(plain, 256, None)
    row = ("Say hello.", "to Tom", "Hello Tom!")
    assert learned(modality, row) == ["Hello Tom!</s>"]
    text = plain.decode(modality.encode([row]).columns["input_ids"][0])
    assert text == "<s> ### Instruction:\nSay hello.\n\nto Tom\n\n### Response:\n Hello Tom!</s>"


def test_a_template_with_quotes_braces_and_other_scripts(tokenizer: PreTrainedTokenizerBase) -> None:
    wording = 'Frage "{x}": {prompt}\n\\ 回答：'
    tokenizer.chat_template = chat_template(tokenizer, wording)
    turns = [{"role": "user", "content": "{{ 1 }}"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == "<s>" + wording.replace("{prompt}", "{{ 1 }}")


def test_a_prompt_is_what_an_answer_is_learned_behind(plain: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(plain, 256, None)
    asked = modality.encode([modality.given("Say hello.")]).columns
    whole = modality.encode([("Say hello.", "Hello!")]).columns
    length = len(asked["input_ids"][0])
    assert list(whole["input_ids"][0])[:length] == list(asked["input_ids"][0])
    assert (np.array(asked["target_tokens"][0]) == IGNORED).all()
    assert whole["target_tokens"][0][length] != IGNORED


def test_an_end_is_added_where_the_template_writes_none(tokenizer: PreTrainedTokenizerBase) -> None:
    tokenizer.chat_template = (
        "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    assert learned(Dialogue(tokenizer, 256, None), TALK[1:3]) == ["Once upon a time.\n</s>"]


def test_of_a_template_that_rewrites_earlier_answers_the_last_is_learned(chatting: PreTrainedTokenizerBase) -> None:
    chatting.chat_template = CHATML.replace(
        "message['content'] +",
        "(('' if loop.last or message['role'] != 'assistant' else 'Earlier: ') + message['content']) +",
    )
    assert learned(Dialogue(chatting, 256, None), TALK) == ["The end.<|im_end|>"]


def test_turns_behind_the_last_answer_are_left_out(chatting: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(chatting, 256, None)
    assert modality.encode([TALK[:4]]).columns["input_ids"][0].tolist() == (
        modality.encode([TALK[:3]]).columns["input_ids"][0].tolist()
    )


def cut(length: int, start: int, limit: int) -> Conversed:
    ids = np.arange(length)
    return Conversed(ids, np.where(ids >= start, ids, IGNORED), start).cut(limit)


def test_what_is_too_long_loses_the_middle_of_the_prompt_first() -> None:
    row = cut(20, 14, 12)
    assert row.ids.tolist() == [0, 1, 2, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    assert row.targets.tolist() == [IGNORED] * 6 + list(range(14, 20))
    assert row.start == 6


def test_an_answer_keeps_half_of_the_room_and_a_short_prompt_all_of_its() -> None:
    assert cut(40, 20, 10).ids.tolist() == [0, 1, 2, 18, 19, 20, 21, 22, 23, 24]
    assert cut(40, 2, 10).ids.tolist() == list(range(10))
    assert cut(8, 4, 8).ids.tolist() == list(range(8))


def test_lengths_tell_what_was_cut(plain: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(plain, 40, None)
    encoded = modality.encode([("word " * 50, "yes"), ("a", "b")])
    alone = modality.encode([modality.given("word " * 50)]).columns
    assert encoded.columns["target_prompt"][0].tolist() == alone["input_ids"][0].tolist(), "as a person will ask it"
    assert encoded.lengths[0] == 40 < encoded.full_lengths[0]
    assert encoded.lengths[1] == encoded.full_lengths[1]


def test_the_encoding_depends_on_the_template(plain: PreTrainedTokenizerBase) -> None:
    before = Dialogue(plain, 40, None).fingerprint
    plain.chat_template = chat_template(plain, "{prompt}")
    assert Dialogue(plain, 40, None).fingerprint != before


@pytest.fixture
def network(assets: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(assets / "models/stories260k", dtype=torch.float32).eval()


def test_batches_are_written_as_rows_alone(plain: PreTrainedTokenizerBase, network: Any) -> None:
    plain.chat_template = chat_template(plain, "{prompt}")
    modality = Dialogue(plain, 64, 512)
    rows = [
        ("Once upon a time, there was a little girl", "named"),
        ("One day", "x"),
        ("Lily and Tom went to the park", "y"),
    ]
    texts = modality.write(network, modality.collate(modality.encode(rows).columns), 12)
    for (prompt, _), text in zip(rows, texts, strict=True):
        ids = torch.tensor([plain(f"<s>{prompt}", add_special_tokens=False)["input_ids"]])
        for _ in range(12):  # the slow way: no cache, no padding
            following = network(input_ids=ids).logits[0, -1].argmax()
            ids = torch.cat([ids, following[None, None]], dim=1)
        assert text == plain.decode(ids[0, -12:], skip_special_tokens=True).strip()


def test_writing_ends_at_any_end_of_sequence_that_the_network_knows(
    plain: PreTrainedTokenizerBase, network: Any
) -> None:
    modality = Dialogue(plain, 64, 512)
    batch = modality.collate(modality.encode([("Once upon a time", "x")]).columns)
    text = modality.write(network, batch, 12)[0]
    ids = plain(text, add_special_tokens=False)["input_ids"]
    network.generation_config.eos_token_id = [plain.eos_token_id, ids[3]]
    short = modality.write(network, batch, 12)[0]
    assert len(short) < len(text)
    assert text.startswith(short)


def test_prompts_leave_room_in_the_window_for_what_is_written(tmp_path: Path) -> None:
    network = AutoModelForCausalLM.from_pretrained(tiny_models.make_speaking("gpt2", tmp_path)).eval()
    tokenizer = tiny_models.word_tokenizer()
    tokenizer.chat_template = chat_template(tokenizer, "{prompt}")
    modality = Dialogue(tokenizer, None, tiny_models.POSITIONS)
    batch = modality.collate(modality.encode([("good " * 90, "bad"), ("good", "bad")]).columns)
    assert batch["input_ids"].shape[1] == tiny_models.POSITIONS
    for row in modality.write(network, batch, 1000):  # more would not fit into GPT-2's table and raise
        assert len(row.split()) <= tiny_models.POSITIONS // 2


@pytest.mark.parametrize(
    ("value", "turns"),
    [
        ("Who?", [{"role": "user", "content": "Who?"}]),
        (("Who?", "This."), [{"role": "user", "content": "Who?\n\nThis."}]),
        ([{"role": "human", "content": "Who?"}], [{"role": "user", "content": "Who?"}]),
    ],
)
def test_what_a_person_may_give(plain: PreTrainedTokenizerBase, value: Any, turns: list[dict[str, str]]) -> None:
    assert Dialogue(plain, 40, None).given(value) == turns


def test_refusals(plain: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(plain, 40, None, "this-model")
    with pytest.raises(DataError, match=r"answers a prompt, or a conversation as a list of .role, content.; got int"):
        modality.given(3)
    with pytest.raises(RecipeError, match=r"task.template must have {prompt} once, .* got 'nothing'"):
        chat_template(plain, "nothing")
    plain.chat_template = "{{ raise_exception('no system turn, please') }}"
    with pytest.raises(ModelError, match=r"this-model does not take these turns \(user.*\): no system turn, please"):
        modality.encode([("a", "b")])
    plain.chat_template = "{{ messages | length }}"
    with pytest.raises(ModelError, match="writes an answer otherwise than behind the prompt that asks for it"):
        modality.encode([("a", "b")])


def test_the_saved_tokenizer_asks_in_the_same_words(plain: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    modality = Dialogue(plain, 40, None)
    modality.save(str(tmp_path))
    again = AutoTokenizer.from_pretrained(tmp_path)
    asked = again.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)["input_ids"]
    assert list(asked) == modality.encode([modality.given("Hi")]).columns["input_ids"][0].tolist()


def test_tokenizers_without_a_first_token(tmp_path: Path) -> None:
    tokenizer = tiny_models.word_tokenizer()
    assert json.dumps("[CLS]") in chat_template(tokenizer, PLAIN)


def test_a_person_asks_for_the_answer_to_the_last_turn(chatting: PreTrainedTokenizerBase) -> None:
    modality = Dialogue(chatting, 256, None)
    asked = modality.encode([modality.given(TALK[:4])]).columns["target_prompt"][0]
    whole = chatting.apply_chat_template(TALK[:4], add_generation_prompt=True)["input_ids"]
    told, expected = (chatting.decode(ids).replace(" ", "") for ids in (asked, whole))
    assert told == expected, "not to the first, which has an answer; the decoder puts spaces behind special tokens"
    assert modality.given(TALK) == TALK
