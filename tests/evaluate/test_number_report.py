"""The report and the card of a run that predicts numbers."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from simulated_runs import save_tiny, write_numbers
from sklearn import metrics as reference

from luthier.evaluate import plots
from luthier.evaluate.card import card
from luthier.evaluate.report import gather, render


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_numbers(tmp_path_factory.mktemp("runs") / "ratings")


@pytest.fixture(scope="module")
def facts(run):
    return gather(run)


def test_the_page_has_the_sections_of_numbers_and_none_of_classes(facts):
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", render(facts))
    assert headings == [
        "Before you trust these numbers",
        "What the curves say",
        "Training curves",
        "Data",
        "Predicted against true",
        "The worst mistakes",
        "Recipe",
        "Versions and hardware",
    ]


def test_the_headline_is_the_monitored_figure_with_its_interval(facts, run):
    rows = pd.read_parquet(run / "predictions.parquet")
    main = facts["scores"]["figures"][0]
    assert facts["scores"]["main"] == main["name"] == "r2"
    assert main["value"] == pytest.approx(reference.r2_score(rows["label"], rows["predicted"]))
    assert main["interval"][0] < main["value"] < main["interval"][1]
    assert main["baseline"] == pytest.approx(0)
    assert "Always answering the training mean (0." in render(facts)


def test_the_worst_mistakes_have_the_largest_absolute_error(facts, run):
    rows = pd.read_parquet(run / "predictions.parquet")
    order = (rows["label"] - rows["predicted"]).abs().sort_values(ascending=False, kind="stable")
    assert [one["row"] for one in facts["mistakes"]["shown"]] == rows.loc[order.index[:20], "row"].tolist()
    assert facts["mistakes"]["shown"][0]["shown"] == f"{order.iloc[0]:#.3g}"
    page = render(facts)
    assert "These are the 20 with the largest error" in page
    assert "answered wrong" not in page


def test_quantiles_stand_beside_the_plot(facts, run):
    rows = pd.read_parquet(run / "predictions.parquet")
    (output,) = facts["numbers"]
    medians = next((one["true"], one["predicted"]) for one in output["quantiles"] if one["share"] == 0.5)
    assert medians == pytest.approx((rows["label"].median(), rows["predicted"].median()))
    assert f"{medians[1]:.4g}" in render(facts)


def test_the_plot_is_an_element_with_words_and_the_same_every_time(facts):
    root = ElementTree.fromstring(plots.scatter(facts["numbers"]))
    assert root.get("role") == "img"
    assert root.get("aria-label").startswith("Predicted against true numbers; value R2 0.")
    assert plots.scatter(facts["numbers"]) == plots.scatter(facts["numbers"])


def test_each_of_several_outputs_has_a_panel():
    points = np.arange(12.0).reshape(6, 2).tolist()
    outputs = [{"name": name, "points": points, "figures": {"r2": 0.5}} for name in ("heat", "cold")]
    words = [
        one.text for one in ElementTree.fromstring(plots.scatter(outputs)).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert {"heat", "cold"} <= set(words)
    assert words.count("predicted") == 2


def test_the_card_says_a_number(facts):
    text = card(facts)
    found = ModelCard(text).data
    assert found.pipeline_tag == "text-classification"
    assert {one.metric_type for one in found.eval_results} == {"r_squared", "spearmanr", "mae", "rmse", "mse"}
    assert "answers with a number." in text


@pytest.mark.parametrize("several", [False, True], ids=["one", "two"])
def test_the_cards_code_answers_in_the_units_of_the_labels(tmp_path, several):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from luthier.evaluate.card import loading
    from luthier.tasks.regress import Regress

    values = [1.0, 2.5, 7.0, -3.0]
    target = Regress().learn([{"heat": one, "cold": one**2} for one in values] if several else values)
    save_tiny(tmp_path / "run" / "model", target.model_config)
    about = target.about
    known = {"library": "transformers", "folder": str(tmp_path / "run"), "medium": "text", "module": ""}
    code = loading({"run": known | {"about": vars(about)}})
    space: dict = {}
    exec(compile(code.replace("print(", "said = ("), "card", "exec"), space)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "model")
    tokens = AutoTokenizer.from_pretrained(tmp_path / "run" / "model")("A text to read.", return_tensors="pt")
    with torch.no_grad():
        (expected,) = target.predictions(target.scores(model(**tokens).logits).numpy())
    assert space["said"] == pytest.approx(expected.label, rel=1e-5)
