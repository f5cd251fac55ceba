"""The model card: README.md of a run, with metadata that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

PIPELINES = {"classify": "text-classification"}
"""The hub's name of each task."""

HUB_METRICS: dict[str, tuple[str, dict[str, str] | None]] = {
    "accuracy": ("accuracy", None),
    "f1_macro": ("f1", {"average": "macro"}),
    "f1_micro": ("f1", {"average": "micro"}),
    "f1_weighted": ("f1", {"average": "weighted"}),
    "precision_macro": ("precision", {"average": "macro"}),
    "recall_macro": ("recall", {"average": "macro"}),
    "roc_auc": ("roc_auc", None),
    "brier": ("brier_score", None),
}
"""Figures that the hub knows, by its name and arguments."""


def card(facts: Mapping[str, Any]) -> str:
    """README.md as text, from the facts of `report.gather`."""
    pages = Environment(
        loader=PackageLoader("luthier.evaluate"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["cell"] = cell
    return pages.get_template("card.md").render(
        facts=facts,
        metadata=Markup(metadata(facts).to_yaml()),
        loading=Markup(loading(facts)),
        explanation=explanation(facts),
        use=Markup(use(facts)),
    )


def metadata(facts: Mapping[str, Any]) -> ModelCardData:
    """The YAML at the top of the card."""
    run = facts["run"]
    results = _results(facts)
    return ModelCardData(
        base_model=run["base_model"] or _hub_name(run["model"]),
        language=run["language"],
        library_name=run["library"],
        pipeline_tag=PIPELINES.get(run["task"]),
        tags=["luthier", *(one.split(" ")[0] for one in run["method"])],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=run["name"] if results else None,
        eval_results=results or None,
    )


def loading(facts: Mapping[str, Any]) -> str:
    """A few lines of Python that load the model without luthier; none where nothing else loads it."""
    run, example = facts["run"], "A text to classify."
    if run["library"] == "transformers":
        several = ", top_k=None" if run["kind"] == "multilabel" else ""
        return (
            "from transformers import pipeline\n"
            f'classify = pipeline("text-classification", model="{_model_folder(facts)}"{several})\n'
            f'print(classify("{example}"))'
        )
    if run["library"] != "peft":
        return ""
    return (
        f"{_registration(run['module'])}from peft import AutoPeftModelForSequenceClassification\n"
        f'model = AutoPeftModelForSequenceClassification.from_pretrained("{_model_folder(facts)}", num_labels={len(run["labels"])})\n'
        f"labels = {run['labels']!r}"
    )


def explanation(facts: Mapping[str, Any]) -> str:
    """What a reader should know of a model that is no plain one."""
    run = facts["run"]
    if run["increment_of"]:
        held = f"the folder holds only what was added to or changed in {run['increment_of']}, which must be there too"
        return f" ({held})"
    if run["library"] == "luthier":
        return " (what the model reads is more than the text, so nothing else loads it)"
    return ""


def use(facts: Mapping[str, Any]) -> str:
    """The same with luthier."""
    return f'import luthier\nrun = luthier.open("{_posix(facts["run"]["folder"])}")\nprint(run.predict(["A text to classify."]))'


def cell(text: object) -> Markup:
    """Text as it may stand in a cell of a Markdown table."""
    return escape(" ".join(str(text).split()).replace("|", "\\|"))


def _results(facts: Mapping[str, Any]) -> list[EvalResult]:
    if "scores" not in facts:
        return []
    scores, name = facts["scores"], _data_name(facts["run"]["files"])
    return [
        EvalResult(
            task_type=PIPELINES.get(facts["run"]["task"], facts["run"]["task"]),
            dataset_type=name,
            dataset_name=name,
            dataset_split=scores["split"],
            metric_type=HUB_METRICS[figure["name"]][0],
            metric_name=figure["title"],
            metric_args=HUB_METRICS[figure["name"]][1],
            metric_value=round(figure["value"], 4),
        )
        for figure in scores["figures"]
        if figure["name"] in HUB_METRICS
    ]


def _hub_name(model: str) -> str | None:
    """The model's name if it can be one on the hub: not a folder, at most one slash."""
    named = re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", model)
    return model if named and not Path(model).exists() else None


def _data_name(files: Any) -> str:
    """A short name for the data, whether one file, several, or a mapping of splits."""
    while not isinstance(files, str):
        files = next(iter(files.values())) if isinstance(files, Mapping) else files[0]
    return Path(files).name


def _model_folder(facts: Mapping[str, Any]) -> str:
    return f"{_posix(facts['run']['folder'])}/model"


def _registration(module: str) -> str:
    return f"import {module}  # makes this kind of adapter known to PEFT\n" if module else ""


def _posix(folder: str) -> str:
    return Path(folder).as_posix()
