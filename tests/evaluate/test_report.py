import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML
from simulated_runs import write_run
from sklearn import metrics as reference

from luthier.errors import RunError
from luthier.evaluate.card import card
from luthier.evaluate.report import duration, gather, render

VOID = {"meta", "br", "img", "link", "hr", "input"}
TOPICS = ["体育", "娱乐", "财经", "房产", "家居", "教育", "科技", "时政", "游戏", "股票"]


class Page(HTMLParser):
    """Reads a page and holds it to well-formed nesting, unique ids and no address outside itself."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.text, self.headings = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids += [attributes["id"]] if "id" in attributes else []
        for name in ("src", "href", "xlink:href"):
            assert attributes.get(name, "#")[0] == "#" or attributes[name].startswith("data:")
        assert tag != "script"
        self.open += [] if tag in VOID else [tag]

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    return {
        "binary": write_run(root / "binary", ["negative", "positive"], kind="binary"),
        "multiclass": write_run(root / "multiclass", TOPICS, kind="multiclass", language="zh"),
        "many": write_run(root / "many", [f"意图{i}" for i in range(20)], kind="multiclass", language="zh"),
        "multilabel": write_run(root / "multilabel", ["noisy", "dirty", "dear"], kind="multilabel"),
        "integers": write_run(root / "integers", [0, 1], kind="binary"),
    }


@pytest.fixture(scope="module", params=["binary", "multiclass", "many", "multilabel", "integers"])
def facts(request, runs):
    return gather(runs[request.param])


def test_facts_are_json(facts):
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_the_page_is_self_contained_and_well_formed(facts):
    text = render(facts)
    page = Page(text)
    assert len(page.ids) == len(set(page.ids))
    assert re.search(r"url\((?!#)", text) is None
    assert text.startswith('<!doctype html>\n<html lang="en">')
    assert page.headings == [
        "Before you trust these numbers",
        "What the curves say",
        "Training curves",
        "Data",
        "Which answers are mixed up",
        "Each label",
        "How far to trust the confidence",
        "The worst mistakes",
        "Recipe",
        "Versions and hardware",
    ]


def test_the_page_is_the_same_every_time(runs):
    assert render(gather(runs["multiclass"])) == render(gather(runs["multiclass"]))


def test_every_label_is_on_the_page(facts):
    words = set(" ".join(Page(render(facts)).text).split())
    assert set(facts["run"]["labels"]) <= words


def test_scores_equal_scikit_learn(runs):
    rows = pd.read_parquet(runs["multiclass"] / "predictions.parquet")
    figures = {one["name"]: one for one in gather(runs["multiclass"])["scores"]["figures"]}
    assert figures["f1_macro"]["value"] == pytest.approx(
        reference.f1_score(rows["label"], rows["predicted"], average="macro")
    )
    most = rows["label"].mode()[0]
    assert figures["accuracy"]["baseline"] == pytest.approx((rows["label"] == most).mean())
    low, high = figures["accuracy"]["interval"]
    assert low < figures["accuracy"]["value"] < high


def test_the_headline_says_the_score_its_interval_and_the_baseline(runs):
    facts = gather(runs["binary"])
    main = next(one for one in facts["scores"]["figures"] if one["name"] == "f1_macro")
    text = " ".join("".join(Page(render(facts)).text).split())
    assert (
        f"{main['value']:.3f} F1, macro on 300 test rows, 95 % interval {main['interval'][0]:.3f} to {main['interval'][1]:.3f}. "
        f"Always answering “positive” gets {main['baseline']:.3f}."
    ) in text
    assert "lora (rank 16): 295,682 of 23,009,026 parameters trained (1.3 %)" in text
    assert "8 min 32 s, 240 steps; ended: all epochs done" in text


def test_the_second_class_is_named(runs):
    titles = [one["title"] for one in gather(runs["binary"])["scores"]["figures"]]
    assert "Recall of positive" in titles


def test_mistakes_are_the_most_confident_wrong_rows(runs):
    rows = pd.read_parquet(runs["binary"] / "predictions.parquet")
    wrong = rows[rows["label"] != rows["predicted"]].sort_values("confidence", ascending=False)
    found = gather(runs["binary"])["mistakes"]
    assert found["count"] == len(wrong)
    assert [one["row"] for one in found["shown"]] == wrong["row"].head(20).tolist()


def test_mistakes_of_several_labels_are_by_the_surest_wrong_decision(runs):
    rows = pd.read_parquet(runs["multilabel"] / "predictions.parquet")
    labels = ["noisy", "dirty", "dear"]

    def wrongness(row):
        marks = np.array([label in row["label"] for label in labels])
        return max(np.where(marks, 1 - row["probabilities"], row["probabilities"]))

    worst = rows.loc[rows.apply(wrongness, axis=1).idxmax()]
    shown = gather(runs["multilabel"])["mistakes"]["shown"][0]
    assert (shown["row"], shown["label"]) == (worst["row"], list(worst["label"]))
    assert shown["error"] == pytest.approx(wrongness(worst))


def test_texts_are_escaped_and_shortened(runs):
    facts = gather(runs["binary"])
    shown = facts["mistakes"]["shown"][0]
    shown["inputs"] = {"review": {"text": "<script>alert(1)</script>", "hidden": 1234}}
    text = render(facts)
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "(1,234 more characters)" in text
    assert all(len(text["text"]) <= 401 for one in facts["mistakes"]["shown"] for text in one["inputs"].values())


def test_the_recipe_is_whole_and_can_be_read_again(runs):
    found = YAML(typ="safe").load(gather(runs["binary"])["recipe"])
    expected = YAML(typ="safe").load(runs["binary"] / "recipe.yaml")
    del expected["resolved"]
    assert found == expected


def test_warnings_hold_those_of_the_data_and_of_the_log(runs):
    assert gather(runs["binary"])["warnings"] == [
        "12 rows of the test split stand in the training split as well.",
        "Memory ran out at step 12: micro-batches were halved, the batch stays 32.",
    ]


def test_a_model_that_learned_nothing_is_called_so(tmp_path):
    facts = gather(write_run(tmp_path / "run", ["no", "yes"], kind="binary", rows=60, skill=0.0))
    last = facts["warnings"][-1]
    assert "Only 60 rows were scored: mind how wide the intervals are." in facts["warnings"]
    assert re.fullmatch(
        r"F1, macro is not reliably better than always answering “yes”: 0\.\d{3} \(0\.\d{3} to 0\.\d{3}\) against 0\.\d{3}\.",
        last,
    )


def test_a_label_without_rows_is_called_unknown(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b", "c"], kind="multiclass")
    content = json.loads((run / "data.json").read_text())
    content["splits"]["test"]["labels"].pop("a")
    (run / "data.json").write_text(json.dumps(content))
    assert "No test row has the label a: nothing is known about how well it is found." in gather(run)["warnings"]


def test_without_predictions_there_is_a_report_that_says_so(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    (run / "predictions.parquet").unlink()
    facts = gather(run)
    assert f"The test rows have not been predicted yet: run `luthier evaluate {run}`." in facts["warnings"]
    assert "scores" not in facts
    assert "The worst mistakes" not in Page(render(facts)).headings


def test_only_rows_of_the_held_out_split_are_scored(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    rows = pd.read_parquet(run / "predictions.parquet")
    rows.loc[:99, "split"] = "validation"
    rows.to_parquet(run / "predictions.parquet")
    assert gather(run)["scores"]["rows"] == 200


def test_a_run_without_steps_has_no_curves(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    (run / "log.jsonl").write_text("")
    facts = gather(run)
    assert "curves" not in facts
    assert facts["diagnosis"]["verdict"] == "too little to tell"
    Page(render(facts))


def test_long_curves_are_thinned_to_means(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    records = [{"event": "step", "step": i, "epoch": 1.0, "loss": float(i), "lr": 0.1} for i in range(1, 1001)]
    (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    train = gather(run)["curves"]["train"]
    assert len(train) == 200
    assert train[0] == [3.0, 3.0]


def test_of_equal_evaluations_the_one_that_was_kept_is_marked(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    records = [json.loads(one) for one in (run / "log.jsonl").read_text().splitlines()]
    evaluations = [one for one in records if one["event"] == "evaluate"]
    for place, one in enumerate(evaluations):
        one |= {"f1_macro": 0.75, "loss": 0.2 if place == 1 else 0.4}
    (run / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    facts, step = gather(run), evaluations[1]["step"]
    assert facts["curves"]["best"] == [step, 0.75]
    assert f"the best evaluation (◆, dotted line) is at step {step:,}" in render(facts)


def test_findings_stand_with_their_numbers_and_curves_with_a_table(runs):
    facts = gather(runs["binary"])
    page = render(facts)
    first = facts["diagnosis"]["findings"][0]
    assert (first["name"], first["suggestion"]) == (facts["diagnosis"]["verdict"], facts["diagnosis"]["suggestion"])
    assert f'aria-label="What says {first["name"]}"' in page
    assert all(f'<th scope="row">{name}</th>' in page for name in first["numbers"])
    assert [one["loss"] for one in facts["curves"]["evaluations"]] == [
        loss for _, loss in facts["curves"]["validation"]
    ]
    assert 'aria-label="Losses and f1_macro of each evaluation"' in page
    assert len(facts["curves"]["smooth"]) == len(facts["curves"]["train"])


def test_no_mistakes_are_said(runs):
    facts = gather(runs["binary"])
    facts["mistakes"] |= {"count": 0, "shown": []}
    assert "None: all 300 rows are answered right." in render(facts)


def test_gathering_writes_nothing(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    render(gather(run))
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*")} == before


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(
        RunError, match=r"has no recipe\.yaml and no data\.json: expected a run folder as `luthier train` writes it"
    ):
        gather(tmp_path)


def test_predictions_of_another_run_are_refused(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    content = json.loads((run / "data.json").read_text())
    content["target"]["labels"] = ["a", "c"]
    (run / "data.json").write_text(json.dumps(content))
    with pytest.raises(
        RunError, match=r"are from different runs \(Row \d+ has the label 'b', .*known: a, c\)\): run `luthier evaluate"
    ):
        gather(run)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "less than 1 s"), (3.2, "3 s"), (75, "1 min 15 s"), (3599.7, "1 h 0 min"), (7260, "2 h 1 min")],
)
def test_durations_are_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_integer_labels_are_shown_by_name(runs):
    shown = gather(runs["integers"])["mistakes"]["shown"][0]
    assert {*shown["label"], *shown["predicted"]} == {"0", "1"}


def test_a_run_with_nothing_to_warn_of_has_a_page_and_a_card(tmp_path):
    run = write_run(tmp_path / "run", ["neg", "pos"], kind="binary", rows=2000, skill=3)
    facts = json.loads((run / "data.json").read_text(encoding="utf-8"))
    (run / "data.json").write_text(
        json.dumps(facts | {"warnings": [], "bad_rows": {"rows": 0, "examples": []}}), encoding="utf-8"
    )
    log = [line for line in (run / "log.jsonl").read_text().splitlines() if json.loads(line)["event"] != "note"]
    (run / "log.jsonl").write_text("\n".join(log) + "\n")
    known = gather(run)
    assert known["warnings"] == []
    assert "Before you trust these numbers" not in render(known)
    assert "model-index" in card(known)


def test_another_score_of_the_saved_weights_than_of_the_evaluation_that_kept_them_is_explained(tmp_path):
    run = write_run(tmp_path / "run", ["negative", "positive"], kind="binary")
    table = pd.read_parquet(run / "predictions.parquet")
    pd.concat([table.assign(split="validation"), table]).to_parquet(run / "predictions.parquet")
    score = reference.f1_score(table["label"], table["predicted"], average="macro")
    end = "; the evaluation that kept them had 0.8593."
    assert f"The saved weights get {score:.4f}{end}" in render(gather(run))
    recipe = (run / "recipe.yaml").read_text(encoding="utf-8")
    (run / "recipe.yaml").write_text(recipe.replace("precision: fp32", "precision: bf16"), encoding="utf-8")
    how = f", in fp32, as they are saved, and not in bf16 as while training{end}"
    assert f"The saved weights get {score:.4f}{how}" in render(gather(run))
    log = (run / "log.jsonl").read_text(encoding="utf-8").splitlines()
    alike = [
        json.dumps(one | {"f1_macro": score}) if one["event"] == "evaluate" else json.dumps(one)
        for one in map(json.loads, log)
    ]
    (run / "log.jsonl").write_text("\n".join(alike), encoding="utf-8")
    assert "The saved weights get" not in render(gather(run))
