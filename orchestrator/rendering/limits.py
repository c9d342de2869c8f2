"""What a template may spend: rounds, calls, seconds and size, and the bounded ways to build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import Decimal
from itertools import islice
from time import monotonic
from typing import Any, Final, TypeVar

from jinja2.exceptions import SecurityError
from markupsafe import escape

MAX_OUTPUT: Final = 1_000_000
"""Characters a template, or any text made inside it, may grow to."""
MAX_STEPS: Final = 20_000
"""Loop rounds, calls and inclusions of one rendering."""
MAX_SECONDS: Final = 2.0
MAX_RANGE: Final = 1_000
MAX_BITS: Final = 256
MAX_PLACES: Final = 10

_BETWEEN_CLOCKS: Final = 64
"""Steps after which the clock is looked at."""
_AT_ONCE: Final = 50

T = TypeVar("T")


class _Meter:
    """What one rendering may still spend."""

    __slots__ = ("deadline", "left")

    def __init__(self) -> None:
        self.left = MAX_STEPS
        self.deadline = monotonic() + MAX_SECONDS

    def spend(self, steps: int) -> None:
        before, self.left = self.left, self.left - steps
        clock = before // _BETWEEN_CLOCKS != self.left // _BETWEEN_CLOCKS
        if self.left < 0 or (clock and monotonic() > self.deadline):
            raise SecurityError("it loops or calls too much; the data should not need that")


_meter: ContextVar[_Meter | None] = ContextVar("rendering_meter", default=None)


def step() -> None:
    """Count one call or inclusion."""
    if (meter := _meter.get()) is not None:
        meter.spend(1)


@contextmanager
def metered() -> Iterator[None]:
    """Within it, loops and calls of templates draw on one fresh allowance."""
    token = _meter.set(_Meter())
    try:
        yield
    finally:
        _meter.reset(token)


def rounds(values: Iterable[Any] | None) -> Iterable[Any]:
    """What a loop runs over, every round paid for; none is an empty list.

    A list is paid for before its first round, so that the rounds themselves cost nothing more.
    """
    if isinstance(values, (tuple, list)):
        if (meter := _meter.get()) is not None:
            meter.spend(len(values))
        return values
    return _Rounds(values)


class _Rounds:
    """An iterable whose every round is counted."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[Any] | None) -> None:
        self._values: Iterable[Any] = () if values is None else values

    def __iter__(self) -> Iterator[Any]:
        for value in self._values:
            step()
            yield value

    def __len__(self) -> int:
        return len(self._values)  # type: ignore[arg-type]  # Jinja2 copes with the TypeError


def bounded(value: T) -> T:
    """The value, if it is not a text or list grown too large."""
    limit = MAX_OUTPUT if isinstance(value, str) else MAX_RANGE
    if isinstance(value, (str, list, tuple)) and len(value) > limit:
        raise SecurityError("a text or list made in the template grows too large")
    return value


def joined(parts: Iterable[str]) -> str:
    """The parts of an output as one text; stops as soon as they are too many."""
    if isinstance(parts, list):
        _fits(sum(map(len, parts)))
        return "".join(parts)
    chunks: list[str] = []
    size, coming = 0, iter(parts)
    while some := list(islice(coming, _AT_ONCE)):
        size += sum(map(len, some))
        _fits(size)
        chunks += some
    return "".join(chunks)


def _fits(size: int) -> None:
    if size > MAX_OUTPUT:
        raise SecurityError(f"the result is larger than {MAX_OUTPUT:,} characters")


def join(values: Iterable[Any] | None, separator: str = "", attribute: str | None = None) -> str:
    """The filter: values, or an attribute of each, with a text between them."""
    parts = (value if attribute is None else value[attribute] for value in rounds(values))
    texts = [escape(part) if hasattr(separator, "__html__") else str(part) for part in parts]
    size = sum(map(len, texts)) + len(separator) * len(texts)
    if size > MAX_OUTPUT:
        raise SecurityError("a joined text grows too large")
    return separator.join(texts)


def replace(text: str, old: str, new: str) -> str:
    """The filter: one text in another by a third."""
    if not old or len(text) + text.count(old) * len(new) > MAX_OUTPUT:
        raise SecurityError("a replacement grows too large, or replaces nothing")
    return text.replace(old, new)


def rounded(value: Decimal | float, places: int = 0) -> Decimal:
    """The filter `round`: a decimal with so many places."""
    if not 0 <= places <= MAX_PLACES:
        raise SecurityError(f"round takes 0 to {MAX_PLACES} places")
    return round(Decimal(str(value)), places)


def numbers(*bounds: int) -> range:
    """The function `range`."""
    found = range(*bounds)
    if len(found) > MAX_RANGE:
        raise SecurityError(f"range makes at most {MAX_RANGE} numbers")
    return found


def ordinary(value: object) -> bool:
    """Whether it is a number that arithmetic cannot blow up."""
    if isinstance(value, int):
        return value.bit_length() <= MAX_BITS
    return isinstance(value, float | Decimal)
