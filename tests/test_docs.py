"""What the documentation shows is run: every `luthier` command, every Python block, every link."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import perceiving
from luthier.methods import METHODS, Method
from luthier.recipe.reading import read
from luthier.recipe.reference import reference
from reviewed_runs import label_studio_export

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN_BY_CI = ("make ", "pip install")
"""Commands that .ci/run itself is made of, or that change the environment."""


@pytest.fixture
def at_work(
    tmp_path: Path,
    tiny_bert: Path,
    cache: Path,
    sentences: Callable[..., list[tuple[str, str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A folder with data of each kind, and a cache whose demos are tiny stand-ins, so that commands end within seconds."""
    own = tmp_path / "cache"
    shutil.copytree(tiny_bert, own / "demo" / "minilm-en")
    rows = pd.DataFrame(sentences(200, 3), columns=["text", "label"])
    for name in ("reviews-en", "reviews-zh"):
        (own / "demo" / name).mkdir()
        rows.to_csv(own / "demo" / name / f"{name}.csv", index=False)
    work = tmp_path / "work"
    work.mkdir()
    rows.rename(columns={"text": "review", "label": "sentiment"}).to_csv(work / "reviews.csv", index=False)
    later = pd.DataFrame(sentences(60, 4), columns=["review", "sentiment"])
    later.to_csv(work / "later.csv", index=False)
    perceiving.images(work / "photos", 6)
    perceiving.sounds(work / "recordings", 10)
    (work / "names.conll").write_text("the O\nfilm B-ENT\nis O\n\nroom B-ENT\nservice I-ENT\n\n" * 40, encoding="utf-8")
    monkeypatch.setenv("LUTHIER_CACHE", str(own))
    monkeypatch.chdir(work)
    return work


def people_answer() -> None:
    """What people do in Label Studio between two commands: tasks.json becomes export.json."""
    label_studio_export(Path("tasks.json"), lambda data: ["positive"])


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(console|python)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.name)
def test_commands_and_code_run_in_the_order_shown(page: Path, at_work: Path, luthier) -> None:
    for language, text in blocks(page):
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(text, f"{page.name}", "exec"), {})
            assert printed.getvalue()
            continue
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and not line.startswith(RUN_BY_CI):
                assert words[0] == "luthier", line
                if "--from" in words:
                    people_answer()
                said = luthier(*words[1:])
                assert said.code == 0, f"{line}\n{said.err}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_its_language(page: Path) -> None:
    fences = re.findall(r"^```(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert all(fences[::2]), "commands in a block without a language would not be run"
    assert not any(fences[1::2])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_yaml_blocks_are_recipes() -> None:
    for page in PAGES:
        for text in re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
            file = io.StringIO(text)
            from ruamel.yaml import YAML

            assert read(YAML(typ="safe").load(file))


def test_methods_have_the_rates_and_epochs_that_their_sections_give() -> None:
    page = (ROOT / "docs" / "which-method.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(METHODS)
    for name, text in sections.items():
        rate, epochs = re.search(r"\bRate ([\de-]+)(?:, (\d+) epochs)?", text).groups()
        assert float(rate) == METHODS[name].rate.value, name
        assert int(epochs or Method.epochs) == METHODS[name].epochs, name


def test_the_reference_is_what_the_schema_says() -> None:
    assert (ROOT / "docs" / "recipe.md").read_text(encoding="utf-8") == reference(), "run `make docs`"
