"""The text of a file as a tree of nodes that remember where they stand."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from orchestrator.domain.findings import Finding, Severity

_EMPTY: Final = frozenset({"", "~", "null", "Null", "NULL"})
_ESCAPE_WIDTH: Final = {"x": 4, "u": 6, "U": 10}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the text, as character offsets; the end is exclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scalar(Span):
    """A single value, kept as written. `style` is its quote, `|`, `>`, or nothing."""

    text: str
    style: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written here."""
        return not self.style and self.text in _EMPTY


@dataclass(frozen=True, slots=True)
class Listing(Span):
    """A list of nodes."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One `key: value` of a mapping."""

    key: Scalar
    value: Node


@dataclass(frozen=True, slots=True)
class Mapping(Span):
    """Entries in the order of the file, each key once."""

    entries: tuple[Entry, ...]

    def get(self, name: str) -> Node | None:
        """The value under a key, if there is one."""
        return next((entry.value for entry in self.entries if entry.key.text == name), None)


Node = Scalar | Listing | Mapping


def describe(node: Node) -> str:
    """What a node is, in a marketer's words."""
    match node:
        case Scalar():
            return "nothing" if node.is_empty else f'"{shorten(node.text)}"'
        case Listing():
            return "a list"
        case Mapping():
            return "a group of keys"


def shorten(text: str, width: int = 40) -> str:
    """The text on one line, cut to a width."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


class Source:
    """A named text that turns offsets into lines and columns."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self._starts = [0, *(at + 1 for at, char in enumerate(text) if char == "\n")]

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from one."""
        line = bisect_right(self._starts, min(offset, len(self.text)))
        return line, offset - self._starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both from one."""
        return self._starts[min(line, len(self._starts)) - 1] + column - 1

    def line(self, number: int) -> str:
        """A line without its end, counted from one; empty beyond the text."""
        if not 1 <= number <= len(self._starts):
            return ""
        start = self._starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]

    def within(self, node: Scalar, start: int, end: int) -> Span:
        """Where a stretch of a scalar's value stands in the file."""
        offsets = list(_aligned(self.text, node))
        if not offsets:
            return node
        last = len(offsets) - 1
        first = offsets[min(max(start, 0), last)] + (1 if start > last else 0)
        return Span(first, max(offsets[min(max(end - 1, 0), last)] + 1, first + 1))


def _aligned(text: str, node: Scalar) -> Iterator[int]:
    """For each character of a scalar's value, the offset where it was written.

    Folding turns a line break with its indentation into one space, and quotes have
    escapes; whatever cannot be told apart is placed at the nearest character before.
    """
    at = _content_start(text, node)
    for char in node.text:
        while at < node.end and text[at] != char and text[at] in " \n" and char not in " \n":
            at += 1
        if at >= node.end:
            yield max(node.end - 1, node.start)
            continue
        yield at
        if node.style == '"' and text[at] == "\\":
            at += _ESCAPE_WIDTH.get(text[at + 1 : at + 2], 2)
        elif node.style == "'" and text.startswith("''", at):
            at += 2
        elif char in " \n" and text[at] in " \n" and text[at] != char:
            while at < node.end and text[at] in " \n":
                at += 1
        else:
            at += 1


def _content_start(text: str, node: Scalar) -> int:
    if node.style in {"|", ">"}:
        after_header = text.find("\n", node.start) + 1
        return after_header or node.start
    return node.start + len(node.style)


@dataclass(slots=True)
class Log:
    """Findings on one source, and every key and choice it uses."""

    source: Source
    findings: list[Finding] = field(default_factory=list)
    uses: list[tuple[str, Span]] = field(default_factory=list)
    key: str = ""
    """The key whose value is being read, for hints that show the line as it should be."""
    owner: Span | None = None
    """Where a missing key is reported: at the name of the flow, say."""

    def wrong(self, rule: str, span: Span, message: str, hint: str = "") -> None:
        """Something that stops publishing."""
        self._add(Severity.ERROR, rule, span, message, hint)

    def doubt(self, rule: str, span: Span, message: str, hint: str = "") -> None:
        """Something worth a look."""
        self._add(Severity.WARNING, rule, span, message, hint)

    def use(self, what: str, span: Span) -> None:
        """Note that a part of the grammar is used, for the table of what is available."""
        self.uses.append((what, span))

    @contextmanager
    def under(self, key: Scalar | None) -> Iterator[None]:
        """Read the value of a key; None inside a list."""
        outer = self.key, self.owner
        self.key, self.owner = (key.text, key) if key else (self.key, None)
        yield
        self.key, self.owner = outer

    def _add(self, severity: Severity, rule: str, span: Span, message: str, hint: str) -> None:
        line, column = self.source.place(span.start)
        rest_of_line = len(self.source.line(line)) - column + 1
        length = max(1, min(span.end - span.start, rest_of_line))
        self.findings.append(
            Finding(severity, rule, self.source.name, line, column, message, hint, length)
        )
