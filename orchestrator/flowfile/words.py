"""Events and conditions in a marketer's words.

Where an expression has no natural sentence, it is shown as it is written.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.expressions.nodes import (
    AllOf,
    AnyItem,
    AnyOf,
    Arithmetic,
    Comparison,
    CountEvents,
    DurationOf,
    Expression,
    Has,
    IsNone,
    Literal,
    Node,
    Not,
    Path,
    Segment,
    shape_of,
)
from orchestrator.domain.expressions.shapes import Kind
from orchestrator.domain.expressions.wording import said, written
from orchestrator.domain.flows import EventMatch

_EVENTS: Final = {
    "contact.created": "they become known",
    "contact.updated": "their details change",
    "contact.subscribed": "they sign up",
    "contact.confirmed": "they confirm their sign-up",
    "contact.unsubscribed": "they unsubscribe",
    "contact.erased": "they are erased",
    "product.viewed": "they look at a product",
    "product.restocked": "a product is back in stock",
    "product.price_changed": "a price changes",
    "stock.requested": "they ask to hear of a product",
    "cart.updated": "they change their cart",
    "checkout.started": "they start a checkout",
    "checkout.updated": "they change their checkout",
    "checkout.expired": "their checkout expires",
    "order.placed": "they place an order",
    "order.paid": "an order is paid",
    "order.fulfilled": "an order is on its way",
    "order.delivered": "an order is delivered",
    "order.cancelled": "an order is cancelled",
    "order.refunded": "an order is refunded",
    "review.submitted": "they write a review",
    "survey.answered": "they answer a survey",
    "support.opened": "they ask support for help",
    "support.closed": "support has helped them",
    "webinar.registered": "they register for a webinar",
    "loyalty.tier_reached": "they reach a loyalty tier",
    "message.sent": "a message is sent",
    "message.delivered": "a message is delivered",
    "message.opened": "they open a message",
    "message.clicked": "they click in a message",
    "message.bounced": "a message bounces",
    "message.complained": "they report a message as spam",
    "message.replied": "they reply to a message",
}
_OUTPUTS: Final = {
    "sent": '"{step}" has {no}been sent',
    "delivered": '"{step}" has {no}been delivered',
    "bounced": '"{step}" has {no}bounced',
    "clicked": 'they have {no}clicked in "{step}"',
    "opened": 'they have {no}opened "{step}"',
    "replied": 'they have {no}replied to "{step}"',
}
_NOUNS: Final = {
    "contact.orders.count": "the number of their orders",
    "contact.orders.total": "the total of their orders",
    "contact.orders.average": "their average order",
    "contact.orders.first_at": "their first order",
    "contact.orders.last_at": "their last order",
    "contact.orders.skus": "the SKUs they bought",
    "contact.orders.categories": "the categories they bought",
    "contact.created_at": "the day they became known",
    "contact.last_seen_at": "their last visit",
    "event.consent.email": "the answer about email",
    "event.consent.sms": "the answer about SMS",
    "event.consent.whatsapp": "the answer about WhatsApp",
    "event.consent.tracking": "the answer about tracking",
    "key": "the key of this run",
    "now": "now",
}
_OWNERS: Final = {"contact": "their", "event": "its", "checkout": "the checkout's"} | {
    "order": "the order's",
    "item": "the item's",
}
_SIGNS: Final = {"==": "is", "!=": "is not", ">": "is more than", ">=": "is at least"} | {
    "<": "is less than",
    "<=": "is at most",
    "in": "is among",
    "not in": "is not among",
}
_TIMES: Final = {">": "is after", ">=": "is not before", "<": "is before", "<=": "is not after"}


def say_events(events: tuple[EventMatch, ...]) -> str:
    """`they place an order (if its total is at least 20) or they write a review`."""
    return " or ".join(
        f"{say_event(event.event)} (if {say(event.where)})"
        if event.where
        else say_event(event.event)
        for event in events
    )


def say_event(event: str) -> str:
    """A known event as a short sentence, any other by its name."""
    return _EVENTS.get(event, f"the event {event} comes")


def say(expression: Expression) -> str:
    """A condition as a sentence."""
    return _condition(expression.root)


def say_key(expression: Expression) -> str:
    """What there is one run for: `checkout` for `event.checkout_id`."""
    return _key(expression.root)


def _key(node: Node) -> str:
    if isinstance(node, Path):
        return node.parts[-1].removesuffix("_id").replace("_", " ")
    return written(node)


def _condition(node: Node) -> str:
    match node:
        case AllOf():
            return " and ".join(_part(one) for one in node.operands)
        case AnyOf():
            return " or ".join(_part(one) for one in node.operands)
        case Not():
            return _negation(node.operand)
        case Segment():
            return f"they are in the segment {node.name}"
        case IsNone():
            return f"{_noun(node.operand)} is {'known' if node.negated else 'not known'}"
        case Has():
            return f"{_noun(node.element)} is among {_noun(node.whole)}"
        case AnyItem():
            wanted = " and ".join(f"{name} {_noun(value)}" for name, value in node.fields)
            return f"one of the items has {wanted}"
        case Comparison():
            return _comparison(node)
        case Path():
            return _truth(node)
        case _:
            return written(node)


def _negation(node: Node) -> str:
    match node:
        case Segment():
            return f"they are not in the segment {node.name}"
        case Path():
            return _truth(node, "not ")
        case _:
            return f"it is not so that {_part(node)}"


def _part(node: Node) -> str:
    text = _condition(node)
    return f"({text})" if isinstance(node, AllOf | AnyOf) else text


def _comparison(node: Comparison) -> str:
    match node:
        case Comparison(links=(("==", Path(parts=("key",))),)):
            return f"it is about the same {_key(node.first)}"
    links = []
    for left, sign, right in node.pairs():
        timed = shape_of(left) is Kind.TIME or shape_of(right) is Kind.TIME
        verb = _TIMES.get(sign, _SIGNS[sign]) if timed else _SIGNS[sign]
        links.append(f"{_noun(left)} {verb} {_noun(right)}")
    return " and ".join(links)


def _truth(node: Path, no: str = "") -> str:
    """A yes or no by name; `no` is `not ` where it is denied."""
    match node.parts:
        case ("contact", "consent", channel, topic):
            return f"they have {no}agreed to {topic} by {channel}"
        case ("contact", "tracking"):
            return f"they have {no}agreed to tracking"
        case (step, output) if output in _OUTPUTS and step not in _OWNERS:
            return _OUTPUTS[output].format(step=step, no=no)
        case _:
            return f"{_noun(node)} is {no}true"


def _noun(node: Node) -> str:
    match node:
        case Literal():
            return said(node.value)
        case Path():
            return _path(node)
        case Arithmetic(left=Path(parts=("now",)), right=DurationOf() as span):
            length = f"{written(span.amount)} {span.unit}"
            return f"{length} ago" if node.sign == "-" else f"{length} from now"
        case CountEvents(window=DurationOf() as window):
            length = f"{written(window.amount)} {window.unit}"
            return f"the number of {node.type} events in the last {length}"
        case _:
            return written(node)


def _path(node: Path) -> str:
    known = _NOUNS.get(".".join(node.parts))
    if known:
        return known
    owner, *rest = node.parts
    if owner in _OWNERS and rest:
        return f"{_OWNERS[owner]} {' '.join(rest).replace('_', ' ')}"
    return written(node)
