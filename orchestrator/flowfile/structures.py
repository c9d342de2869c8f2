"""Shapes of lists and groups of keys, built from the shapes of single values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from orchestrator.flowfile.shapes import Choice, JsonSchema, Shape, Word, nearest, write
from orchestrator.flowfile.slips import LOOK_ALIKES, look_alike
from orchestrator.flowfile.source import (
    Listing,
    Log,
    Mapping,
    Node,
    Scalar,
    Span,
    describe,
    shorten,
)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Placed(Generic[T_co]):
    """A value and where it stands."""

    value: T_co
    node: Node


@dataclass(frozen=True, slots=True)
class At(Shape[Placed[T_co]]):
    """A shape whose place is needed later, to point at it."""

    inner: Shape[T_co]

    def read(self, node: Node, log: Log) -> Placed[T_co] | None:
        """The value with its node."""
        value = self.inner.read(node, log)
        return None if value is None else Placed(value, node)

    def schema(self) -> JsonSchema:
        """That of the inner shape."""
        return self.inner.schema()


@dataclass(frozen=True, slots=True)
class Many(Shape[tuple[T_co, ...]]):
    """A list, for which a single value may stand."""

    inner: Shape[T_co]

    def read(self, node: Node, log: Log) -> tuple[T_co, ...] | None:
        """The values that could be read."""
        if not isinstance(node, Listing):
            if isinstance(node, Scalar) and self._is_bare_list(node):
                meant = write(log, f"[{' '.join(node.text.split())}]")
                log.wrong("value", node, "several values are written as a list", meant)
                return None
            value = self.inner.read(node, log)
            return None if value is None else (value,)
        if not node.items:
            log.wrong("value", node, "an empty list", "add a value, or remove the key")
            return None
        with log.under(None):
            values = [self.inner.read(item, log) for item in node.items]
        return tuple(value for value in values if value is not None)

    def _is_bare_list(self, node: Scalar) -> bool:
        """Whether words stand side by side with commas only."""
        inner = self.inner.inner if isinstance(self.inner, At) else self.inner
        return "," in node.text and isinstance(inner, Choice | Word)

    def schema(self) -> JsonSchema:
        """One or a list."""
        inner = self.inner.schema()
        return {"anyOf": [inner, {"type": "array", "items": inner}]}


@dataclass(frozen=True, slots=True)
class Named(Shape[dict[str, Placed[T_co]]]):
    """A group of keys that the author names."""

    key: Shape[str]
    inner: Shape[T_co]
    wanted: str = "a group of keys"
    example: str = ""

    def read(self, node: Node, log: Log) -> dict[str, Placed[T_co]] | None:
        """The values by name. The node of each is its key."""
        if not isinstance(node, Mapping):
            span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
            message = f"{self.wanted} is wanted here, not {describe(node)}"
            hint = f"write {self.example}" if self.example else ""
            log.wrong("value", span, message, hint)
            return None
        values: dict[str, Placed[T_co]] = {}
        for entry in node.entries:
            with log.under(Scalar(entry.key.start, entry.key.end, "")):
                name = self.key.read(entry.key, log)
            if _says_nothing(entry.key, entry.value, log, self.example):
                continue
            with log.under(entry.key):
                value = self.inner.read(entry.value, log)
            if name is not None and value is not None:
                values[name] = Placed(value, entry.key)
        return values

    def schema(self) -> JsonSchema:
        """Any key of that pattern."""
        shape: JsonSchema = {"type": "object", "additionalProperties": self.inner.schema()}
        pattern = self.key.schema().get("pattern")
        if pattern:
            shape["propertyNames"] = {"pattern": pattern}
        return shape


@dataclass(frozen=True, slots=True)
class Field(Generic[T_co]):
    """One known key: its name, what it takes, a sentence about it and an example value."""

    name: str
    shape: Shape[T_co]
    doc: str
    example: str = "..."
    required: bool = False
    may_be_empty: bool = False

    def schema(self) -> JsonSchema:
        """That of the value."""
        shape = self.shape.schema()
        return {"anyOf": [shape, {"type": "null"}]} if self.may_be_empty else shape


@dataclass(frozen=True, slots=True)
class Fields:
    """What was written under the known keys of one group."""

    node: Mapping
    values: dict[str, object]
    keys: dict[str, Scalar]

    def get(self, wanted: Field[T]) -> T | None:
        """The value of a key, or None if it is not there or was refused."""
        return cast("T | None", self.values.get(wanted.name))

    def key(self, wanted: Field[object]) -> Span:
        """Where the key stands, or the start of the group."""
        return self.keys.get(wanted.name) or Span(self.node.start, self.node.start + 1)

    def has(self, wanted: Field[object]) -> bool:
        """Whether the key is written, well or badly."""
        return wanted.name in self.keys


@dataclass(frozen=True, slots=True)
class Record(Shape[Fields]):
    """A group of known keys; its name stands in the table of what is available."""

    name: str
    fields: tuple[Field[object], ...]
    wanted: str
    example: str = ""
    main: str = ""
    """The key that a single value was probably meant for."""

    def read(self, node: Node, log: Log) -> Fields | None:
        """The values; unknown and missing keys are logged."""
        if not isinstance(node, Mapping):
            span = node if isinstance(node, Scalar) else Span(node.start, node.start + 1)
            hint = f"write {self.example}" if self.example else ""
            if self.main and isinstance(node, Scalar) and not node.is_empty:
                hint = write(log, f"{{{self.main}: {node.text.strip()}}}")
            message = f"{self.wanted} is wanted here, not {describe(node)}"
            log.wrong("value", span, message, hint)
            return None
        found = Fields(node, {}, {})
        known = {one.name: one for one in self.fields}
        for entry in node.entries:
            one = known.get(entry.key.text)
            if one is None:
                meant = _unknown_key(entry.key, entry.value, list(known), log)
                found.keys.setdefault(meant, entry.key)
                continue
            found.keys[one.name] = entry.key
            log.use(f"{self.name}.{one.name}", entry.key)
            if one.may_be_empty and isinstance(entry.value, Scalar) and entry.value.is_empty:
                continue
            if _says_nothing(entry.key, entry.value, log, f"{one.name}: {one.example}"):
                continue
            with log.under(entry.key):
                found.values[one.name] = one.shape.read(entry.value, log)
        self._report_missing(found, log)
        return found

    def _report_missing(self, found: Fields, log: Log) -> None:
        for one in self.fields:
            if one.required and one.name not in found.keys:
                start = found.node.start
                place = log.owner or Span(start, start + 1)
                add = f"add {one.name}: {one.example}"
                log.wrong("missing", place, f'"{one.name}" is missing in {self.wanted}', add)

    def schema(self) -> JsonSchema:
        """The known keys, none other."""
        shape: JsonSchema = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                one.name: {"description": one.doc, **one.schema()} for one in self.fields
            },
        }
        required = [one.name for one in self.fields if one.required]
        return {**shape, "required": required} if required else shape


def fields(*some: Field[object]) -> tuple[Field[object], ...]:
    """Known keys of any shapes as one tuple."""
    return some


def _unknown_key(key: Scalar, value: Node, known: list[str], log: Log) -> str:
    """Log the key; the known key that it means for sure, if there is one."""
    name, colon, rest = key.text.partition(":")
    if colon and name in known and isinstance(value, Scalar) and value.is_empty:
        log.wrong("key", key, f'a space is missing after "{name}:"', f"write {name}: {rest}")
        return name
    message = f'unknown key "{shorten(key.text)}"'
    hint = nearest(key.text, known)
    odd = look_alike(key.text)
    if odd:
        message = f"{LOOK_ALIKES[odd][0]} (U+{ord(odd):04X}) stands in this key"
        meant = key.text.replace(odd, "").strip()
        log.wrong("key", key, message, f"write {meant}")
        return meant if meant in known else ""
    if key.text == "<<":
        message, hint = "merge keys (<<) are not read here", "write the keys out each time"
    log.wrong("key", key, message, hint)
    return ""


def _says_nothing(key: Scalar, value: Node, log: Log, example: str) -> bool:
    if not (isinstance(value, Scalar) and value.is_empty):
        return False
    hint = f"write {example}" if example else "write a value, or remove the key"
    log.wrong("value", key, f'"{shorten(key.text)}" has no value', hint)
    return True


def each_value(values: dict[str, Placed[T]] | None) -> Iterator[tuple[str, T, Node]]:
    """Name, value and key node of a named group that may have been refused."""
    for name, placed in (values or {}).items():
        yield name, placed.value, placed.node
