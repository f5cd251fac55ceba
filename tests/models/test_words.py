from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as tf
from torch import nn

from luthier.errors import RecipeError
from luthier.models.words import LabelWords, Place, answer_by_words, predicts_masked, predicts_next

WORDS = [[3], [1, 4, 5], [0, 3]]
IDS = torch.tensor([[2, 9, 4, 9, 3], [2, 9, 5, 3, 0]])
ATTENTION = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("calls", [1, 3])
def test_the_logit_of_a_label_is_the_mean_of_its_words(bias: bool, calls: int) -> None:
    torch.manual_seed(0)
    plain, shared = nn.Linear(4, 6, bias), nn.Linear(4, 6, bias)
    shared.load_state_dict(plain.state_dict())
    ours = LabelWords(shared, WORDS)
    for _ in range(calls):  # from the second call of a step on the gradient is added sparsely
        states = torch.randn(2, 1, 4)
        expected = torch.stack([plain(states)[..., words].mean(-1) for words in WORDS], dim=-1)
        assert torch.allclose(ours(states), expected, atol=1e-6)
        expected.square().sum().backward()
        ours(states).square().sum().backward()
    assert torch.allclose(shared.weight.grad, plain.weight.grad, atol=1e-5)
    assert ours.state_dict().keys() == plain.state_dict().keys()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place(9), [3, 1]),
        (Place(9, behind=False), [1, 1]),
        (Place(9, shift=1), [2, 0]),
        (Place(None), [4, 3]),
    ],
)
def test_where_the_answer_is_read(place: Place, expected: list[int]) -> None:
    assert place.of(IDS, ATTENTION).tolist() == expected


def test_without_a_mask_of_attention_every_token_counts() -> None:
    assert Place(None).of(IDS, None).tolist() == [4, 4]


def test_what_predicts_words() -> None:
    encoder, decoder = tf.BertConfig(), tf.LlamaConfig()
    assert (predicts_masked(encoder), predicts_next(encoder)) == (True, False)
    assert (predicts_masked(decoder), predicts_next(decoder)) == (False, True)
    assert not any(
        check(config) for check in (predicts_masked, predicts_next) for config in (tf.BartConfig(), tf.T5Config())
    )


def answer(model: Any) -> Any:
    answer_by_words(model, WORDS, Place(9))
    return model(input_ids=IDS, attention_mask=ATTENTION)


def test_heads_of_another_kind_are_refused() -> None:
    sizes: dict[str, Any] = {"vocab_size": 19, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    narrow = tf.MobileBertConfig(**sizes, intermediate_size=32, embedding_size=16, intra_bottleneck_size=16)
    strange = [tf.MobileBertForMaskedLM(narrow), tf.BertModel(tf.BertConfig(**sizes, intermediate_size=32))]
    for model in strange:
        with pytest.raises(RecipeError) as refused:
            answer(model.eval())
        assert str(refused.value) == (
            f"method cloze: the part of {type(model).__name__} that predicts words is built in a way of its own, which cannot be cut "
            "to the words of the labels; choose another model or method."
        )
