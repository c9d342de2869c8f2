"""The keys of a step."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from orchestrator.domain.flows import Channel, MessageClass, NotAllowed, Since
from orchestrator.flowfile.policies import IF_LATE, OWN_POLICY
from orchestrator.flowfile.shapes import (
    Choice,
    Condition,
    JsonSchema,
    Number,
    Shape,
    Text,
    Whole,
    Word,
)
from orchestrator.flowfile.source import Listing, Log, Node, Scalar
from orchestrator.flowfile.structures import At, Field, Fields, Many, Named, Record, fields
from orchestrator.flowfile.texts import NAME, Localised
from orchestrator.flowfile.times import DurationOrExpression, DurationShape, MomentOrExpression
from orchestrator.flowfile.triggers import MATCHES, EventType
from orchestrator.flowfile.verbs import Said, Verbs

TEMPLATE: Final = Word(
    r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)+",
    "a template, group/name",
    "cart/reminder",
    mend=lambda text: text.removeprefix("/").partition(".")[0].lower(),
)
_MONEY: Final = Number(Decimal("0.01"), Decimal(1_000_000), "10")
_PERCENT: Final = Number(Decimal("0.1"), Decimal(100), "10", unit="%")
_VALUES: Final = Named(NAME, Condition("contact.points + 10"), "a group of names and values")


@dataclass(frozen=True, slots=True)
class StepList(Shape[tuple[Said, ...]]):
    """Steps, one or a list."""

    def read(self, node: Node, log: Log) -> tuple[Said, ...] | None:
        """The steps that could be read."""
        whole = node.items if isinstance(node, Listing) else (node,)
        parts = [part for item in whole for part in STEP.split(item, log)]
        with log.under(None):
            steps = [STEP.read(part, log) for part in parts]
        return tuple(step for step in steps if step is not None)

    def schema(self) -> JsonSchema:
        """A reference, since steps hold steps."""
        return {"$ref": "#/$defs/steps"}


@dataclass(frozen=True, slots=True)
class Awaited(Shape["Scalar | tuple[Fields, ...]"]):
    """Text is a condition; a mapping or a list of them is events."""

    def read(self, node: Node, log: Log) -> Scalar | tuple[Fields, ...] | None:
        """The condition's scalar, or the events."""
        if isinstance(node, Scalar):
            return Condition("first.clicked").read(node, log)
        return MATCHES.read(node, log)

    def schema(self) -> JsonSchema:
        """Either."""
        return {"anyOf": [Condition().schema(), MATCHES.schema()]}


ID: Final = Field("id", At(NAME), "A name that stays when steps are added.", "first")
VIA: Final = Field(
    "via",
    Many(Choice("channel", Channel)),
    "Channels in the order to try them.",
    "[email, sms]",
)
CLASS: Final = Field("class", Choice("class", MessageClass), "What the message is.", "marketing")
TOPIC: Final = Field("topic", At(NAME), "The topic it belongs to.", "offers")
THEN: Final = Field("then", StepList(), "Steps if so.", "[send: cart/thanks]")
OTHERWISE: Final = Field("otherwise", StepList(), "Steps if not.", "[send: cart/reminder]")

SEND: Final = Field("send", At(TEMPLATE), "Send a template.", "cart/reminder", required=True)
TO: Final = Field("to", At(NAME), "A colleague from brand.staff instead.", "support")
SUBJECT: Final = Field("subject", Localised(200), "Another subject.", "Your basket is still here")
ATTACH: Final = Field("attach", Many(Text()), "Files to go with it.", "invoice")
NOT_ALLOWED: Final = Field(
    "if_not_allowed", Choice("answer", NotAllowed), "When the message may not go out.", "exit"
)
WAIT: Final = Field("wait", DurationOrExpression(), "Wait for a time.", "1 hour", required=True)
UNTIL: Final = Field(
    "wait_until", MomentOrExpression(), "Wait for a moment.", "tuesday 10:00", required=True
)
WAIT_FOR: Final = Field(
    "wait_for", Awaited(), "Wait for a condition or events.", "first.clicked", required=True
)
WITHIN: Final = Field("within", DurationShape(), "How long at most.", "20 hours", required=True)
SINCE: Final = Field("since", Choice("since", Since), "From when events count.", "step")
IF: Final = Field(
    "if", Condition(), "Go one way or another.", "contact.orders.count == 0", required=True
)
CASE_THEN: Final = Field("then", StepList(), "Steps of this case.", "[...]", required=True)
CHOOSE: Final = Field(
    "choose",
    Many(Record("case", fields(IF, CASE_THEN), "a case", "choose: [{if: CONDITION, then: [...]}]")),
    "The first case that holds.",
    "[{if: CONDITION, then: [...]}]",
    required=True,
)
EXPERIMENT: Final = Field("experiment", At(NAME), "Compare variants.", "incentive", required=True)
WEIGHT: Final = Field("weight", Whole(1, 1000), "Its share.", "50", required=True)
VARIANT_STEPS: Final = Field("steps", StepList(), "Its steps.", "[...]", required=True)
VARIANTS: Final = Field(
    "variants",
    At(
        Named(
            NAME,
            Record(
                "variant",
                fields(WEIGHT, VARIANT_STEPS),
                "the variant",
                "{weight: 50, steps: [...]}",
            ),
            "a group of variants",
            "plain: {weight: 50, steps: [...]}",
        )
    ),
    "The variants by name.",
    "{plain: {weight: 50, steps: [...]}}",
    required=True,
)
SET: Final = Field(
    "set", _VALUES, "Write attributes.", "{points: contact.points + 10}", required=True
)
TAG: Final = Field("tag", Many(NAME), "Put tags on the contact.", "[vip]", required=True)
UNTAG: Final = Field("untag", Many(NAME), "Take tags off.", "[new]", required=True)

