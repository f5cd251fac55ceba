"""Frozen means once: outputs of what lies below everything that trains are computed once a row and not in every epoch.

When a stage begins, the boundary is found (models/boundary.py), what the upper part needs of the lower one is found by trying
(selection.py), and the outputs of all rows are computed, or found from an earlier run (keeping.py). From then on the stage works
with the network from the boundary upwards (models/above.py). Losses and predictions are the same; a test holds that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn

from luthier.data.batches import Feed, in_turn
from luthier.errors import TrainError
from luthier.evaluate.predict import evaluating
from luthier.folder import RunFolder
from luthier.hardware import Watch
from luthier.models.above import Above, Output, record
from luthier.models.anatomy import Anatomy
from luthier.models.boundary import Boundary, find_boundary
from luthier.objectives import inputs_of
from luthier.show import Console
from luthier.training import keeping
from luthier.training.below import bytes_of, hash_below
from luthier.training.features import Features, FrozenFeed, Shape, portions, shapes
from luthier.training.job import Callback, Job, State
from luthier.training.memory import in_parts, out_of_memory
from luthier.training.microbatch import TOKENS_PER_CALL, sorted_groups
from luthier.training.padding import lengths_of, padding_ends_rows
from luthier.training.selection import FIRST, LAST, ROW, Probe, Selection, select

PROBED = 6
"""Rows to try with, from the shortest to the longest."""


class Freeze(Callback):
    """At the beginning of each stage, put the frozen part into evaluation mode and keep its outputs.

    Args:
        anatomy: of the network before methods inserted anything.
        choice: where outputs are kept, as `train.cache`.
        folder: to log in; None in processes that do not write.
        console: to say how much is kept, or why nothing is.
        lasting: whether outputs of earlier runs are looked for, and these are left for later ones.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        choice: keeping.Choice,
        folder: RunFolder | None,
        console: Console,
        lasting: bool = True,
    ) -> None:
        self.anatomy = anatomy
        self.choice = choice
        self.folder = folder
        self.console = console
        self.lasting = lasting
        self.seconds = 0.0
        """Of work (`Watch`) that computing the outputs has taken at the beginning of this stage."""
        self._threads = torch.get_num_threads()
        self._reused = False

    def finish(self, job: Job, state: State) -> None:
        """Give the threads back."""
        torch.set_num_threads(self._threads)

    def enter(self, job: Job, state: State) -> None:
        """Make the stage work from the boundary upwards, where there is one."""
        torch.set_num_threads(self._threads)
        self._reused, self.seconds = False, 0.0
        inside = job.accelerator.unwrap_model(job.model)
        try:
            boundary = find_boundary(inside, self.anatomy, job.stages[state.stage].rates)
            boundary.settle(inside)
            done = self._keep(job, inside, boundary)
        except (TrainError, RuntimeError, MemoryError) as wrong:
            done = f"No outputs of frozen parts are kept: {_reason(wrong)}."
        if self.folder:
            self.folder.log({"event": "frozen", "step": state.step + 1, "text": done, "reused": self._reused})

    def _keep(self, job: Job, inside: nn.Module, boundary: Boundary) -> str:
        """Keep the outputs of all rows; returns a sentence on what was done.

        Raises:
            TrainError: they cannot be kept, or are not to be.
        """
        if self.choice == "off":
            raise TrainError("train.cache is off")
        if job.feed.changing:
            raise TrainError("augmentation or mixing changes the rows in every epoch")
        if job.feed.packed:
            raise TrainError("rows are packed, and none is computed alone")
        if job.accelerator.num_processes > 1:
            raise TrainError("several processes train")
        with evaluating(job.model):
            lower = _Lower(job, inside, boundary)
            feeds = {"train": job.feed, **job.held}
            parts = {name: [lower.split(one, self.lasting) for one in feed.views] for name, feed in feeds.items()}
            splits = [split for several in parts.values() for split in several]
            where = self._fill(lower, splits)
        frozen: dict[str, Feed] = {name: in_turn([*map(lower.feed, several)]) for name, several in parts.items()}
        job.work.model, job.work.feed, job.work.held = lower.above, frozen.pop("train"), frozen
        lower.above.train()
        if lower.selection.position:
            job.work.quick = True
            torch.set_num_threads(1)  # what is left of a step is so little that waking a second thread takes longer
        rows, size = sum(len(split.feed) for split in splits), sum(split.size for split in splits)
        return f"Outputs of {boundary.kept} are kept for {rows} rows ({where}, {keeping.said(size)})."

    def _fill(self, lower: _Lower, splits: Collection[Split]) -> str:
        """Compute the outputs of the splits that no earlier run has left; returns where they are kept.

        Raises:
            TrainError: there is no room for them.
        """
        missing = [split for split in splits if split.tensors is None]
        self._reused = len(missing) < len(splits)
        if not missing:
            return "from an earlier run"
        size = sum(split.size for split in missing)
        where = keeping.place(self.choice, size)
        self.console.say(
            f"{_what(lower.boundary, self.anatomy)}: its outputs are computed once ({keeping.said(size)})."
        )
        watch = Watch(lower.job.device)
        with self.console.bar("Frozen part", sum(len(split.feed) for split in missing)) as advance:
            for split in missing:
                lower.fill(split, where, advance)
        self.seconds = watch.seconds
        return where


def _reason(wrong: Exception) -> str:
    """Why nothing is kept, of an error after which the stage goes on without; any other is raised again."""
    if isinstance(wrong, TrainError):
        return str(wrong)
    if out_of_memory(wrong):
        return "memory ran out before they were ready"
    raise wrong


