from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForTokenClassification, pipeline

import luthier
import tiny_models
from luthier.data.token_rows import written
from luthier.errors import DataError
from luthier.evaluate.spans import SpanJudge
from luthier.modalities.tokens import Tokens
from luthier.objectives.tokens import WordCrossEntropy
from luthier.tasks import Prediction
from luthier.tasks.tag import Tag, Tags

BIO = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "O"], ["B-ORG", "B-ORG", "I-ORG"]]
BMES = [["B-PER", "E-PER", "O", "S-LOC"], ["O", "O"], ["S-ORG", "B-ORG", "E-ORG"]]
BILOU = [["B-PER", "L-PER", "O", "U-LOC"], ["O", "O"], ["U-ORG", "B-ORG", "L-ORG"]]
WORDS = [["DET", "NOUN", "VERB"], ["NOUN"], ["DET", "ADJ", "NOUN"]]


@pytest.mark.parametrize("values", [BIO, BMES, BILOU], ids=["BIO", "BMES", "BILOU"])
def test_spans_become_bio_whatever_they_are_written_in(values: list[list[str]]) -> None:
    target = Tag().learn(values)
    assert target.tags.kinds == ("LOC", "ORG", "PER")
    encoded = target.encode(values)
    assert encoded.dtype == object
    assert [row.dtype for row in encoded] == [np.int64] * 3
    assert target.decode(encoded) == BIO
    assert target.count(encoded) == {"LOC": 1, "ORG": 2, "PER": 1}


def test_rows_of_the_same_length_stay_rows() -> None:
    target = Tag().learn(BIO)
    encoded = target.encode([BIO[0], BIO[0]])
    assert encoded.shape == (2,)
    assert [row.tolist() for row in encoded] == [[5, 6, 0, 1]] * 2
    assert [row.tolist() for row in target.encode([BIO[1], []])] == [[0, 0], []]
    assert len(target.encode([])) == 0


def test_tags_of_single_words() -> None:
    target = Tag().learn(WORDS)
    assert target.model_config["id2label"] == {0: "ADJ", 1: "DET", 2: "NOUN", 3: "VERB"}
    encoded = target.encode(WORDS)
    assert target.decode(encoded) == WORDS
    assert target.count(encoded) == {"ADJ": 1, "DET": 2, "NOUN": 3, "VERB": 1}


def test_tags_may_be_numbers() -> None:
    target = Tag().learn([[3, 1], [1]])
    assert target.decode(target.encode([np.array([1, 3])])) == [["1", "3"]]


@pytest.mark.parametrize("values", [BIO, BMES, WORDS, [["PER", "O"]]])
def test_facts_restore_the_target(values: list[list[str]]) -> None:
    target = Tag(illegal="error").learn(values)
    again = Tag().restore(json.loads(json.dumps(target.facts)))
    assert (again.facts, again.model_config) == (target.facts, target.model_config)
    assert again.action == "error"
    assert [row.tolist() for row in again.encode(values)] == [row.tolist() for row in target.encode(values)]


def test_facts() -> None:
    assert Tag().learn(BMES).facts == {
        "kind": "tags",
        "notation": "B-TYPE",
        "scheme": "BIOES",
        "types": ["LOC", "ORG", "PER"],
        "illegal": "repair",
    }


def test_model_config() -> None:
    names = ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG", "B-PER", "I-PER"]
    assert Tag().learn(BMES).model_config == {
        "num_labels": 7,
        "id2label": dict(enumerate(names)),
        "label2id": {name: number for number, name in enumerate(names)},
    }


def test_what_people_are_told() -> None:
    about = Tag().learn(BIO).about
    assert (about.kind, about.answer) == ("entities of 3 types", "entities of 3 types: LOC, ORG, PER")
    assert (about.pipeline, about.peft) == ("token-classification", "AutoPeftModelForTokenClassification")
    assert Tag().learn([["B-X", "O"]]).about.kind == "entities of 1 type"
    alone = Tag().learn(WORDS).about
    assert (alone.kind, alone.answer) == ("a tag a word, of 4 tags", "a tag for each word: ADJ, DET, NOUN, VERB")


def test_objective_and_judge() -> None:
    target = Tag().learn(BIO)
    objective: Any = target.objective(0.1)
    assert isinstance(objective, WordCrossEntropy)
    assert objective.label_smoothing == 0.1
    assert isinstance(target.judge, SpanJudge)
    encoded = target.encode(BIO)
    perfect = [np.eye(7, dtype=np.float32)[row] for row in encoded]
    assert set(target.judge.metrics(encoded, perfect).values()) == {1.0}


ILLEGAL = [["O", "I-PER", "I-PER"], ["B-PER", "I-LOC"], ["B-LOC", "I-LOC"], ["B-PER", "O"]]


