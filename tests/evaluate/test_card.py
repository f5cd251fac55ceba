import pytest
from huggingface_hub import ModelCard
from simulated_runs import save_tiny, write_run

from luthier.evaluate.card import card, cell
from luthier.evaluate.report import gather
from luthier.tasks.classify import Classes


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    return gather(write_run(tmp_path_factory.mktemp("runs") / "reviews", ["bad", "good|great"], kind="binary"))


def blocks(text):
    """The Python code blocks of a card."""
    return [part.split("```")[0] for part in text.split("```python\n")[1:]]


def test_the_hub_reads_the_metadata(facts):
    found = ModelCard(card(facts)).data
    assert (found.base_model, found.library_name, found.pipeline_tag) == (
        "demo/minilm-en",
        "transformers",
        "text-classification",
    )
    assert found.tags == ["luthier", "lora"]
    assert found.model_name == "reviews"
    assert found.language is None


def test_the_hub_reads_the_results(facts):
    results = {(one.metric_type, str(one.metric_args)): one for one in ModelCard(card(facts)).data.eval_results}
    figures = {one["name"]: one["value"] for one in facts["scores"]["figures"]}
    assert results["accuracy", "None"].metric_value == pytest.approx(figures["accuracy"], abs=1e-4)
    assert results["f1", "{'average': 'macro'}"].metric_value == pytest.approx(figures["f1_macro"], abs=1e-4)
    assert {one.dataset_split for one in results.values()} == {"test"}


def test_a_folder_is_no_base_model_and_a_resolved_name_is(facts, tmp_path):
    here = facts | {"run": facts["run"] | {"model": str(tmp_path)}}
    assert ModelCard(card(here)).data.base_model is None
    named = facts | {"run": facts["run"] | {"base_model": "sentence-transformers/all-MiniLM-L6-v2"}}
    assert ModelCard(card(named)).data.base_model == "sentence-transformers/all-MiniLM-L6-v2"


def test_an_adapter_is_named_as_peft(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    (run / "model").mkdir()
    (run / "model" / "adapter_config.json").write_text("{}")
    text = card(gather(run))
    assert ModelCard(text).data.library_name == "peft"
    assert "AutoPeftModelForSequenceClassification.from_pretrained" in text


def test_results_stand_with_their_intervals(facts):
    main = next(one for one in facts["scores"]["figures"] if one["name"] == "f1_macro")
    low, high = main["interval"]
    assert f"| F1, macro | {main['value']:.3f} | {low:.3f} to {high:.3f} | {main['baseline']:.3f} |" in card(facts)


def test_tables_survive_any_label(facts):
    assert cell("a|b\nc <i>") == "a\\|b c &lt;i&gt;"
    lines = [line for line in card(facts).splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in lines} <= {5, 6}
    assert any(line.startswith("| good\\|great |") for line in lines)


def test_without_scores_there_is_a_card_without_results(tmp_path):
    run = write_run(tmp_path / "run", ["a", "b"], kind="binary")
    (run / "predictions.parquet").unlink()
    text = card(gather(run))
    assert "Not measured yet." in text
    assert ModelCard(text).data.eval_results is None


def test_the_code_to_use_luthier_is_python(facts):
    compile(blocks(card(facts))[1], "card", "exec")


@pytest.mark.parametrize("adapter", [False, True], ids=["model", "adapter"])
def test_the_code_to_load_the_model_runs(tmp_path, adapter, capsys):
    run = write_run(tmp_path / "run", ["a", "b", "c"], kind="multiclass")
    save_tiny(run / "model", Classes(("a", "b", "c"), multilabel=False).model_config, adapter)
    space: dict = {}
    exec(compile(blocks(card(gather(run)))[0], "card", "exec"), space)
    if adapter:
        assert space["model"].config.num_labels == len(space["labels"]) == 3
    else:
        assert space["predict"]("a text")[0]["label"] in "abc"
        assert "'label'" in capsys.readouterr().out
