import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from luthier.evaluate import plots

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {
    "train": [[1, 0.7], [2, 0.5], [3, 0.4]],
    "smooth": [[1, 0.7], [2, 0.55], [3, 0.45]],
    "score": {"value": 0.84, "low": 0.8, "high": 0.88},
    "lr": [[1, 1e-5], [2, 2e-5], [3, 0.0]],
    "validation": [[2, 0.5], [3, 0.45]],
    "monitor": "f1_macro",
    "monitored": [[2, 0.8], [3, 0.85]],
    "best": [3, 0.85],
    "lower_is_better": False,
}
BINS = {"bins": [{"low": 0.6, "high": 0.8, "rows": 5, "confidence": 0.7, "accuracy": 0.6}], "error": 0.1}
CONFUSION = {"labels": ["好评", "差评", "a rather long name of a class"], "counts": np.eye(3).tolist()}
DRAWN = [(plots.curves, CURVES), (plots.reliability, BINS), (plots.confusion, CONFUSION)]


def words(svg):
    return [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize(("draw", "facts"), DRAWN)
def test_a_plot_is_an_element_with_words_for_those_who_do_not_see_it(draw, facts):
    root = ElementTree.fromstring(draw(facts))
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert len(root.get("aria-label")) > 20
    assert root.get("viewBox")
    assert root.get("width") is None


@pytest.mark.parametrize(("draw", "facts"), DRAWN)
def test_the_same_facts_give_the_same_text(draw, facts):
    assert draw(facts) == draw(facts)


@pytest.mark.parametrize(("draw", "facts"), DRAWN)
def test_fonts_are_the_pages(draw, facts):
    assert "font-family" not in draw(facts)
    assert "<style" not in draw(facts)


def test_chinese_labels_stay_text_and_warn_nobody():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = words(plots.confusion(CONFUSION))
    assert found.count("好评") == 2
    assert "a rather long name …" in found


def test_ids_differ_between_plots():
    ids = [
        element.get("id")
        for draw, facts in DRAWN
        for element in ElementTree.fromstring(draw(facts)).iter()
        if element.get("id")
    ]
    assert len(ids) == len(set(ids))


def test_curves_tell_what_they_show():
    svg = plots.curves(CURVES)
    titles = {"Loss: lowest on validation at step 3", "Validation f1_macro: best 0.850", "Learning rate: at most 2e-05"}
    assert titles | {"training, smoothed", "best, step 3", "95 % interval of 0.840"} <= set(words(svg))
    assert (
        "Training loss from 0.700 to 0.450 over 3 steps. Validation loss lowest, 0.450, at step 3 and 0.450 at the end. "
        "Best validation f1_macro 0.850 at step 3."
    ) in svg


def test_titles_say_what_is_seen():
    bins = [*BINS["bins"], {"low": 0.8, "high": 1.0, "rows": 15, "confidence": 0.9, "accuracy": 0.8}]
    assert "On average 85% sure and 75% right" in words(plots.reliability({"bins": bins, "error": 0.1}))
    table = {"labels": ["a", "b"], "counts": [[8, 2], [3, 7]]}
    assert "75% right, on the diagonal" in words(plots.confusion(table))


def test_curves_of_rows_that_were_not_kept_have_no_band():
    assert not [word for word in words(plots.curves(CURVES | {"score": None})) if word.startswith("95 %")]


def test_curves_without_evaluations_say_so():
    svg = plots.curves(CURVES | {"validation": [], "monitored": [], "best": None, "score": None})
    assert "not evaluated" in words(svg)


def test_labels_are_escaped():
    assert "<b>" not in plots.confusion(CONFUSION | {"labels": ["<b>", "&", '"']})


def test_many_classes_are_not_named():
    size = plots.NAMED + 1
    assert "c3" not in words(
        plots.confusion({"labels": [f"c{i}" for i in range(size)], "counts": np.eye(size).tolist()})
    )
