from __future__ import annotations

import warnings

import pytest
from transformers import logging

from luthier.models.quiet import quiet


def warn_from(module: str) -> None:
    warnings.warn_explicit("it is deprecated", FutureWarning, "file.py", 1, module=module)


@pytest.mark.parametrize("bars", [True, False])
def test_transformers_is_as_talkative_afterwards_as_before(bars: bool) -> None:
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    before = logging.get_verbosity()
    with quiet():
        assert logging.get_verbosity() == logging.ERROR
        assert not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (before, bars)


def test_only_the_libraries_are_kept_quiet() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with quiet():
            warn_from("transformers.modeling_utils")
            warn_from("peft.tuners")
            warn_from("somebody.else")
    assert len(heard) == 1
