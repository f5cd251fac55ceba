"""How a recipe's model does on the test rows as it stands, before a step of training.

python benchmarks/tasks/untuned.py benchmarks/tasks/summaries.yaml [KEY=VALUE ...]

Of worth where the model answers without a new head: `match` with `kind: twin`, and `generate`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence

from luthier.build import get_ready, make_accelerator
from luthier.data.batches import EncodedFeed
from luthier.evaluate.predict import Scorer
from luthier.folder import RunFolder
from luthier.prepare import prepare
from luthier.recipe.reading import read
from luthier.show import Console


def untuned(path: str, overrides: Sequence[str]) -> dict[str, tuple[float, tuple[float, float]]]:
    """Each figure with the ends of its 95 % interval."""
    recipe, console = read(path, overrides), Console()
    with tempfile.TemporaryDirectory() as place:
        accelerator = make_accelerator(recipe, RunFolder(place))
        data = prepare(recipe, console)
        ready = get_ready(recipe, data, accelerator, console)
        test = data.rows["test"]
        score = Scorer(ready.model, data.target, accelerator, ready.modality)
        answers = score(EncodedFeed(test, ready.modality)).per_row
    judge = data.target.judge
    figures, intervals = judge.metrics(test.targets, answers), judge.intervals(test.targets, answers)
    return {name: (value, intervals[name]) for name, value in figures.items()}


if __name__ == "__main__":
    for name, (value, (low, high)) in untuned(sys.argv[1], sys.argv[2:]).items():
        print(f"{name}: {value:.4f} ({low:.4f} to {high:.4f})")
