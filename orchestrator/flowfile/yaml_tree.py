"""YAML 1.2 text to nodes: the one place that sees ruamel.yaml.

Scalars stay as written; the schema decides how to read them, so `2026-12`, `00100` and
`no` never turn into something else on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StreamMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from orchestrator.flowfile import quoting, slips
from orchestrator.flowfile.quoting import Slip
from orchestrator.flowfile.slips import SyntaxProblem
from orchestrator.flowfile.source import Entry, Listing, Log, Mapping, Node, Scalar, Source, Span

DEEPEST: Final = 40
MOST_REPAIRS: Final = 25
MOST_REPAIRS_WHEN_LARGE: Final = 2
LARGE: Final = 100_000


@dataclass(frozen=True, slots=True)
class Tree:
    """What could be read. Nodes stand in `source`, whose `mended` lines are not the author's."""

    root: Node | None
    source: Source
    mended: frozenset[int]


def read_tree(source: Source, log: Log) -> Tree:
    """Compose the nodes; the root is None for an empty file and after a hopeless error.

    A syntax error with a known remedy is logged and mended in memory, and reading starts
    again, so that one slip does not hide the others. Mending keeps the number of lines.
    """
    mended: set[int] = set()
    current = source
    # Each repair reads the whole file again, about a second for 100,000 characters.
    repairs = MOST_REPAIRS if len(source.text) < LARGE else MOST_REPAIRS_WHEN_LARGE
    for _ in range(repairs):
        attempt = Log(current)
        outcome = _read_once(current, attempt)
        if not isinstance(outcome, Slip):
            log.findings += [one for one in attempt.findings if one.line not in mended]
            return Tree(outcome, current, frozenset(mended))
        if outcome.line in mended:
            break
        at = source.offset(outcome.line, outcome.column)
        log.wrong("yaml", Span(at, at + outcome.length), outcome.message, outcome.hint)
        if outcome.corrected is None:
            break
        mended.add(outcome.line)
        current = _with_line(current, outcome.line, outcome.corrected)
    return Tree(None, source, frozenset())


def _with_line(source: Source, number: int, line: str) -> Source:
    start = source.offset(number, 1)
    end = start + len(source.line(number))
    return Source(source.name, source.text[:start] + line + source.text[end:])


def _read_once(source: Source, log: Log) -> Node | Slip | None:
    """One pass: the tree, or the syntax error that stopped it as a slip with its remedy.

    Every exception of ruamel.yaml ends here.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    try:
        return _Composer(source, log).document(yaml.parse(source.text))
    except _Refused as refusal:
        return refusal.slip
    except ReaderError as error:
        line, column = source.place(error.position)
        return quoting.bad_character(line, column, source.text[error.position])
    except MarkedYAMLError as error:
        return slips.diagnose(source, _problem(error))
    except (YAMLError, ValueError, AssertionError, IndexError) as error:
        return Slip(1, 1, f"this is not YAML: {type(error).__name__}", "write it as YAML 1.2")


def _problem(error: MarkedYAMLError) -> SyntaxProblem:
    where, context = error.problem_mark, error.context_mark
    mark = where if isinstance(where, StreamMark) else context
    return SyntaxProblem(
        what=str(error.problem or ""),
        context=str(error.context or ""),
        line=mark.line + 1 if mark else 1,
        column=mark.column + 1 if mark else 1,
        context_line=context.line + 1 if context else 0,
        context_column=context.column + 1 if context else 0,
    )


class _Refused(Exception):  # a jump out of the event loop, never seen outside
    def __init__(self, slip: Slip) -> None:
        self.slip = slip


class _Composer:
    """Builds nodes from events with its own limits; the depth is checked before recursion."""

    def __init__(self, source: Source, log: Log) -> None:
        self._source = source
        self._log = log

    def document(self, events: Iterator[Event]) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in events:
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._refuse(event, "a second document starts here", 'remove the line "---"')
            elif isinstance(event, ScalarEvent | SequenceStartEvent | MappingStartEvent):
                root = self._node(event, events, 0)
            elif isinstance(event, AliasEvent):
                self._refuse_alias(event)
        return root

    def _node(self, event: Event, events: Iterator[Event], depth: int) -> Node:
        if isinstance(event, AliasEvent):
            self._refuse_alias(event)
        if getattr(event, "anchor", None):
            self._refuse(event, "anchors (&) are not read here", "write the value out each time")
        if str(getattr(event, "tag", None)) not in {"!", "None"}:
            self._refuse(event, "tags (!) are not read here", "put the value in quotes")
        if depth > DEEPEST:
            self._refuse(event, f"nested more than {DEEPEST} levels deep", "use fewer levels")
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if isinstance(event, SequenceStartEvent):
            return self._listing(event, events, depth)
        return self._mapping(event, events, depth)

    def _scalar(self, event: ScalarEvent) -> Scalar:
        style = event.style or ""
        return Scalar(event.start_mark.index, event.end_mark.index, event.value, style)

    def _listing(self, start: Event, events: Iterator[Event], depth: int) -> Listing:
        items: list[Node] = []
        for event in events:
            if isinstance(event, SequenceEndEvent):
                return Listing(start.start_mark.index, event.end_mark.index, tuple(items))
            items.append(self._node(event, events, depth + 1))
        raise AssertionError("the parser closes what it opens")

    def _mapping(self, start: Event, events: Iterator[Event], depth: int) -> Mapping:
        entries: list[Entry] = []
        for event in events:
            if isinstance(event, MappingEndEvent):
                span = Span(start.start_mark.index, event.end_mark.index)
                if getattr(start, "flow_style", False):
                    entries = quoting.rejoin(self._source, self._log, entries)
                return Mapping(span.start, span.end, tuple(self._once_each(entries)))
            if not isinstance(event, ScalarEvent):
                if self._source.text.startswith("{{", event.start_mark.index - 1):
                    raise _Refused(quoting.needs_quotes(self._source, event.start_mark.index - 1))
                self._refuse(
                    event,
                    "a key must be one word",
                    "put text that holds { } or [ ] in quotes",
                )
            key = self._node(event, events, depth + 1)
            entries.append(Entry(_as_scalar(key), self._node(next(events), events, depth + 1)))
        raise AssertionError("the parser closes what it opens")

    def _once_each(self, entries: list[Entry]) -> Iterator[Entry]:
        first: dict[str, Scalar] = {}
        for entry in entries:
            earlier = first.setdefault(entry.key.text, entry.key)
            if earlier is entry.key:
                yield entry
                continue
            line, _ = self._source.place(earlier.start)
            self._log.wrong(
                "yaml",
                entry.key,
                f'"{entry.key.text}" is here twice; line {line} has it already',
                "keep one of the two, or make them one list",
            )

    def _refuse_alias(self, event: AliasEvent) -> None:
        raise _Refused(quoting.needs_quotes(self._source, event.start_mark.index))

    def _refuse(self, event: Event, message: str, hint: str) -> None:
        line, column = self._source.place(event.start_mark.index)
        raise _Refused(Slip(line, column, message, hint))


def _as_scalar(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        raise TypeError("a key is a scalar")
    return node
