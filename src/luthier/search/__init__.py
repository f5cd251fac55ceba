"""Which settings are best: what may be searched, and how a recipe says it.

    search:
      space: {train.lr: {from: 1e-5, to: 1e-3, log: true}, method.rank: {among: [4, 8, 16]}}
      trials: 20

The same values may stand in the place of the number itself, `lr: {from: 1e-5, to: 1e-3, log: true}`. A recipe that names none is
searched over what its methods think worth trying (`Method.space`). The search itself is in tune.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from luthier.registry import Options

EXPECTED = "{from: 1e-5, to: 1e-3, log: true} or {among: [4, 8, 16]}"


@dataclass(frozen=True)
class Range:
    """Numbers between two, both included; whole ones where both ends are."""

    low: float
    high: float
    log: bool = False
    """Whether each factor is as likely as any other, and not each difference."""

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that show whether all others are allowed."""
        return self.low, self.high

    def nearest(self, value: Any) -> Any:
        """The value that is nearest to a given one; the low end where that is no number."""
        if not _number(value):
            return self.low
        found = min(max(value, self.low), self.high)
        return round(found) if self.whole else float(found)

    def written(self) -> dict[str, Any]:
        """As a recipe says it."""
        return {"from": self.low, "to": self.high, "log": self.log}


@dataclass(frozen=True)
class Among:
    """Some values: numbers, words, or mappings such as `{name: lora, rank: 8}`."""

    members: tuple[Any, ...]

    @property
    def ends(self) -> tuple[Any, ...]:
        """Values that show whether all others are allowed."""
        return self.members

    def nearest(self, value: Any) -> Any:
        """The value itself where it is one of them, else the first."""
        return value if value in self.members else self.members[0]

    def written(self) -> dict[str, Any]:
        """As a recipe says it."""
        return {"among": list(self.members)}


def read(value: Any) -> Range | Among:
    """What a recipe says of the values of a key.

    Raises:
        PydanticCustomError: it is neither a range nor a choice.
    """
    if isinstance(value, Range | Among):
        return value
    if not isinstance(value, Mapping) or not (set(value) == {"among"} or {"from", "to"} <= set(value)):
        raise _wrong(EXPECTED, value)
    return _among(value) if "among" in value else _range(value)


def _among(value: Mapping[str, Any]) -> Among:
    members = value["among"]
    distinct = isinstance(members, Sequence) and not isinstance(members, str) and len({repr(one) for one in members})
    if not distinct or distinct < 2 or distinct < len(members):
        raise _wrong("at least two different values after `among`, in brackets", members)
    return Among(tuple(map(_plain, members)))


def _range(value: Mapping[str, Any]) -> Range:
    low, high, log = value["from"], value["to"], value.get("log", False)
    unknown = sorted(set(value) - {"from", "to", "log"})
    if unknown:
        raise _wrong("`from`, `to` and `log`, and no other keys", unknown[0])
    if not (_number(low) and _number(high) and low < high):
        raise _wrong("two numbers, `from` below `to`", f"{low!r} and {high!r}")
    if not isinstance(log, bool) or (log and low <= 0):
        raise _wrong("`log: true` or `log: false`, and `from` above 0 where it is true", dict(value))
    if isinstance(low, int) and isinstance(high, int):
        return Range(int(low), int(high), log)
    return Range(float(low), float(high), log)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """A value of a YAML file without what it remembers of how it was written there."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return next((kind(value) for kind in (bool, int, float, str) if isinstance(value, kind)), value)


def _wrong(text: str, got: Any) -> PydanticCustomError:
    return PydanticCustomError("member", "{text}", {"text": f"expected {text}; got {got}."})


Values = Annotated[
    Range | Among,
    PlainValidator(read),
    PlainSerializer(lambda one: one.written()),
    WithJsonSchema({"type": "object", "description": "{from, to, log} or {among}"}),
]


class Search(Options):
    """What `luthier tune` searches."""

    space: dict[str, Values] | None = None
    """Keys of the recipe, with dots, and the values to try: `{train.lr: {from: 1e-5, to: 1e-3, log: true}, method.rank: {among: [4,
    8, 16]}}`. Default: the learning rate around the method's own, the batch size, and what the method offers."""
    trials: Annotated[int, Field(ge=1)] = 20
    """How many values are tried in all, unless `--trials` or `--minutes` says otherwise."""
    pruner: Literal["median", "hyperband", "none"] = "median"
    """Which trials end early: those below the median of the others at the same epoch, those that Hyperband (Li et al. 2018) gives no
    more epochs, or none."""


def around(value: float, factor: float = 5) -> Range:
    """Values from a fifth of a number to five times it, each factor as likely as any other."""
    return Range(value / factor, value * factor, log=True)