def test_illegal_tags_are_counted_and_read_as_the_conll_evaluation_does() -> None:
    target = Tag().learn(ILLEGAL)
    assert target.remarks(ILLEGAL, [7, 9, 11, 13]) == [
        "2 tags break the scheme IOB2, in 2 of 4 rows, the first in row 7, word 2 (I-PER behind O, before I-PER): read as CoNLL's "
        "evaluation does. task: {name: tag, illegal: error} refuses them."
    ]
    assert target.remarks(ILLEGAL[1:2], [9])[0].startswith(
        "1 tag breaks the scheme IOB2, in 1 of 1 row, the first in row 9"
    )
    assert target.remarks(ILLEGAL[2:], [11, 13]) == []
    assert target.decode(target.encode(ILLEGAL)) == [
        ["O", "B-PER", "I-PER"],
        ["B-PER", "B-LOC"],
        ["B-LOC", "I-LOC"],
        ["B-PER", "O"],
    ]


def test_illegal_tags_are_refused_where_the_recipe_says_so() -> None:
    target = Tag(illegal="error").learn(ILLEGAL)
    with pytest.raises(DataError) as refused:
        target.encode([*ILLEGAL[2:], *ILLEGAL[:2]])
    assert str(refused.value) == (
        "2 tags break the scheme IOB2, in 2 of 4 rows, the first in row 3, word 2 (I-PER behind O, before I-PER), and the recipe "
        "says illegal: error. Correct them, or write task: {name: tag, illegal: repair}."
    )
    with pytest.raises(DataError, match=r"2 tags .* in 2 of 4 rows, the first in row 7, word 2 .* illegal: error"):
        target.remarks(ILLEGAL, [7, 9, 11, 13])
    with pytest.raises(DataError, match="Row 9 has the tag 'B-XYZ' at word 1, of a type that the training rows do not"):
        target.remarks([["O"], ["B-XYZ"]], [7, 9])
    assert target.remarks(ILLEGAL[2:], [11, 13]) == []
    assert len(target.encode(ILLEGAL[2:])) == 2
    bmes = Tag(illegal="error").learn(BMES)
    with pytest.raises(DataError, match=r"the first in row 1, word 2 \(M-PER behind B-PER, before O\)"):
        bmes.encode([["B-PER", "M-PER", "O"]])
    with pytest.raises(DataError, match=r"the first in row 1, word 1 \(E-PER at the beginning, at the end\)"):
        bmes.encode([["E-PER"]])


REFUSED: dict[str, tuple[list[Any], str]] = {
    "no lists": (
        [["O"], "B-PER O"],
        "Row 2 has 'B-PER O' where a list of tags was expected, one for each word, such as ['B-PER', 'O']. Is this the right column "
        "of tags? `data.columns.label` names another.",
    ),
    "nothing": (
        [],
        "None of the training rows has a tag: there is nothing to learn. Is this the right column of tags?",
    ),
    "no entities": (
        [["O", "O"], ["O"]],
        "No word of the training rows has a tag but O: there is nothing to learn. Is this the right column of tags?",
    ),
    "one tag": (
        [["NOUN"], ["NOUN"]],
        "All words of the training rows have the tag 'NOUN': there is nothing to learn. Is this the right column of tags?",
    ),
    "a slip": (
        [["B-PER", "I-PER"], ["B-PER", "0"]],
        "Row 2 has the tag '0' at word 2, which is not written as the other tags of the training rows are (O or as in B-PER). Correct it.",
    ),
    "an empty tag": (
        [["NOUN", "VERB"], ["", "VERB"]],
        "Row 2 has the tag '' at word 1, which is not written as the other tags of the training rows are (a tag for each word). "
        "Correct it.",
    ),
}


