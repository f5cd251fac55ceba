"""What is said of real runs that were made to fail in a known way: the cases of benchmarks/diagnosis.py."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[2] / "benchmarks")
QUICK = ("few steps", "short", "low rate")
LONG = ("full", "top", "lora", "one epoch", "hard", "20 rows", "diverging", "too fast", "few to tell")
REAL = ("full", "head", "100 rows", "noise")


@pytest.fixture
def said(monkeypatch, tmp_path):
    """`said(ground, case)`: names of the findings, the first one first, and whether that is what should be said."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "diagnosis", raising=False)
    import diagnosis

    def said(ground, case):
        found = diagnosis.findings(diagnosis.trained(tmp_path, ground, case, 0)).split(", ")
        return found, found[0] in diagnosis.CASES[case].expected

    return said


@pytest.mark.parametrize("case", QUICK)
def test_a_short_run_gets_its_reading(said, case):
    found, right = said("tiny", case)
    assert right, found


@pytest.mark.slow
@pytest.mark.parametrize("case", LONG)
def test_a_run_gets_its_reading(said, case):
    found, right = said("tiny", case)
    assert right, found


@pytest.mark.slow
@pytest.mark.parametrize("case", REAL)
def test_a_real_run_gets_its_reading(said, assets, case):
    found, right = said("minilm", case)
    assert right, found
