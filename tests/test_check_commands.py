"""`luthier check` says each thing once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_jobs import recipe_for, write_recipe


def test_a_leak_is_said_once(
    luthier: Callable[..., Any],
    tiny_bert: Path,
    sentences: Callable[[int, int], list[tuple[str, str]]],
    tmp_path: Path,
) -> None:
    rows = dict(sentences(60, 1))
    for name in ("train", "test"):
        lines = ["review,sentiment", *(f"{text},{label}" for text, label in rows.items())]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    recipe = recipe_for(tiny_bert, tmp_path / "train.csv", tmp_path / "run", method="head")
    recipe["data"] = {"files": files}
    said = luthier("check", write_recipe(recipe, tmp_path / "recipe.yaml"), "--no-cost")
    both = said.out + said.err
    assert said.code == 0
    assert said.out.endswith(f"Next: luthier train {tmp_path / 'recipe.yaml'}\n")
    leaks = [line for line in said.out.splitlines() if line.startswith("- leakage:")]
    assert len(leaks) == 1
    sentence = leaks[0].removeprefix("- leakage: ").partition(". ")[0]
    assert both.count(sentence) == 1
    assert sentence in luthier("train", tmp_path / "recipe.yaml", "train.epochs=1").err  # which prints no such table
    run = luthier("check", tmp_path / "run")
    assert run.code == 2
    assert (
        f"{tmp_path / 'run'} is a run. {tmp_path / 'run'}/recipe.yaml is its recipe; --against FILE compares" in run.err
    )
    assert (
        luthier("train", tmp_path / "run").err
        == f"error: {tmp_path / 'run'} is a folder. Give the recipe in it: {tmp_path / 'run'}/recipe.yaml.\n"
    )
    again = luthier("check", tmp_path / "run" / "recipe.yaml", "--no-cost", "output=two words")
    assert again.out.endswith(f"Next: luthier train {tmp_path / 'run' / 'recipe.yaml'} 'output=two words'\n")
