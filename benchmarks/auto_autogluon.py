"""AutoGluon's MultiModalPredictor on the rows of benchmarks/auto.py, with the same backbone: F1 on the test rows, seconds of the processor.

    python -m venv ag && ag/bin/pip install autogluon.multimodal        # apart from luthier: it pins other versions
    python benchmarks/auto.py --data sst2 --rows 400 --held 300 --rows-only /tmp/rows
    OMP_NUM_THREADS=1 ag/bin/python benchmarks/auto_autogluon.py --rows /tmp/rows --model FOLDER --minutes 10

It divides its own validation rows from the training rows, and its minutes are those of the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score


def main() -> None:
    """Train, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="folder with train.csv and test.csv")
    parser.add_argument("--model", required=True, help="folder of the backbone")
    parser.add_argument("--minutes", type=float, default=10)
    options = parser.parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    _let_import()
    from autogluon.multimodal import MultiModalPredictor

    train, test = (pd.read_csv(options.rows / f"{name}.csv") for name in ("train", "test"))
    began, clock = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        predictor = MultiModalPredictor(label="label", eval_metric="f1_macro", path=f"{place}/run", verbosity=1)
        settings = {
            "model.names": ["hf_text"],
            "model.hf_text.checkpoint_name": options.model,
            "env.num_gpus": 0,
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
            "env.precision": "32",
        }
        predictor.fit(train, time_limit=60 * options.minutes, hyperparameters=settings, seed=0)
        answers = predictor.predict(test).to_numpy()
    seconds = {"processor": round(time.process_time() - began, 1), "clock": round(time.perf_counter() - clock, 1)}
    true = test["label"].to_numpy()
    drawn = np.random.default_rng(0).integers(len(true), size=(1000, len(true)))
    ends = np.percentile([f1_score(true[rows], answers[rows], average="macro") for rows in drawn], [2.5, 97.5])
    value = f1_score(true, answers, average="macro")
    print(json.dumps({"value": round(value, 4), "interval": [round(end, 4) for end in ends], **seconds}))


def _let_import() -> None:
    """Name operators that torchvision's wheel on PyPI, built for CUDA, cannot load beside a torch for CPUs; texts need none of them."""
    import torch

    for name in ("nms", "qnms"):
        with suppress(RuntimeError):  # defined already, where the wheel fits
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


if __name__ == "__main__":
    main()