PERCENT: Final = Field("percent", _PERCENT, "Percent off.", "10")
AMOUNT: Final = Field("amount", _MONEY, "Money off, in brand.currency.", "5")
CODE: Final = Field(
    "code", Word(r"[A-Za-z0-9_-]{2,40}", "a code", "SPRING10"), "A fixed code.", "SPRING10"
)
POOL: Final = Field("pool", NAME, "An imported pool.", "spring")
PREFIX: Final = Field(
    "prefix", Word(r"[A-Za-z0-9_-]{1,12}", "a prefix", "CART"), "Start of the code.", "CART"
)
VALID: Final = Field("valid", DurationShape(example="7 days"), "How long.", "7 days")
MIN_TOTAL: Final = Field("min_total", _MONEY, "Least order total.", "20")
COUPON: Final = Field(
    "coupon",
    At(
        Record(
            "coupon",
            fields(PERCENT, AMOUNT, CODE, POOL, PREFIX, VALID, MIN_TOTAL),
            "a coupon",
            "coupon: {code: SPRING10}",
        )
    ),
    "Get a coupon code.",
    "{code: SPRING10}",
    required=True,
)
_SITE: Final = Word(r"https://[^\s/]+\S*", "an https address", "https://desk.example/tickets")
WEBHOOK: Final = Field("webhook", _SITE, "Call a server.", "https://desk.example/t", required=True)
BODY: Final = Field("body", _VALUES, "What to send it.", "{email: contact.email}")
SECRET: Final = Field("secret", NAME, "Name of its secret.", "desk")
EMIT: Final = Field("emit", EventType(), "Record an event.", "loyalty.tier_reached", required=True)
DATA: Final = Field("data", _VALUES, "Its data.", "{tier: contact.points}")
START: Final = Field("start", At(NAME), "Enter another flow.", "win_back", required=True)
START_KEY: Final = Field("key", Condition("event.order_id"), "Its key.", "event.order_id")
WITHDRAW: Final = Field(
    "withdraw",
    Many(At(Word(r"all topics|[a-z][a-z0-9_]{0,63}", "a topic or all topics", "all topics"))),
    "Withdraw consent.",
    "all topics",
    required=True,
)
REASON: Final = Field("reason", Text(longest=200), "Why, for the record.", "sunset")
EXIT: Final = Field(
    "exit", Text(longest=100), "End the run, with a reason.", "reviewed", may_be_empty=True
)

_COMPANIONS: Final = {
    "send": fields(SEND, VIA, TO, SUBJECT, CLASS, TOPIC, ATTACH, OWN_POLICY, IF_LATE, NOT_ALLOWED),
    "wait": fields(WAIT),
    "wait_until": fields(UNTIL),
    "wait_for": fields(WAIT_FOR, WITHIN, SINCE, THEN, OTHERWISE),
    "if": fields(IF, THEN, OTHERWISE),
    "choose": fields(CHOOSE, OTHERWISE),
    "experiment": fields(EXPERIMENT, VARIANTS),
    "set": fields(SET),
    "tag": fields(TAG),
    "untag": fields(UNTAG),
    "coupon": fields(COUPON),
    "webhook": fields(WEBHOOK, BODY, SECRET),
    "emit": fields(EMIT, DATA),
    "start": fields(START, DATA, START_KEY),
    "withdraw": fields(WITHDRAW, REASON),
    "exit": fields(EXIT),
}
_STEPS: Final = {
    verb: Record(verb, (*companions, *fields(ID)), f'a "{verb}" step')
    for verb, companions in _COMPANIONS.items()
}
STEP: Final = Verbs("step", lambda: _STEPS, bare=("exit",))


def branches(said: Said) -> list[tuple[str, tuple[Said, ...]]]:
    """The branches of a step as written, each with its name in step ids."""
    found = said.fields
    named = [(field.name, found.get(field)) for field in (THEN, OTHERWISE) if said.verb != "choose"]
    if said.verb == "choose":
        cases = found.get(CHOOSE) or ()
        named = [(f"case{number}", case.get(CASE_THEN)) for number, case in enumerate(cases, 1)]
        named.append(("otherwise", found.get(OTHERWISE)))
    variants = found.get(VARIANTS)
    if variants:
        named = [(name, one.value.get(VARIANT_STEPS)) for name, one in variants.value.items()]
    return [(name, steps) for name, steps in named if steps is not None]


def id_of(said: Said, prefix: str, index: int) -> str:
    """The author's id, else the place in the file, counted from one."""
    name = said.fields.get(ID)
    return name.value if name else f"{prefix}{index + 1}"


def first_id(steps: tuple[Said, ...] | None, prefix: str, after: str | None) -> str | None:
    """Where a branch begins; where it has no steps, the step after it."""
    return id_of(steps[0], prefix, 0) if steps else after
