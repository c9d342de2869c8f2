"""Finding in a typed tree what can never be right, before any person is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.domain.expressions import arithmetic
from orchestrator.domain.expressions.nodes import (
    MOST_DEPTH,
    MOST_NODES,
    AllOf,
    AnyItem,
    AnyOf,
    Arithmetic,
    Choice,
    Comparison,
    CountEvents,
    DurationOf,
    Filter,
    Has,
    Item,
    Join,
    Literal,
    Negative,
    Node,
    Not,
    arithmetic_result,
    depth,
    shape_of,
    walk,
)
from orchestrator.domain.expressions.shapes import Kind, Many, Record, Shape, name_of
from orchestrator.domain.expressions.vocabulary import EVENT_COUNTED, ITEM
from orchestrator.domain.expressions.wording import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at one place of an expression, and what to write instead.

    `offset` counts characters from the start of the text; `length` is at least 1.
    """

    offset: int
    length: int
    message: str
    hint: str


def check(root: Node, wanted: Kind | None = Kind.TRUTH) -> tuple[Problem, ...]:
    """Everything wrong with a tree by size and kind; `wanted` is what it has to yield."""
    size = sum(1 for _ in walk(root))
    if size > MOST_NODES or depth(root) > MOST_DEPTH:
        return (_too_big(root, size),)
    found = [problem for node in walk(root) for problem in _problems_at(node)]
    if wanted and not found:
        found.extend(_expect(root, wanted))
    return tuple(sorted(set(found)))


def _too_big(root: Node, size: int) -> Problem:
    what = f"{size} parts" if size > MOST_NODES else f"more than {MOST_DEPTH} levels"
    hint = f"at most {MOST_NODES} parts, {MOST_DEPTH} levels deep: move a part into a segment"
    return Problem(root.at, 1, f"the expression is too big ({what})", hint)


def _problems_at(node: Node) -> Iterator[Problem]:  # noqa: C901 - one case for each node
    match node:
        case Not(operand=operand):
            yield from _expect(operand, Kind.TRUTH)
        case AnyOf(operands=(wanted, Literal(value=str()) as fallback)):
            yield from _fallback(wanted, fallback)
        case AllOf(operands=operands) | AnyOf(operands=operands):
            for operand in operands:
                yield from _expect(operand, Kind.TRUTH)
        case Choice(condition=condition):
            yield from _expect(condition, Kind.TRUTH)
        case Comparison():
            for left, sign, right in node.pairs():
                yield from _comparison(left, sign, right)
        case Arithmetic() | Negative():
            yield from _arithmetic(node)
        case Join(parts=parts):
            for part in parts:
                yield from _joined(part)
        case Filter():
            yield from _filter(node)
        case Has(whole=whole, element=element):
            yield from _has(whole, element)
        case AnyItem(fields=fields):
            yield from _fields(fields, ITEM.fields)
        case DurationOf(amount=amount):
            yield from _duration(node, amount)
        case CountEvents(window=window, fields=fields):
            yield from _expect(window, Kind.DURATION)
            yield from _fields(fields, {**ITEM.fields, **EVENT_COUNTED})
        case Item():
            yield from _item(node)
        case _:
            pass


def _at(node: Node, message: str, hint: str) -> Problem:
    return Problem(node.at, max(1, len(written(node))), message, hint)


def _expect(node: Node, wanted: Kind) -> Iterator[Problem]:
    shape = shape_of(node)
    if shape in {wanted, Kind.ANYTHING}:
        return
    said = written(node)
    if wanted is Kind.TRUTH:
        message = f"{said} is {name_of(shape)}, not a condition"
        yield _at(node, message, _as_condition(said, shape))
        return
    hints = {
        Kind.DURATION: "write days(3), hours(4) or minutes(30)",
        Kind.TIME: "write a time such as now + days(3)",
    }
    yield _at(
        node,
        f"{said} is {name_of(shape)}, {wanted.value} is needed here",
        hints.get(wanted, f"write {wanted.value}"),
    )


def _fallback(wanted: Node, fallback: Node) -> Iterator[Problem]:
    """`name or 'friend'` is what other languages write for a value that may be missing."""
    hint = f"write `{written(wanted)} | default({written(fallback)})`"
    yield _at(fallback, f"`or` joins conditions; {written(fallback)} is a text", hint)


