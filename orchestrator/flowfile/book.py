"""The keys at the top of flows.yaml, and the whole file compiled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping as Dictionary
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from orchestrator.domain.durations import parse_duration
from orchestrator.domain.expressions import (
    ATTRIBUTE_KINDS,
    RESERVED,
    Expression,
    audience_problems,
    segment_cycles,
    vocabulary,
)
from orchestrator.domain.flows import AttributeType, FlowBook, TableValue
from orchestrator.flowfile.brand import BRAND, TOPICS, compile_brand, compile_topics
from orchestrator.flowfile.flow import FLOWS, Written, compile_flow
from orchestrator.flowfile.names import Names
from orchestrator.flowfile.policies import POLICIES, compile_policies
from orchestrator.flowfile.shapes import (
    NUMBER,
    Choice,
    Condition,
    JsonSchema,
    Shape,
    Text,
    Whole,
    read_scalar,
)
from orchestrator.flowfile.source import Listing, Log, Mapping, Node, Scalar, Span
from orchestrator.flowfile.structures import (
    Field,
    Fields,
    Named,
    Placed,
    Record,
    each_value,
    fields,
)
from orchestrator.flowfile.texts import NAME


@dataclass(frozen=True, slots=True)
class Cell(Shape[TableValue]):
    """A duration, a number, or text as written; quotes always make text."""

    def read(self, node: Node, log: Log) -> TableValue | None:
        """The value."""
        scalar = read_scalar(node, log, "a value", "28 days")
        if scalar is None or scalar.style:
            return scalar.text if scalar else None
        text = scalar.text.strip()
        duration = parse_duration(text)
        if duration and duration.calendar_days:
            message = f'"{text}" has no fixed length, which a table needs'
            log.wrong("value", scalar, message, f"write {log.key}: {duration.calendar_days} days")
            return None
        if duration:
            return duration.fixed
        return Decimal(text) if NUMBER.fullmatch(text) else text

    def schema(self) -> JsonSchema:
        """Text or number."""
        return {"type": ["string", "number"]}


VERSION: Final = Field("version", Whole(1, 1, "1"), "The format of this file.", "1", required=True)
BRAND_KEY: Final = Field("brand", BRAND, "The shop.", "{name: …, url: …}", required=True)
TOPICS_KEY: Final = Field("topics", TOPICS, "What people may ask for.", "offers: {title: Offers}")
POLICIES_KEY: Final = Field(
    "policies", POLICIES, "Hours and caps.", "{default: {caps: {email: 2 per day}}}"
)
ATTRIBUTES: Final = Field(
    "attributes",
    Named(NAME, Choice("attribute type", AttributeType), "a group of attributes", "points: number"),
    "Fields of contacts of your own.",
    "{birthday: date, points: number}",
)
TABLES: Final = Field(
    "tables",
    Named(
        NAME,
        Named(Text("a name", longest=200), Cell(), "a table", "COF-1KG: 28 days"),
        "a group of tables",
        "refill: {COF-1KG: 28 days}",
    ),
    "Values to look up.",
    "{refill: {COF-1KG: 28 days}}",
)
SEGMENTS: Final = Field(
    "segments",
    Named(NAME, Condition(), "a group of segments", "lapsed: contact.orders.count > 0"),
    "Conditions with a name.",
    "{lapsed: contact.orders.last_at < now - days(60)}",
)
FLOWS_KEY: Final = Field("flows", FLOWS, "The journeys.", "{abandoned_cart: …}", required=True)
BOOK: Final = Record(
    "file",
    fields(VERSION, BRAND_KEY, TOPICS_KEY, POLICIES_KEY, ATTRIBUTES, TABLES, SEGMENTS, FLOWS_KEY),
    "flows.yaml",
    "version: 1, then brand:, topics:, flows:",
)


@dataclass(frozen=True, slots=True)
class Compiled:
    """The book, and where each step of each flow stands."""

    book: FlowBook
    steps: Dictionary[tuple[str, str], Span]


def compile_book(root: Node, log: Log) -> Compiled | None:
    """Read and compile the whole file, logging all that is wrong with it."""
    found = BOOK.read(root, log)
    if found is None:
        return None
    brand = compile_brand(found.get(BRAND_KEY) or _nothing(root), log)
    topics = compile_topics(found.get(TOPICS_KEY), brand.locale, log)
    policies = compile_policies(found.get(POLICIES_KEY))
    attributes = {name: kind for name, kind, _ in each_value(found.get(ATTRIBUTES))}
    tables = _tables(found, log)
    written = found.get(FLOWS_KEY) or {}
    segment_names = found.get(SEGMENTS) or {}
    base = vocabulary(
        attributes={name: ATTRIBUTE_KINDS[kind.value] for name, kind in attributes.items()},
        topics=topics,
        segments=segment_names,
        tables=tables,
    )
    names = Names(log, base, topics, segment_names, written, brand.staff, attributes, policies)
    segments = _segments(segment_names, names)
    flows: dict[str, Written] = {}
    for name, flow, _ in each_value(written):
        flows[name] = compile_flow(name, flow, names, brand)
    book = FlowBook(
        version_hash=content_hash(root),
        brand=brand,
        topics=topics,
        policies=policies,
        segments=segments,
        attributes=attributes,
        tables=tables,
        flows={name: one.flow for name, one in flows.items()},
    )
    spans = {(name, step): span for name, one in flows.items() for step, span in one.spans.items()}
    return Compiled(book, spans)


def _nothing(root: Node) -> Fields:
    return Fields(Mapping(root.start, root.end, ()), {}, {})


def _tables(found: Fields, log: Log) -> dict[str, dict[str, TableValue]]:
    tables = {}
    for name, table, _ in each_value(found.get(TABLES)):
        tables[name] = {key: cell for key, cell, _ in each_value(table)}
        kinds = {type(cell) for cell in tables[name].values()}
        for key, cell, node in each_value(table):
            if len(kinds) > 1 and not isinstance(cell, str) and str in kinds:
                message = f'"{key}" is a number or a duration in a table of texts'
                log.wrong("value", Span(node.start, node.end), message, "put its value in quotes")
    return tables


def _segments(found: dict[str, Placed[Scalar]], names: Names) -> dict[str, Expression]:
    segments: dict[str, Expression] = {}
    for name, scalar, key in each_value(found):
        if name in RESERVED:
            message = f'"{name}" is a name of its own in conditions'
            span = Span(key.start, key.end)
            names.log.wrong("name", span, message, f"write {name}_people: …")
        expression = names.expression(scalar, names.base)
        if expression is not None:
            segments[name] = expression
        for problem in audience_problems(expression) if expression else ():
            start = problem.offset
            span = names.log.source.within(scalar, start, start + problem.length)
            names.log.wrong("expression", span, problem.message, problem.hint)
    cycles = segment_cycles(segments)
    for name, way in cycles.items():
        node = found[name].node
        message = f"the segment leads back to itself: {' → '.join(way)}"
        names.log.wrong("name", Span(node.start, node.end), message, "break the circle")
    if not cycles:
        names.expanded = segments
    return segments


def content_hash(root: Node) -> str:
    """SHA-256, in hexadecimal, of what is said, whatever its layout, comments and key order."""
    plain = json.dumps(_plain(root), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(node: Node) -> object:
    match node:
        case Scalar():
            return node.text.strip()
        case Listing():
            return [_plain(item) for item in node.items]
        case Mapping():
            return {entry.key.text: _plain(entry.value) for entry in node.entries}
