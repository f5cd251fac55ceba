"""luthier's adapter types are known to PEFT after `import luthier`, whichever is imported first, and torch stays out until then."""

from __future__ import annotations

import subprocess
import sys

import pytest

KNOWN = "from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING as m; assert 'LUTHIER_BOTTLENECK' in m"


@pytest.mark.parametrize(
    "lines",
    [
        ("import luthier", "assert 'torch' not in sys.modules", "import peft", KNOWN),
        ("import peft", "import luthier", KNOWN),
        pytest.param(("import luthier", "from peft import PeftModel", KNOWN), marks=pytest.mark.slow),
        pytest.param(("import luthier.models.bottleneck", KNOWN), marks=pytest.mark.slow),
        ("import luthier", "import peft, importlib", "assert peft.__spec__.name == 'peft'", "importlib.reload(peft)"),
    ],
    ids=["luthier first", "peft first", "by name", "the module itself", "reloaded"],
)
def test_known_after_import_luthier(lines: tuple[str, ...]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", "; ".join(["import sys", *lines])], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
