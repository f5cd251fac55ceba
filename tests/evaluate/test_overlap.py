"""BLEU, chrF and ROUGE-L against the libraries that define them."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from luthier.evaluate import overlap

MADE = ["the cat sat on the mat", "a dog", "", "completely other words here", "It's 3.5 percent, he said."]
TRUE = ["the cat is on the mat", "a dog barks loudly", "nothing", "the words differ", "It is 3.5 percent, she said."]
MADE_ZH = ["今天天气很好", "我喜欢吃苹果和香蕉", "北京是中国的首都", ""]
TRUE_ZH = ["今天的天气非常好", "我爱吃苹果", "北京是中国的首都。", "上海"]
TEXTS = st.lists(st.tuples(st.text("ab c,.", max_size=20), st.text("ab c,.", min_size=1, max_size=20)), min_size=1)


def whole(counts: np.ndarray) -> np.ndarray:
    return counts.sum(axis=0, keepdims=True)


@pytest.mark.parametrize(("made", "true", "characters"), [(MADE, TRUE, False), (MADE_ZH, TRUE_ZH, True)])
def test_bleu_is_sacrebleus(made: list[str], true: list[str], characters: bool) -> None:
    reference = sacrebleu.corpus_bleu(made, [true], tokenize="zh" if characters else "13a").score
    assert reference > 0
    assert overlap.bleu(whole(overlap.bleu_counts(made, true, characters)))[0] == pytest.approx(reference, abs=1e-9)


@pytest.mark.parametrize(("made", "true"), [(MADE, TRUE), (MADE_ZH, TRUE_ZH), (TRUE, TRUE), ([""], ["a"])])
def test_chrf_is_sacrebleus(made: list[str], true: list[str]) -> None:
    reference = sacrebleu.corpus_chrf(made, [true]).score
    assert overlap.chrf(whole(overlap.chrf_counts(made, true)))[0] == pytest.approx(reference, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_counts_add_up_whatever_is_written(pairs: list[tuple[str, str]]) -> None:
    made, true = map(list, zip(*pairs, strict=True))
    ours = overlap.chrf(whole(overlap.chrf_counts(made, true)))[0]
    assert ours == pytest.approx(sacrebleu.corpus_chrf(made, [true]).score, abs=1e-9)
    ours = overlap.bleu(whole(overlap.bleu_counts(made, true, False)))[0]
    assert ours == pytest.approx(sacrebleu.corpus_bleu(made, [true]).score, abs=1e-9)


def test_rouge_is_that_of_the_package() -> None:
    scorer = RougeScorer(["rougeL"])
    reference = [scorer.score(true, made)["rougeL"].fmeasure for made, true in zip(MADE, TRUE, strict=True)]
    assert overlap.rouge_l(MADE, TRUE, False).tolist() == pytest.approx(reference)


def test_rouge_of_characters_where_the_package_finds_no_words() -> None:
    assert RougeScorer(["rougeL"]).score(TRUE_ZH[2], MADE_ZH[2])["rougeL"].fmeasure == 0
    spaced = RougeScorer(["rougeL"], tokenizer=overlap.Characters())
    assert spaced.score(TRUE_ZH[2], MADE_ZH[2])["rougeL"].fmeasure > 0.9
    found = overlap.rouge_l(MADE_ZH, TRUE_ZH, True)
    # 今天天气好 are the longest common subsequence: 5 of 6 written and 5 of 8 true characters
    assert found[0] == pytest.approx(2 * (5 / 6) * (5 / 8) / (5 / 6 + 5 / 8))
    assert found[3] == 0
