"""What `data.views` saves: copies of images made once and kept beside copies made anew in every epoch.

    python benchmarks/train_views.py                       # writes its part of benchmarks/MEDIA.md

Both train the head of efficientnet-lite0 on ants_bees with the same augmentation, each by `luthier train` in a process of its own with an
empty cache, one after the other. Processor seconds are those of the whole process, imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from page import write
from train_text import machine

import luthier

HERE = Path(__file__).parent
VIEWS = 3
KINDS = {f"`views: {VIEWS}`, kept": VIEWS, "anew in every epoch": None}
"""What each contender is called, and its `data.views`."""


def main() -> None:
    """Measure both and write the table."""
    assets = Path(os.environ.get("LUTHIER_ASSETS", HERE.parent.parent / "shared" / "assets"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--assets", type=Path, default=assets)
    parser.add_argument("--output", type=Path, default=HERE / "MEDIA.md")
    options = parser.parse_args()
    found = {name: measure(options.assets, views, options.epochs) for name, views in KINDS.items()}
    rows = "\n".join(f"| {name} | {seconds:.1f} | {score:.3f} |" for name, (seconds, score) in found.items())
    (kept, _), (anew, _) = found.values()
    text = (
        f"### `data.views`: head of efficientnet-lite0 on ants_bees, crop, flip and colour, {options.epochs} epochs\n\n"
        f"{machine().partition(' Median')[0]} 1 thread, fp32, one round.\n\n"
        f"| copies | processor seconds | accuracy on validation rows |\n|---|---|---|\n{rows}\n\n"
        f"Keeping {VIEWS} copies of each row takes 1/{anew / kept:.1f} of the processor seconds."
    )
    write(options.output, "train_views.py", text, "Images, sound and tags, measured")


def measure(assets: Path, views: int | None, epochs: int) -> tuple[float, float]:
    """Processor seconds of a run, and its accuracy on validation rows."""
    images = assets / "data" / "ants_bees"
    with tempfile.TemporaryDirectory() as place:
        recipe = {
            "model": str(assets / "models" / "efficientnet-lite0"),
            "data": {
                "files": {"train": str(images / "train"), "validation": str(images / "val")},
                "augment": ["crop", "flip", {"name": "colour", "hue": 0}],
                "views": views,
            },
            "method": "head",
            "train": {"epochs": epochs, "lr": 1e-2, "precision": "fp32", "device": "cpu"},
            "output": f"{place}/run",
        }
        file = Path(place) / "recipe.yaml"
        file.write_text(json.dumps(recipe), encoding="utf-8")
        around = os.environ | {"LUTHIER_CACHE": f"{place}/cache", "OMP_NUM_THREADS": "1"}
        before = spent()
        subprocess.run([sys.executable, "-m", "luthier", "train", str(file)], env=around, check=True)
        return spent() - before, luthier.Run(f"{place}/run").evaluate("validation").metrics["accuracy"]


def spent() -> float:
    """Processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
