"""When time alone changes a condition: where a simulation has to look again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

from orchestrator.domain.expressions import Expression, nodes
from orchestrator.domain.flows import FlowBook, SegmentTrigger, TableValue

_UNITS: Final = {
    "days": timedelta(days=1),
    "hours": timedelta(hours=1),
    "minutes": timedelta(minutes=1),
}
MOST_SPANS: Final = 200


def watched_spans(book: FlowBook) -> frozenset[timedelta] | None:
    """How long after something that happened a watched segment may change: at once, or later.

    None where a span is computed, so that nobody knows before.
    """
    found = {timedelta(), *_spans_of(book.tables)}
    for name in _watched(book):
        for node in _written_out(book.segments[name], book.segments):
            if isinstance(node, nodes.DurationOf):
                if not isinstance(node.amount, nodes.Literal) or not isinstance(
                    node.amount.value, Decimal
                ):
                    return None
                found.add(_UNITS[node.unit] * float(node.amount.value))
    # `now - days(60) - hours(2)`: two spans may stand in one sum.
    sums = {one + other for one in found for other in found}
    return frozenset(sums) if len(found) ** 2 <= MOST_SPANS else None


def _watched(book: FlowBook) -> set[str]:
    return {
        trigger.segment
        for flow in book.flows.values()
        for trigger in flow.triggers
        if isinstance(trigger, SegmentTrigger)
    }


def _written_out(
    expression: Expression, segments: Mapping[str, Expression]
) -> Iterator[nodes.Node]:
    """Every node of an expression and of the segments that it names."""
    for node in nodes.walk(expression.root):
        yield node
        if isinstance(node, nodes.Segment):
            yield from _written_out(segments[node.name], segments)


def _spans_of(tables: Mapping[str, Mapping[str, TableValue]]) -> set[timedelta]:
    values: Iterable[TableValue] = (value for rows in tables.values() for value in rows.values())
    return {value for value in values if isinstance(value, timedelta)}