def _as_condition(said: str, shape: Shape) -> str:
    match shape:
        case Kind.NUMBER:
            return f"compare it, as in `{said} > 0`"
        case Many():
            return f"ask for an element, as in `has({said}, 'x')`, or `{said} | length > 0`"
        case Kind.NOTHING:
            return "write a comparison, or `false`"
        case Record():
            return "compare one of its fields"
        case _:
            return f"compare it, or write `{said} is not none`"


def _comparison(left: Node, sign: str, right: Node) -> Iterator[Problem]:
    shapes = shape_of(left), shape_of(right)
    if Kind.NOTHING in shapes:
        missing, other = (left, right) if shapes[0] is Kind.NOTHING else (right, left)
        negated = "not " if sign in {"!=", "not in"} else ""
        hint = f"write `{written(other)} is {negated}none`"
        yield _at(missing, f"`{sign}` with none is always false", hint)
    elif sign in {"in", "not in"}:
        yield from _membership(left, sign, right)
    elif Kind.ANYTHING not in shapes:
        yield from _match(left, sign, right)


def _match(left: Node, sign: str, right: Node) -> Iterator[Problem]:
    first, second = shape_of(left), shape_of(right)
    if isinstance(first, (Many, Record)) or isinstance(second, (Many, Record)):
        group = left if isinstance(first, (Many, Record)) else right
        hint = _group_hint(group, right if group is left else left)
        yield _at(group, f"{written(group)} is {name_of(shape_of(group))}, not one value", hint)
    elif first is not second:
        message = f"{name_of(first)} never compares with {name_of(second)}"
        yield _at(left, f"`{written(left)} {sign} {written(right)}`: {message}", _mend(left, right))
    elif first is Kind.TRUTH and sign not in {"==", "!="}:
        yield _at(
            left, f"true and false have no order for `{sign}`", "use ==, != or the name alone"
        )


def _group_hint(group: Node, other: Node) -> str:
    if isinstance(shape_of(group), Record):
        return "compare one of its fields"
    return f"write `has({written(group)}, {written(other)})`"


def _mend(left: Node, right: Node) -> str:
    """The comparison as it was probably meant."""
    shapes = {shape_of(left), shape_of(right)}
    for node in (left, right):
        if isinstance(node, Literal) and isinstance(node.value, str):
            if Kind.NUMBER in shapes and node.value.replace(".", "", 1).isdigit():
                return f"write the number without quotes: {node.value}"
            if Kind.TIME in shapes:
                return "write a time as '2026-12-01' or '2026-12-01 10:00' (UTC)"
        if isinstance(node, Literal) and Kind.TEXT in shapes and shape_of(node) is Kind.NUMBER:
            return f"write the text in quotes: '{written(node)}'"
    if Kind.TIME in shapes and shapes & {Kind.NUMBER, Kind.DURATION}:
        return "compare with a time, as in `now - days(30)`"
    if Kind.DURATION in shapes:
        return "write a duration as days(3), hours(4) or minutes(30)"
    return "compare values of one kind"


def _membership(left: Node, sign: str, right: Node) -> Iterator[Problem]:
    part, whole = shape_of(left), shape_of(right)
    if isinstance(whole, Many):
        if not _compatible(whole.of, part):
            message = f"{name_of(part)} is never in a list of {_several(whole.of)}"
            yield _at(left, message, f"`{written(right)}` holds {_several(whole.of)}")
    elif whole is Kind.TEXT:
        if part not in {Kind.TEXT, Kind.ANYTHING}:
            message = f"{name_of(part)} is never part of a text"
            yield _at(left, message, "write the text in quotes")
    elif whole is not Kind.ANYTHING:
        hint = f"write a list: `{written(left)} {sign} [{written(right)}]`"
        yield _at(right, f"`{sign}` needs a list or a text, not {name_of(whole)}", hint)


def _several(shape: Shape) -> str:
    return {"a text": "texts", "a number": "numbers", "a time": "times"}.get(
        name_of(shape), "other values"
    )


def _compatible(one: Shape, other: Shape) -> bool:
    return one == other or Kind.ANYTHING in (one, other)