def _what(boundary: Boundary, anatomy: Anatomy) -> str:
    whole = bool(anatomy.base) and boundary.kept.endswith(anatomy.base)
    return "The whole base is frozen" if whole else f"{boundary.kept} and all before it are frozen"


@dataclass
class Split:
    """Rows whose outputs are kept."""

    feed: Feed
    key: str | None
    """Hash of all that decides on the outputs; None where they are for this run alone."""
    sizes: list[tuple[int, torch.dtype]]
    """Numbers and type of each tensor that holds them."""
    tensors: list[Tensor] | None
    """They, where they are there already."""

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(map(keeping.bytes_of, self.sizes))


class _Lower:
    """The part below a boundary, studied on a few rows.

    Raises:
        TrainError: the upper part cannot go on from the output alone.
    """

    def __init__(self, job: Job, inside: nn.Module, boundary: Boundary) -> None:
        self.job = job
        self.inside = inside
        self.boundary = boundary
        some = _spread(job.feed.lengths)
        inputs = self._inputs(job.feed, some)
        with torch.no_grad():
            output, short = self._output(inputs), self._output(self._inputs(job.feed, some[:1]))
            probe = Probe(inputs, lengths_of(job.feed, some), job.model(**inputs).logits)
            self.above = Above(job.model, inside, boundary, output.spec).eval()
            self.selection = self._select(output, probe)
        self.shapes = shapes(output.leaves, self.selection)
        _refuse_growing(self.shapes, shapes(short.leaves, self.selection))

    def _select(self, output: Output, probe: Probe) -> Selection:
        """What is kept: right for the rows that are tried, and for all others.

        Decoders of transformers know padding by its id alone: of a row that ends in that very token, as one may where the end token
        pads, they read an earlier position than the last. Whether such a row is among those that are tried is chance.
        """
        found = select(self.above, output, probe)
        if LAST in found.parts and padding_ends_rows(self.inside, [self.job.feed, *self.job.held.values()]):
            return select(self.above, output, replace(probe, ways=(FIRST,)))
        return found

    def split(self, feed: Feed, lasting: bool) -> Split:
        """Rows, with their outputs where an earlier run has kept them and that is looked for."""
        lengths = feed.sequences(np.arange(len(feed))).lengths
        sizes = [(shape.size(lengths), shape.dtype) for shape in self.shapes if shape is not None]
        key = self._key(feed) if lasting else None
        return Split(feed, key, sizes, keeping.find(key, sizes) if key else None)

    def fill(self, split: Split, where: str, advance: Callable[[int], None]) -> None:
        """Compute the outputs.

        Raises:
            TrainError: the disk is full.
        """
        split.tensors = keeping.make(
            split.key, split.sizes, where, lambda empty: self._compute(split.feed, empty, advance)
        )

    def feed(self, split: Split) -> FrozenFeed:
        """A filled split as what the network from the boundary upwards reads."""
        return FrozenFeed(split.feed, self._features(split.tensors or [], split.feed), self.selection)

    @torch.no_grad()
    def _compute(self, feed: Feed, tensors: Sequence[Tensor], advance: Callable[[int], None]) -> None:
        features = self._features(tensors, feed)
        for group in sorted_groups(feed.lengths, TOKENS_PER_CALL):
            in_parts(partial(self._put, features, feed), group)
            advance(len(group))

    def _put(self, features: Features, feed: Feed, rows: np.ndarray) -> None:
        leaves = self._output(self._inputs(feed, rows)).leaves
        features.put(rows, self.selection.keep(leaves, lengths_of(feed, rows)))

    def _output(self, inputs: dict[str, Tensor]) -> Output:
        return record(self.job.model, self.inside, self.boundary.kept, inputs)

    def _inputs(self, feed: Feed, rows: np.ndarray) -> dict[str, Tensor]:
        return inputs_of(feed.batch(rows, self.job.device))

    def _features(self, tensors: Sequence[Tensor], feed: Feed) -> Features:
        given = iter(tensors)
        kept = [None if shape is None else next(given) for shape in self.shapes]
        return Features(self.shapes, kept, feed.sequences(np.arange(len(feed))))

    def _key(self, feed: Feed) -> str:
        """Hash of all that decides on the outputs: the frozen part, the rows as encoded, precision, and the code."""
        digest = self._frozen.copy()
        for rows in portions(feed.lengths):
            for name, value in feed.inputs(rows).items():
                digest.update(f"{name}{tuple(value.shape)}".encode())
                digest.update(bytes_of(value))
        return digest.hexdigest()[:32]

    @cached_property
    def _frozen(self) -> hashlib._Hash:
        """Hash of weights, settings, precision and code."""
        digest = hash_below(self.inside, self.boundary)
        for part in (self.selection, self.shapes, self.job.accelerator.mixed_precision, self.job.device.type):
            digest.update(repr(part).encode())
        return digest


def _spread(lengths: np.ndarray) -> np.ndarray:
    """A few rows from the shortest to the longest, (rows,)."""
    order = np.argsort(lengths, kind="stable")
    some: np.ndarray = order[np.linspace(0, len(order) - 1, min(PROBED, len(order))).astype(int)]
    return some


def _refuse_growing(long: Sequence[Shape | None], short: Sequence[Shape | None]) -> None:
    """Refuse an output of which rows are stored whole and are not all equally large.

    Raises:
        TrainError: there is one.
    """
    pairs = [(one, other) for one, other in zip(long, short, strict=True) if one and other]
    if any(one.part == ROW and one.inner != other.inner for one, other in pairs):
        raise TrainError("a row's output has a size that varies with more than its own length")
