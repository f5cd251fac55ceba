"""Frozen means once: outputs of what lies below everything that trains are computed once a row and not in every epoch.

When a stage begins, the boundary is found (models/boundary.py), what the upper part needs of the lower one is found by trying
(selection.py), and the outputs of all rows are computed, or found from an earlier run (keeping.py). From then on the stage works
with the network from the boundary upwards (models/above.py). Losses and predictions are the same; a test holds that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import torch
import transformers
from torch import Tensor, nn

from luthier.data.batches import Feed
from luthier.errors import TrainError
from luthier.evaluate.predict import evaluating
from luthier.folder import RunFolder
from luthier.models.above import Above, Output, record
from luthier.models.anatomy import Anatomy
from luthier.models.boundary import Boundary, find_boundary
from luthier.show import Console
from luthier.training import keeping
from luthier.training.features import Features, FrozenFeed, shapes
from luthier.training.job import Callback, Job, State
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups
from luthier.training.selection import Probe, Selection, select

PROBED = 6
"""Rows to try with, from the shortest to the longest of the first `AMONG`."""
AMONG = 256


class Freeze(Callback):
    """At the beginning of each stage, put the frozen part into evaluation mode and keep its outputs.

    Args:
        anatomy: of the network before methods inserted anything.
        choice: where outputs are kept, as `train.cache`.
        folder: to log in; None in processes that do not write.
        console: to say how much is kept, or why nothing is.
    """

    def __init__(self, anatomy: Anatomy, choice: keeping.Choice, folder: RunFolder | None, console: Console) -> None:
        self.anatomy = anatomy
        self.choice = choice
        self.folder = folder
        self.console = console
        self._threads = torch.get_num_threads()

    def finish(self, job: Job, state: State) -> None:
        """Give the threads back."""
        torch.set_num_threads(self._threads)

    def enter(self, job: Job, state: State) -> None:
        """Make the stage work from the boundary upwards, where there is one."""
        torch.set_num_threads(self._threads)
        inside = job.accelerator.unwrap_model(job.model)
        boundary = find_boundary(inside, self.anatomy, job.stages[state.stage].rates)
        if isinstance(boundary, str):
            reason = f"No outputs of frozen parts are kept: {boundary}."
        else:
            for name in boundary.frozen:
                inside.get_submodule(name).eval()
            reason = self._keep(job, inside, boundary)
        if self.folder:
            self.folder.log({"event": "frozen", "step": state.step + 1, "text": reason})

    def _keep(self, job: Job, inside: nn.Module, boundary: Boundary) -> str:
        """Keep the outputs of all rows; returns a sentence on what was done, or why nothing was."""
        if self.choice == "off":
            return "No outputs of frozen parts are kept: train.cache is off."
        if job.accelerator.num_processes > 1:
            return "No outputs of frozen parts are kept: several processes train."
        feeds = {"train": job.feed, **job.held}
        with evaluating(job.model):
            try:
                lower = _Lower(job, inside, boundary)
            except TrainError as unfit:
                return f"No outputs of frozen parts are kept: {unfit}."
            size = sum(lower.size(feed) for feed in feeds.values())
            where = keeping.place(self.choice, size)
            if where not in {"memory", "disk"}:
                return f"No outputs of frozen parts are kept: {where}."
            rows = sum(map(len, feeds.values()))
            self.console.say(
                f"{boundary.kept} and all before it are frozen: its outputs are computed once ({keeping.said(size)})."
            )
            with self.console.bar("Frozen part", rows) as advance:
                frozen: dict[str, Feed] = {name: lower.feed(feed, where, advance) for name, feed in feeds.items()}
        job.work.model, job.work.feed, job.work.held = lower.above, frozen.pop("train"), frozen
        lower.above.train()
        if lower.selection.position:
            torch.set_num_threads(1)  # what is left of a step is so little that waking a second thread takes longer
        return f"Outputs of {boundary.kept} are kept for {rows} rows ({where}, {keeping.said(size)})."


class _Lower:
    """The part below a boundary, studied on a few rows.

    Raises:
        TrainError: the upper part cannot go on from the output alone.
    """

    def __init__(self, job: Job, inside: nn.Module, boundary: Boundary) -> None:
        self.job = job
        self.inside = inside
        self.boundary = boundary
        lengths = job.feed.lengths[:AMONG]
        some = np.argsort(lengths, kind="stable")[
            np.linspace(0, len(lengths) - 1, min(PROBED, len(lengths))).astype(int)
        ]
        inputs = self._inputs(job.feed, some)
        with torch.no_grad():
            output = self._output(inputs)
            probe = Probe(inputs, torch.from_numpy(job.feed.lengths[some]), job.model(**inputs).logits)
            self.above = Above(job.model, inside, boundary, output.spec).eval()
            self.selection: Selection = select(self.above, output, probe)
        self.shapes = shapes(output.leaves, self.selection)

    def size(self, feed: Feed) -> int:
        """Bytes that a split's outputs take."""
        return sum(map(keeping.bytes_of, self._sizes(feed)))

    def feed(self, feed: Feed, where: str, advance: Callable[[int], None]) -> FrozenFeed:
        """A split with its outputs, found or computed."""
        key, sizes = self._key(feed), self._sizes(feed)
        tensors = keeping.find(key, sizes)
        if tensors is None:
            tensors = keeping.make(key, sizes, where, lambda empty: self._fill(feed, empty, advance))
        return FrozenFeed(feed, self._features(tensors, feed), self.selection)

    @torch.no_grad()
    def _fill(self, feed: Feed, tensors: Sequence[Tensor], advance: Callable[[int], None]) -> None:
        features = self._features(tensors, feed)
        for group in sorted_groups(feed.lengths, TOKENS_PER_CALL):
            leaves = self._output(self._inputs(feed, group)).leaves
            features.put(group, self.selection.keep(leaves, torch.from_numpy(feed.lengths[group])))
            advance(len(group))

    def _output(self, inputs: dict[str, Tensor]) -> Output:
        return record(self.job.model, self.inside, self.boundary.kept, inputs)

    def _inputs(self, feed: Feed, rows: np.ndarray) -> dict[str, Tensor]:
        return {name: value for name, value in feed.batch(rows, self.job.device).items() if name != "target"}

    def _sizes(self, feed: Feed) -> list[tuple[int, torch.dtype]]:
        return [(shape.size(feed.lengths), shape.dtype) for shape in self.shapes if shape is not None]

    def _features(self, tensors: Sequence[Tensor], feed: Feed) -> Features:
        given = iter(tensors)
        return Features(self.shapes, [None if shape is None else next(given) for shape in self.shapes], feed.lengths)

    def _key(self, feed: Feed) -> str:
        """Hash of all that decides on the outputs: frozen weights, the rows as encoded, precision, and the code."""
        digest = hashlib.sha256()
        for part in (self.boundary, self.selection, self.shapes, self.job.accelerator.mixed_precision, _versions()):
            digest.update(repr(part).encode())
        for name in self.boundary.frozen:
            for key, value in self.inside.get_submodule(name).state_dict().items():
                digest.update(f"{name}.{key}".encode())
                digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
        for rows in np.array_split(np.arange(len(feed)), max(1, len(feed) // 1000)):
            for name, value in feed.inputs(rows).items():
                digest.update(
                    f"{name}{tuple(value.shape)}".encode() + value.contiguous().view(torch.uint8).numpy().tobytes()
                )
        return digest.hexdigest()[:32]


def _versions() -> tuple[str, ...]:
    return torch.__version__, transformers.__version__
