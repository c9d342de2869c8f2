"""Whether an expression can be asked of everybody at once, in SQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.domain.expressions.checking import Problem
from orchestrator.domain.expressions.nodes import (
    AnyItem,
    Arithmetic,
    Comparison,
    CountEvents,
    DurationOf,
    Expression,
    Filter,
    Has,
    Item,
    ListOf,
    Negative,
    Node,
    Path,
    Segment,
    shape_of,
    walk,
)
from orchestrator.domain.expressions.shapes import Kind, Many, Shape
from orchestrator.domain.expressions.wording import written

_KNOWN_OF_ALL = frozenset({"contact", "now", "tables"})


def audience_problems(expression: Expression) -> tuple[Problem, ...]:
    """Why an expression cannot choose people in SQL; empty when it can.

    The segments it names are to be looked at on their own.
    """
    return tuple(sorted({found for node in walk(expression.root) for found in _problems(node)}))


def is_fixed(node: Node) -> bool:
    """Whether a node is the same for every person."""
    return not any(
        isinstance(below, (Segment, CountEvents, AnyItem))
        or (isinstance(below, Path) and below.parts[0] not in {"now", "tables"})
        for below in walk(node)
    )


def _problem(node: Node, message: str, hint: str) -> Problem:
    return Problem(node.at, max(1, len(written(node))), message, hint)


def _problems(node: Node) -> Iterator[Problem]:
    if is_fixed(node):
        return
    match node:
        case Path(parts=parts) if parts[0] not in _KNOWN_OF_ALL:
            message = f"{parts[0]} is not known where people are chosen"
            yield _problem(node, message, "use what is known of the contact")
        case AnyItem():
            message = "any_item() needs an order or event, which is not known here"
            yield _problem(node, message, "use contact.orders.skus or contact.orders.categories")
        case Filter(name="lower" | "upper"):
            message = f"{node.name} is not available where people are chosen"
            yield _problem(node, message, "compare with every spelling: `x in ['web', 'Web']`")
        case Item(target=Path(parts=("tables", *_))):
            pass
        case Item():
            message = f"{written(node)} is not available where people are chosen"
            yield _problem(node, message, "write a field's name after a point")
        case Comparison():
            for left, sign, right in node.pairs():
                yield from _comparison(left, sign, right)
        case Has(whole=whole, element=element):
            yield from _comparison(element, "in", whole)
        case Arithmetic() | Negative():
            yield from _calculation(node)
        case CountEvents(window=window, fields=fields):
            yield from _fixed_duration(window)
            for name, value in fields:
                if shape_of(value) is Kind.ANYTHING:
                    message = f"{name}={written(value)} could be of any kind"
                    yield _problem(value, message, "compare with a text, number or attribute")
        case _ if shape_of(node) is Kind.DURATION:
            yield from _duration(node)
        case _:
            pass


def _comparison(left: Node, sign: str, right: Node) -> Iterator[Problem]:
    if sign not in {"in", "not in"}:
        yield from _known(left, (right,))
    elif isinstance(right, ListOf):
        for element in right.items:
            yield from _known(left, (element,))
    else:
        whole: Shape = shape_of(right)
        known = isinstance(whole, Many) and whole.of is not Kind.ANYTHING
        if not known and whole is not Kind.TEXT and shape_of(left) is Kind.ANYTHING:
            yield from _known(left, ())
        if not isinstance(right, Path) and whole is not Kind.TEXT:
            message = f"{written(right)} is not available where people are chosen"
            yield _problem(right, message, "look into one list")


def _known(left: Node, others: Sequence[Node]) -> Iterator[Problem]:
    if all(shape_of(node) is Kind.ANYTHING for node in (left, *others)):
        message = f"{written(left)} and what it is compared with could be of any kind"
        yield _problem(left, message, "compare with a text, number or attribute")


def _calculation(node: Arithmetic | Negative) -> Iterator[Problem]:
    shape = shape_of(node)
    if isinstance(node, Arithmetic) and shape is Kind.TIME:
        length = node.right if shape_of(node.right) is Kind.DURATION else node.left
        yield from _fixed_duration(length)
    elif shape is Kind.DURATION:
        yield from _duration(node)
    elif shape is Kind.ANYTHING and isinstance(node, Arithmetic):
        for side in (node.left, node.right):
            if shape_of(side) in {Kind.TIME, Kind.DURATION}:
                message = f"{written(node)} could be of any kind"
                yield _problem(node, message, "calculate with declared attributes")


def _duration(node: Node) -> Iterator[Problem]:
    """A length of time is fixed, or the distance of two times."""
    match node:
        case Arithmetic(sign="-", left=left) if shape_of(left) is Kind.TIME:
            pass
        case Arithmetic() | Negative() | DurationOf():
            yield from _fixed_duration(node)
        case _:
            pass


def _fixed_duration(node: Node) -> Iterator[Problem]:
    if not is_fixed(node):
        message = f"{written(node)} differs from person to person"
        yield _problem(node, message, "write a fixed duration, such as days(30)")
