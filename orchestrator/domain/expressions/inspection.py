"""What an expression depends on: its names, its segments, and where it can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.domain.expressions.nodes import (
    Expression,
    Node,
    Path,
    Segment,
    children,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_AN_EVENT = frozenset({"event", "checkout", "order", "item"})
#: Segments are asked inside the expressions that name them, so their sizes add up.
MOST_EXPANDED = 1_000
MOST_EXPANDED_DEPTH = 60


def names_used(expression: Expression) -> frozenset[str]:
    """Dotted names an expression reads, such as `contact.orders.count`; segments by name."""
    paths = {".".join(node.parts) for node in walk(expression.root) if isinstance(node, Path)}
    return frozenset(paths) | segments_used(expression)


def segments_used(expression: Expression) -> frozenset[str]:
    """Segments an expression names itself."""
    return frozenset(node.name for node in walk(expression.root) if isinstance(node, Segment))


def roots_used(expression: Expression) -> frozenset[str]:
    """First names an expression reads: `contact`, `event`, a step."""
    return frozenset(node.parts[0] for node in walk(expression.root) if isinstance(node, Path))


def needs_event(expression: Expression) -> bool:
    """Whether an expression reads the event that began the run, or what it names."""
    return not _OF_AN_EVENT.isdisjoint(roots_used(expression))


def segment_cycles(segments: Mapping[str, Expression]) -> dict[str, tuple[str, ...]]:
    """Segments that lead back to themselves, each with the way round (`a`, `b`, `a`)."""
    return {name: way for name in segments if (way := _way_back(name, name, segments, set()))}


def _way_back(
    name: str, goal: str, segments: Mapping[str, Expression], seen: set[str]
) -> tuple[str, ...]:
    for following in sorted(segments_used(segments[name]) & segments.keys()):
        if following == goal:
            return name, goal
        if following not in seen:
            seen.add(following)
            rest = _way_back(following, goal, segments, seen)
            if rest:
                return name, *rest
    return ()


def too_big(expression: Expression, segments: Mapping[str, Expression]) -> bool:
    """Whether an expression with its segments written out is too big to be asked.

    `segments` must be free of cycles.
    """
    size, levels = _expanded(expression.root, segments, {})
    return size > MOST_EXPANDED or levels > MOST_EXPANDED_DEPTH


def _expanded(
    node: Node, segments: Mapping[str, Expression], known: dict[str, tuple[int, int]]
) -> tuple[int, int]:
    if isinstance(node, Segment) and node.name in segments:
        if node.name not in known:
            known[node.name] = _expanded(segments[node.name].root, segments, known)
        size, levels = known[node.name]
        return size + 1, levels + 1
    below = [_expanded(child, segments, known) for child in children(node)]
    return 1 + sum(size for size, _ in below), 1 + max((d for _, d in below), default=0)