@pytest.mark.parametrize(("values", "text"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_learned(values: list[Any], text: str) -> None:
    with pytest.raises(DataError) as refused:
        Tag().learn(values)
    assert str(refused.value) == text


def test_a_type_that_training_lacks() -> None:
    with pytest.raises(DataError) as refused:
        Tag().learn(BIO).encode([["O"], ["O", "B-MISC"]])
    assert str(refused.value) == (
        "Row 2 has the tag 'B-MISC' at word 2, of a type that the training rows do not have (known: LOC, ORG, PER). Correct it, or add "
        "training rows with this type."
    )
    with pytest.raises(
        DataError, match=r"^Row 1 has the tag 'O' at word 1, of a type that the training rows do not have"
    ):
        Tag().learn(WORDS).encode([["O"]])


def certain(target: Tags, rows: list[list[str]], sure: float = 0.9) -> list[np.ndarray]:
    count = len(target.tags.names)
    rest = (1 - sure) / (count - 1)
    return [(np.eye(count) * (sure - rest) + rest).astype(np.float32)[row] for row in target.encode(rows)]


def test_predictions_are_entities() -> None:
    target = Tag().learn(BIO)
    scores = certain(target, BIO)
    scores[2][2] = [0.4, 0, 0, 0, 0.6, 0, 0]
    first, second, third = target.predictions(scores)
    assert first.label == [
        {"type": "PER", "start": 0, "end": 2, "confidence": pytest.approx(0.9)},
        {"type": "LOC", "start": 3, "end": 4, "confidence": pytest.approx(0.9)},
    ]
    assert (second.label, second.confidence) == ([], pytest.approx(0.9))
    assert third.label[1] == {"type": "ORG", "start": 1, "end": 3, "confidence": pytest.approx(0.75)}
    assert third.confidence == pytest.approx(0.6)
    assert first.probabilities == {}


def test_predictions_of_single_words() -> None:
    target = Tag().learn(WORDS)
    scores = certain(target, WORDS)
    scores[0][1] = 0
    first, second, _ = target.predictions(scores)
    assert (first.label, first.confidence) == (["DET", None, "VERB"], 0)  # a word was cut off
    assert (second.label, second.confidence) == (["NOUN"], pytest.approx(0.9))
    assert target.told(second, ["film"]) == second


@pytest.mark.parametrize(
    ("words", "text"), [(["Ada", "Lovelace", "of", "London"], "Ada Lovelace"), (list("高勇在京"), "高勇")]
)
def test_entities_have_their_text(words: list[str], text: str) -> None:
    prediction = Prediction([{"type": "PER", "start": 0, "end": 2, "confidence": 0.9}], 0.9)
    assert Tag().learn(BIO).told(prediction, words).label == [
        {"type": "PER", "start": 0, "end": 2, "confidence": 0.9, "text": text}
    ]
    assert written(words).startswith(text)


def test_scores_are_stored_and_restored() -> None:
    target = Tag().learn(BIO)
    scores = [*certain(target, BIO), np.zeros((0, 7), dtype=np.float32)]
    columns = {name: json.loads(json.dumps(values)) for name, values in target.stored(scores).items()}
    again = target.restored(columns)
    assert [one.dtype for one in again] == [np.float32] * 4
    for ours, row in zip(again, scores, strict=True):
        np.testing.assert_array_equal(ours, row)


ENTITIES = {"phone": "B-THING", "battery": "I-THING", "film": "B-ART", "story": "I-ART"}
"""Words that can be told by themselves."""
SENTENCES = [
    "the phone battery is good",
    "not a phone film",
    "very bad film story phone battery",
    "the room is great",
    "film film story",
]


def test_a_network_learns_and_transformers_finds_the_same_entities(tmp_path: Path) -> None:
    rows = [sentence.split() for sentence in SENTENCES]
    tags = [[ENTITIES.get(word, "O") for word in row] for row in rows]
    target = Tag().learn(tags)
    modality = Tokens(tiny_models.word_tokenizer())
    made = modality.collate(modality.encode(rows).columns)
    encoded = target.encode(tags)
    padded = np.full((len(rows), max(map(len, rows))), -100)
    for line, row in zip(padded, encoded, strict=True):
        line[: len(row)] = row
    batch = made | {"target": torch.from_numpy(padded)}

    torch.manual_seed(0)
    config = BertConfig(**tiny_models.WIDTHS, vocab_size=len(modality.tokenizer), **target.model_config)
    model, objective = BertForTokenClassification(config), target.objective()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(60):
        loss, count = objective(model, batch)
        optimizer.zero_grad()
        (loss / count).backward()
        optimizer.step()

    model.eval()
    with torch.inference_mode():
        logits = model(input_ids=made["input_ids"], attention_mask=made["attention_mask"]).logits
    scores = [row.numpy() for row in target.scores(logits, batch)]
    assert target.judge.metrics(encoded, scores)["f1"] == 1
    model.save_pretrained(tmp_path)
    modality.save(str(tmp_path))
    about = target.about
    plain: Any = pipeline(about.pipeline, str(tmp_path), **about.options)  # type: ignore[call-overload]
    for row, sentence, prediction in zip(rows, SENTENCES, target.predictions(scores), strict=True):
        ours = [(one["type"], one["text"], one["confidence"]) for one in target.told(prediction, row).label]
        theirs = plain(sentence)
        assert [one[:2] for one in ours] == [
            (one["entity_group"], sentence[one["start"] : one["end"]]) for one in theirs
        ]
        assert [one[2] for one in ours] == pytest.approx([one["score"] for one in theirs], abs=1e-4)


def test_what_is_no_row_of_words_is_refused(tmp_path: Path) -> None:
    words = "\n\n".join(
        f"the O\n{tiny_models.WORDS[row % 10]} B-N\n{tiny_models.WORDS[row // 10]} O" for row in range(40)
    )
    (tmp_path / "rows.bio").write_text(words + "\n", encoding="utf-8")
    model = tiny_models.make("bert", tmp_path / "bert")
    recipe = {"task": "tag", "model": str(model), "data": {"files": str(tmp_path / "rows.bio")}}
    run = luthier.train(recipe, method="head", train={"epochs": 1}, output=str(tmp_path / "run"))
    takes = "A model that tags predicts a text, or a list of its words"
    for value, told in ((3, "int"), ([["the", 3]], "a list with int in it")):
        with pytest.raises(DataError) as refused:
            run.predict(value)  # type: ignore[arg-type]
        assert str(refused.value) == f"{takes}; got {told}."
