"""Why a condition holds for a person or does not, in a sentence: "orders.count is 3, wanted 0".

Sentences show a person's values: they are for the shop's own pages and terminal, never for logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from orchestrator.domain.expressions.evaluation import Scope, true, value_of
from orchestrator.domain.expressions.nodes import (
    AllOf,
    AnyItem,
    AnyOf,
    Choice,
    Comparison,
    CountEvents,
    Expression,
    Has,
    IsNone,
    ListOf,
    Literal,
    Node,
    Not,
    Segment,
)
from orchestrator.domain.expressions.values import compare
from orchestrator.domain.expressions.wording import named, said

if TYPE_CHECKING:
    from orchestrator.domain.expressions.values import Value


_WANTED = "wanted"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The verdict on a condition and the facts that decided it."""

    holds: bool
    because: str


def explain(expression: Expression, scope: Scope) -> Explanation:
    """Whether a condition holds, and because of what."""
    return _explain(expression.root, scope, _WANTED)


def _explain(node: Node, scope: Scope, lacking: str) -> Explanation:
    """`lacking` is the word between what is and what it is not: under `not` nothing is wanted."""
    match node:
        case AllOf():
            return _several(node.operands, scope, lacking, decisive=False)
        case AnyOf():
            return _several(node.operands, scope, lacking, decisive=True)
        case Not():
            return _negated(node, scope)
        case Comparison():
            return _comparison(node, scope, lacking)
        case Segment():
            inner = _explain(scope.segment(node.name).root, scope, lacking)
            verb = "is in" if inner.holds else "is not in"
            return Explanation(inner.holds, f'{verb} segment "{node.name}": {inner.because}')
        case IsNone():
            value = value_of(node.operand, scope)
            verdict = (value is None) is not node.negated
            other = "a value" if node.negated else "none"
            rest = "" if verdict else f", {lacking} {other}"
            return Explanation(verdict, f"{named(node.operand)} is {said(value)}{rest}")
        case Has():
            return _membership(node.element, node.whole, scope)
        case AnyItem():
            found = true(node, scope)
            fields = " and ".join(
                f"{name} {said(value_of(value, scope))}" for name, value in node.fields
            )
            some = "an item" if found else "no item"
            source = named(node.items).removesuffix(".items")
            return Explanation(found, f"{some} of {source} has {fields}")
        case Choice():
            taken = node.then if true(node.condition, scope) else node.otherwise
            return _explain(taken, scope, lacking)
        case _:
            value = value_of(node, scope)
            return Explanation(bool(value), f"{named(node)} is {said(value)}")


def _several(
    operands: tuple[Node, ...], scope: Scope, lacking: str, *, decisive: bool
) -> Explanation:
    """`and` fails and `or` holds by the operands that say so; otherwise all of them count."""
    each = [_explain(operand, scope, lacking) for operand in operands]
    deciding = [explanation for explanation in each if explanation.holds is decisive]
    if deciding:
        shown = deciding[:1] if decisive else deciding
        return Explanation(decisive, "; ".join(each.because for each in shown))
    return Explanation(not decisive, "; ".join(explanation.because for explanation in each))


def _negated(node: Not, scope: Scope) -> Explanation:
    inner = _explain(node.operand, scope, "not")
    rest = ", which rules it out" if inner.holds else ""
    return Explanation(not inner.holds, f"{inner.because}{rest}")


def _comparison(node: Comparison, scope: Scope, lacking: str) -> Explanation:
    links = []
    for left, sign, right in node.pairs():
        link = _link(left, sign, right, scope, lacking)
        if not link.holds:
            return link
        links.append(link.because)
    return Explanation(holds=True, because="; ".join(links))


def _link(left: Node, sign: str, right: Node, scope: Scope, lacking: str) -> Explanation:
    if sign in {"in", "not in"} and not isinstance(right, ListOf):
        return _membership(left, right, scope, negated=sign == "not in")
    if isinstance(left, Literal) and sign in _FLIPPED:
        left, sign, right = right, _FLIPPED[sign], left
    value, other = value_of(left, scope), value_of(right, scope)
    verdict = compare(sign, value, other)
    subject = _subject(left, value, scope)
    if other is None and value is not None:
        return Explanation(verdict, f"{subject}, but {named(right)} is missing")
    relation = _relation(sign, other)
    if not verdict:
        return Explanation(verdict, f"{subject}, {lacking} {relation}")
    return Explanation(verdict, subject if sign == "==" else f"{subject}, {relation}")


def _subject(node: Node, value: Value, scope: Scope) -> str:
    if isinstance(node, CountEvents):
        fields = "".join(
            f" with {name} {said(value_of(field, scope))}" for name, field in node.fields
        )
        times = "once" if value == 1 else f"{said(value)} times"
        return f"{node.type}{fields} happened {times} in {said(value_of(node.window, scope))}"
    return f"{named(node)} is {said(value)}"


_FLIPPED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_WORDS = {"<": "less than", "<=": "at most", ">": "more than", ">=": "at least"}
_TIME_WORDS = {"<": "before", "<=": "not after", ">": "after", ">=": "not before"}


def _relation(sign: str, other: Value) -> str:
    match sign:
        case "==":
            return said(other)
        case "!=":
            return f"something other than {said(other)}"
        case "in":
            return f"one of {said(other)}"
        case "not in":
            return f"none of {said(other)}"
        case _ if isinstance(other, datetime):
            return f"{_TIME_WORDS[sign]} {said(other)}"
        case _ if isinstance(other, timedelta):
            return (
                f"{_WORDS[sign].replace('less', 'shorter').replace('more', 'longer')} {said(other)}"
            )
        case _:
            return f"{_WORDS[sign]} {said(other)}"


def _membership(element: Node, whole: Node, scope: Scope, *, negated: bool = False) -> Explanation:
    part, values = value_of(element, scope), value_of(whole, scope)
    present = compare("in", part, values)
    verdict = compare("not in", part, values) if negated else present
    if values is None:
        return Explanation(verdict, f"{named(whole)} is missing")
    if part is None:
        return Explanation(verdict, f"{named(element)} is missing")
    because = f"{named(whole)} {'has' if present else 'has no'} {said(part)}"
    return Explanation(verdict, because if verdict else f"{because} (it is {said(values)})")
