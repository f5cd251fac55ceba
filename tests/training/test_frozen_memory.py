"""Memory that runs out while outputs of frozen parts are computed: smaller groups, or a run that goes on without them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from frozen_runs import run
from torch import nn

from luthier.models.above import Above, Output, record
from luthier.training import frozen

ERRORS: dict[str, Callable[[], Exception]] = {
    "gpu": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cpu": lambda: RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
    "python": MemoryError,
}
UNKNOWN = 1
"""Id of the token for words that are not in the vocabulary."""
NOTHING = "No outputs of frozen parts are kept: memory ran out before they were ready."
Limit = Callable[[torch.Tensor], bool]
"""Whether ids, (rows, tokens), are too much."""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LUTHIER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frozen"


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """`limited(too_much)`: outputs of frozen parts take too much memory; returns the sizes of the groups that were computed."""

    def limit(too_much: Limit, error: Callable[[], Exception] = ERRORS["gpu"]) -> list[int]:
        sizes: list[int] = []

        def small(model: nn.Module, inside: nn.Module, kept: str, inputs: Mapping[str, torch.Tensor]) -> Output:
            if too_much(inputs["input_ids"]):
                raise error()
            sizes.append(len(inputs["input_ids"]))
            return record(model, inside, kept, inputs)

        monkeypatch.setattr(frozen, "record", small)
        return sizes

    return limit


def marked(rows: Path, copy: Path) -> Path:
    """The same rows, of which one, that is not among those that are tried, has an unknown word."""
    lines = rows.read_text(encoding="utf-8").splitlines()
    lines[17] = f"bad film unheard film,{lines[17].rpartition(',')[2]}"
    copy.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return copy


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_a_group_that_does_not_fit_is_computed_in_halves(
    cache: str,
    error: str,
    calm: Callable[[str], Path],
    words_file: Path,
    tmp_path: Path,
    limited: Callable[..., list[int]],
) -> None:
    plain = run(calm("bert"), words_file, tmp_path / "off", "off", method="head")
    sizes = limited(lambda ids: len(ids) > 8, ERRORS[error])
    found = run(calm("bert"), words_file, tmp_path / cache, cache, method="head")
    assert found.said[0].startswith("Outputs of bert are kept for 54 rows")
    assert max(sizes) <= 8
    assert sum(sizes) == 54 + 6 + 1  # and those that are tried
    plain.same(found)


@pytest.mark.parametrize("cache", ["memory", "disk"])
def test_without_memory_for_a_single_row_the_run_goes_on_without(
    cache: str,
    calm: Callable[[str], Path],
    words_file: Path,
    tmp_path: Path,
    limited: Callable[..., list[int]],
    own_cache: Path,
) -> None:
    rows = marked(words_file, tmp_path / "rows.csv")
    plain = run(calm("bert"), rows, tmp_path / "off", "off", method="head")
    sizes = limited(lambda ids: bool((ids == UNKNOWN).any()))
    found = run(calm("bert"), rows, tmp_path / cache, cache, method="head")
    assert found.said == [NOTHING]
    assert sizes[:2] == [6, 1]  # those that are tried fit
    assert not list(own_cache.iterdir())
    plain.same(found)


def fail(self: Above, **inputs: Any) -> Any:
    raise ERRORS["gpu"]()


@pytest.mark.parametrize("part", ["below", "above"])
def test_without_memory_for_the_rows_that_are_tried_the_run_goes_on_without(
    part: str,
    calm: Callable[[str], Path],
    words_file: Path,
    tmp_path: Path,
    limited: Callable[..., list[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = run(calm("bert"), words_file, tmp_path / "off", "off", method="head")
    if part == "below":
        limited(lambda ids: True)
    else:
        monkeypatch.setattr(Above, "forward", fail)
    found = run(calm("bert"), words_file, tmp_path / "memory", "memory", method="head")
    assert found.said == [NOTHING]
    plain.same(found)


def test_any_other_error_is_raised(
    calm: Callable[[str], Path], words_file: Path, tmp_path: Path, limited: Callable[..., list[int]]
) -> None:
    limited(lambda ids: len(ids) > 8, lambda: RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(calm("bert"), words_file, tmp_path / "memory", "memory", method="head")
