"""What kind of value an expression can have, as far as the file alone can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(Enum):
    """Kinds of single values; the value of each member is how an error names it."""

    TEXT = "a text"
    NUMBER = "a number"
    TRUTH = "true or false"
    TIME = "a time"
    DURATION = "a duration"
    ANYTHING = "anything"  # decided by the value itself, when the expression is asked
    NOTHING = "none"


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields; `rest` is the shape of every other key, or None when there are no others."""

    name: str
    fields: Mapping[str, Shape] = field(default_factory=dict, hash=False)
    rest: Shape | None = None

    def at(self, key: str) -> Shape | None:
        """Shape of one field, or None when there is no such field."""
        return self.fields.get(key, self.rest)


@dataclass(frozen=True, slots=True)
class Many:
    """A list whose elements share a shape."""

    of: Shape


Shape: TypeAlias = Kind | Record | Many


def name_of(shape: Shape) -> str:
    """How an error names a shape: "a text", "a list", "a group of fields"."""
    if isinstance(shape, Kind):
        return shape.value
    return "a list" if isinstance(shape, Many) else "a group of fields"


def common(first: Shape, second: Shape) -> Shape:
    """Shape of a value that is either of two, as `a if c else b` gives."""
    if first == second or second is Kind.NOTHING:
        return first
    return second if first is Kind.NOTHING else Kind.ANYTHING
