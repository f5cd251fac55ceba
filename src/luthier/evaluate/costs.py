"""What a model costs: to train, to keep and to ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from luthier.evaluate.records import Records


@dataclass(frozen=True)
class Cost:
    """Of one model; None is not known."""

    parameters: float | None = None
    memory_mb: float | None = None
    seconds: float | None = None
    milliseconds: float | None = None
    bytes: float | None = None


@dataclass(frozen=True)
class Kind:
    """What a person should know about a cost."""

    title: str
    meaning: str
    shown: Callable[[float], str]
    of_seeds: Callable[[Sequence[float]], float] = mean
    """What stands for several trainings that differ in their seeds."""


def counted(number: float) -> str:
    """A count in three digits: 1.23M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def lasting(seconds: float) -> str:
    """A time in two parts, or seconds to two digits."""
    if seconds < 59.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def sized(size: float) -> str:
    """Bytes as MB or kB."""
    return f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e3:,.0f} kB"


COSTS: Mapping[str, Kind] = {
    "parameters": Kind("Trained", "numbers that training changes", counted),
    "memory_mb": Kind(
        "Memory",
        "most memory that the training process held, Python and its libraries included; on a GPU, that of the GPU",
        lambda size: f"{size:,.0f} MB",
        max,
    ),
    "seconds": Kind(
        "Training",
        "from the first step to the last, with outputs of frozen parts, evaluations and checkpoints",
        lasting,
    ),
    "milliseconds": Kind(
        "A prediction",
        "time to score the held-out rows, in batches and encoded already, over their number",
        lambda time: f"{time:.2g} ms",
    ),
    "bytes": Kind("On disk", "the saved model, without a base that it belongs to", sized),
}


def of_run(records: Records) -> Cost:
    """What a run has cost, from its log and its files."""
    scored = [one for one in records.log if one["event"] == "score" and one["split"] == records.held_out]
    stops = [one for one in records.log if one["event"] == "stop"]
    return Cost(
        parameters=records.resolved.get("trained_parameters"),
        memory_mb=max((one["memory_mb"] for one in records.log if one.get("memory_mb")), default=None),
        seconds=stops[-1].get("wall_seconds") if stops else None,
        milliseconds=1000 * scored[-1]["seconds"] / scored[-1]["rows"] if scored else None,
        bytes=sum(file.stat().st_size for file in (records.folder / "model").rglob("*") if file.is_file()),
    )


def of_seeds(costs: Sequence[Cost]) -> Cost:
    """Of models that differ in their seeds: the means, and the most memory."""
    columns: dict[str, list[Any]] = {name: [asdict(one)[name] for one in costs] for name in COSTS}
    return Cost(**{name: COSTS[name].of_seeds(values) for name, values in columns.items() if None not in values})


def reused(records: Records) -> bool:
    """Whether training found outputs of a frozen part that an earlier run had computed, whose time it does not have."""
    return any(one.get("reused") for one in records.log if one["event"] == "frozen")
