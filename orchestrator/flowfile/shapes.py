"""Shapes of single values: how a scalar is read, and its JSON Schema.

A shape reads a node and logs what is wrong with it; None means that it has complained.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, Generic, TypeVar

from orchestrator.flowfile.source import Log, Node, Scalar, Span, describe, shorten

T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)
JsonSchema = dict[str, object]
NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,10})?")
_MOST_LISTED: Final = 24


class Shape(ABC, Generic[T_co]):
    """What may stand in one place of the file."""

    @abstractmethod
    def read(self, node: Node, log: Log) -> T_co | None:
        """The value, or None after logging why there is none."""

    @abstractmethod
    def schema(self) -> JsonSchema:
        """The same rule for editors."""


def nearest(word: str, names: list[str]) -> str:
    """A hint: the name that was probably meant, else the names there are."""
    folded = {name.lower().replace("-", "_"): name for name in reversed(names)}
    close = get_close_matches(word.lower().replace("-", "_"), list(folded), n=1, cutoff=0.68)
    if close:
        return f'did you mean "{folded[close[0]]}"?'
    if not names:
        return "there are none yet"
    listed = ", ".join(names[:_MOST_LISTED])
    return f"known here: {listed}" + (", …" if len(names) > _MOST_LISTED else "")


def read_scalar(node: Node, log: Log, wanted: str, example: str) -> Scalar | None:
    """The node if it is a single value that says something."""
    if isinstance(node, Scalar) and not node.is_empty and node.text.strip():
        return node
    span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
    log.wrong("value", span, f"{wanted} is wanted here, not {describe(node)}", write(log, example))
    return None


def write(log: Log, value: str) -> str:
    """A hint with the line as it should be."""
    return f"write {log.key}: {value}" if log.key else f"write {value}"


@dataclass(frozen=True, slots=True)
class Text(Shape[str]):
    """Any text, as written: a number or a date stays the text it is."""

    wanted: str = "text"
    example: str = "some text"
    longest: int = 10_000

    def read(self, node: Node, log: Log) -> str | None:
        """The text without surrounding space."""
        scalar = read_scalar(node, log, self.wanted, self.example)
        if scalar is None:
            return None
        text = scalar.text.strip()
        if len(text) > self.longest:
            message = f"{len(text)} characters are too many for {self.wanted}"
            log.wrong("value", scalar, message, f"use at most {self.longest}")
            return None
        return text

    def schema(self) -> JsonSchema:
        """Numbers too, since an editor reads `2026` as one."""
        return {"type": ["string", "number"]}


@dataclass(frozen=True, slots=True)
class Condition(Shape[Scalar]):
    """An expression, left unread until all names are known."""

    example: str = "contact.orders.count > 0"

    def read(self, node: Node, log: Log) -> Scalar | None:
        """The scalar that holds it."""
        return read_scalar(node, log, "a condition", self.example)

    def schema(self) -> JsonSchema:
        """Expressions are checked by the loader alone; `true` and numbers are expressions."""
        return {"type": ["string", "number", "boolean"], "description": "An expression."}


@dataclass(frozen=True, slots=True)
class Word(Shape[str]):
    """Text that follows a pattern."""

    pattern: str
    wanted: str
    example: str
    mend: Callable[[str], str] | None = None
    """What was probably meant by a text that does not follow it."""

    def read(self, node: Node, log: Log) -> str | None:
        """The word as written."""
        scalar = read_scalar(node, log, self.wanted, self.example)
        if scalar is None:
            return None
        text = scalar.text.strip()
        if re.fullmatch(self.pattern, text):
            return text
        meant = self.mend(text) if self.mend else ""
        hint = write(log, meant if re.fullmatch(self.pattern, meant) else self.example)
        log.wrong("value", scalar, f'"{shorten(text)}" is not {self.wanted}', hint)
        return None

    def schema(self) -> JsonSchema:
        """The pattern."""
        return {"type": ["string", "number"], "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Choice(Shape[E]):
    """One of a few words; its use is noted as `name=word`."""

    name: str
    choices: type[E]

    def read(self, node: Node, log: Log) -> E | None:
        """The member."""
        words = [choice.value for choice in self.choices]
        scalar = read_scalar(node, log, f"one of {', '.join(words)}", words[0])
        if scalar is None:
            return None
        text = scalar.text.strip()
        if text not in words:
            message = f'"{shorten(text)}" is no {self.name.replace("_", " ")}'
            log.wrong("value", scalar, message, nearest(text, words))
            return None
        log.use(f"{self.name}={text}", scalar)
        return self.choices(text)

    def schema(self) -> JsonSchema:
        """The words."""
        return {"enum": [choice.value for choice in self.choices]}


@dataclass(frozen=True, slots=True)
class Whole(Shape[int]):
    """A whole number within bounds, both included."""

    least: int
    most: int
    example: str = "50"

    def read(self, node: Node, log: Log) -> int | None:
        """The number."""
        wanted = f"a whole number from {self.least} to {self.most}"
        if self.least == self.most:
            wanted = str(self.least)
        scalar = read_scalar(node, log, wanted, self.example)
        if scalar is None:
            return None
        text = scalar.text.strip()
        if re.fullmatch(r"-?\d{1,9}", text) and self.least <= int(text) <= self.most:
            return int(text)
        log.wrong("value", scalar, f'"{shorten(text)}" is not {wanted}', write(log, self.example))
        return None

    def schema(self) -> JsonSchema:
        """The bounds."""
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Number(Shape[Decimal]):
    """A decimal number within bounds, both included; with `unit`, followed by it if liked."""

    least: Decimal
    most: Decimal
    example: str
    unit: str = ""

    def read(self, node: Node, log: Log) -> Decimal | None:
        """The number, exact."""
        wanted = f"a number from {self.least} to {self.most}"
        scalar = read_scalar(node, log, wanted, self.example)
        if scalar is None:
            return None
        text = scalar.text.strip()
        bare = text.removesuffix(self.unit).rstrip() if self.unit else text
        if NUMBER.fullmatch(bare) and self.least <= Decimal(bare) <= self.most:
            return Decimal(bare)
        log.wrong("value", scalar, f'"{shorten(text)}" is not {wanted}', write(log, self.example))
        return None

    def schema(self) -> JsonSchema:
        """A number, or text that ends in the unit."""
        number: JsonSchema = {
            "type": "number",
            "minimum": float(self.least),
            "maximum": float(self.most),
        }
        if not self.unit:
            return number
        pattern = rf"^\d+(\.\d+)? ?{re.escape(self.unit)}$"
        return {"anyOf": [number, {"type": "string", "pattern": pattern}]}