def _arithmetic(node: Arithmetic | Negative) -> Iterator[Problem]:
    if isinstance(node, Negative):
        shape = shape_of(node.operand)
        if shape not in {Kind.NUMBER, Kind.DURATION, Kind.ANYTHING}:
            yield _at(node, f"minus needs a number, not {name_of(shape)}", "remove the minus")
        return
    left, right = shape_of(node.left), shape_of(node.right)
    if arithmetic_result(node.sign, left, right) is not None:
        return
    if left is Kind.TEXT and node.sign == "*":
        message, hint = "a text is not repeated", "write the text out"
    elif Kind.TEXT in (left, right) and node.sign == "+":
        message = f"{name_of(left)} plus {name_of(right)} is not a sum"
        hint = f"join texts with ~: `{written(node.left)} ~ {written(node.right)}`"
    elif Kind.NOTHING in (left, right):
        message, hint = "calculating with none gives none", "remove it"
    elif {left, right} == {Kind.TIME, Kind.NUMBER}:
        message = f"{name_of(left)} {node.sign} {name_of(right)} has no unit"
        hint = f"write days({written(node.right)}), hours(...) or minutes(...)"
    else:
        message = f"{name_of(left)} {node.sign} {name_of(right)} has no meaning"
        hint = "calculate with numbers, or with times and durations"
    yield _at(node, message, hint)


def _joined(part: Node) -> Iterator[Problem]:
    shape = shape_of(part)
    if shape not in {Kind.TEXT, Kind.NUMBER, Kind.ANYTHING}:
        message = f"~ joins texts and numbers, not {name_of(shape)}"
        yield _at(part, message, f"leave out `{written(part)}`")


def _filter(node: Filter) -> Iterator[Problem]:
    shape = shape_of(node.operand)
    if node.name == "length":
        if not isinstance(shape, Many) and shape not in {Kind.TEXT, Kind.ANYTHING}:
            message = f"length counts a list or a text, not {name_of(shape)}"
            yield _at(node.operand, message, "remove `| length`")
    elif shape not in {Kind.TEXT, Kind.ANYTHING}:
        message = f"{node.name} needs a text, not {name_of(shape)}"
        yield _at(node.operand, message, f"remove `| {node.name}`")


def _has(whole: Node, element: Node) -> Iterator[Problem]:
    shape = shape_of(whole)
    if isinstance(shape, Many):
        yield from _membership(element, "in", whole)
    elif shape is not Kind.ANYTHING:
        hint = "write a list first, as in `has(contact.tags, 'vip')`"
        yield _at(whole, f"has() looks into a list, not into {name_of(shape)}", hint)


def _fields(fields: tuple[tuple[str, Node], ...], known: Mapping[str, Shape]) -> Iterator[Problem]:
    for name, value in fields:
        shape, wanted = shape_of(value), known.get(name, Kind.ANYTHING)
        if shape not in {Kind.TEXT, Kind.NUMBER, Kind.TRUTH, Kind.ANYTHING}:
            message = f"{name}={written(value)}: {name_of(shape)} cannot be asked for"
            yield _at(value, message, "compare with one text, number or truth value")
        elif not _compatible(wanted, shape):
            message = f"{name} is {name_of(wanted)}, {written(value)} is {name_of(shape)}"
            yield _at(value, message, f"compare {name} with {name_of(wanted)}")


def _duration(node: DurationOf, amount: Node) -> Iterator[Problem]:
    yield from _expect(amount, Kind.NUMBER)
    if isinstance(amount, Literal) and shape_of(amount) is Kind.NUMBER:
        number: Decimal = amount.value  # type: ignore[assignment]
        if arithmetic.duration(node.unit, number) is None:
            yield _at(node, f"{written(node)} is longer than 100 years", "write fewer days")


def _item(node: Item) -> Iterator[Problem]:
    target, key = shape_of(node.target), shape_of(node.key)
    if isinstance(target, Many):
        if key not in {Kind.NUMBER, Kind.ANYTHING}:
            yield _at(node.key, f"a list has numbered elements, not {name_of(key)}", "write [0]")
    elif key not in {Kind.TEXT, Kind.NUMBER, Kind.ANYTHING}:
        yield _at(node.key, f"a key is a text, not {name_of(key)}", "write a text or a field")
