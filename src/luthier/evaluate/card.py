"""The model card: README.md of a run, with metadata that the Hugging Face hub reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from markupsafe import Markup, escape

from luthier.evaluate.report import environment

READS = {
    "text": "a text",
    "tokens": "a text",
    "pair": "two texts together",
    "question": "a question and a text that may answer it",
    **dict.fromkeys(("prompt", "instruction", "dialogue"), "a prompt"),
    "image": "an image",
    "audio": "a recording",
    "image+text": "an image and a text together",
}
EXAMPLES = {
    "text": '"A text to read."',
    "tokens": '"A text to read."',
    "pair": '("A text to read.", "Another one.")',
    "question": '{"question": "Who made the lute?", "context": "The lute was made by Hans."}',
    **dict.fromkeys(("prompt", "instruction", "dialogue"), '"What is a lute?"'),
    "image": '"a-picture.jpg"',
    "audio": '"a-recording.wav"',
    "image+text": '{"image": "a-picture.jpg", "text": "A text to read."}',
}
PIPED = EXAMPLES | {
    "pair": '[{"text": "A text to read.", "text_pair": "Another one."}]',
    **dict.fromkeys(("prompt", "instruction", "dialogue"), '[{"role": "user", "content": "What is a lute?"}]'),
}
"""By what the model reads: in words, and a row in Python, for luthier and for a pipeline of transformers."""
PIPELINES = {"pair": "text"}
"""What pipelines call it, where that is something else."""


def card(facts: Mapping[str, Any]) -> str:
    """README.md as text, from the facts of `report.gather`."""
    pages = environment()
    pages.filters["cell"] = cell
    return pages.get_template("card.md").render(
        facts=facts,
        metadata=Markup(metadata(facts).to_yaml()),
        loading=Markup(loading(facts)),
        explanation=explanation(facts),
        reads=READS[facts["run"]["medium"]],
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
        pipeline_tag=_pipeline(facts),
        tags=["luthier", *(one.split(" ")[0] for one in run["method"])],
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=run["name"] if results else None,
        eval_results=results or None,
    )


def loading(facts: Mapping[str, Any]) -> str:
    """A few lines of Python that load the model without luthier; none where nothing else loads it."""
    run, about = facts["run"], facts["run"]["about"]
    if run["library"] == "transformers" and about["plain"]:
        return _registration(run["module"]) + str(about["plain"].replace("{folder}", _model_folder(facts)))
    if run["library"] == "transformers":
        options = "".join(f", {name}={value!r}" for name, value in about["options"].items())
        call = f"predict({about['asked'] or PIPED[run['medium']]})"
        return (
            f"{_registration(run['module'])}from transformers import pipeline\n"
            f'predict = pipeline("{_pipeline(facts)}", model="{_model_folder(facts)}"{options})\n'
            f"print({about['reading'].replace('{call}', call)})"
        )
    if run["library"] != "peft" or not about["peft"]:
        return ""
    return (
        f"{_registration(run['module'])}from peft import {about['peft']}\n"
        f'model = {about["peft"]}.from_pretrained("{_model_folder(facts)}", num_labels={len(run["labels"])})\n'
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
    run = facts["run"]
    return f'import luthier\nrun = luthier.open("{_posix(run["folder"])}")\nprint(run.predict([{EXAMPLES[run["medium"]]}]))'


def cell(text: object) -> Markup:
    """Text as it may stand in a cell of a Markdown table."""
    return escape(" ".join(str(text).split()).replace("|", "\\|"))


def _results(facts: Mapping[str, Any]) -> list[EvalResult]:
    if "scores" not in facts:
        return []
    scores, name = facts["scores"], _data_name(facts["run"]["files"])
    return [
        EvalResult(
            task_type=_pipeline(facts),
            dataset_type=name,
            dataset_name=name,
            dataset_split=scores["split"],
            metric_type=figure["hub"][0],
            metric_name=figure["title"],
            metric_args=figure["hub"][1],
            metric_value=round(figure["value"], 4),
        )
        for figure in scores["figures"]
        if figure["hub"]
    ]


def _pipeline(facts: Mapping[str, Any]) -> str:
    """The name that transformers and the hub have for such models."""
    medium = facts["run"]["medium"]
    return str(facts["run"]["about"]["pipeline"].replace("{medium}", PIPELINES.get(medium, medium)))


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
    return f"import {module}  # makes this kind known\n" if module else ""


def _posix(folder: str) -> str:
    return Path(folder).as_posix()
