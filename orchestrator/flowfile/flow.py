"""The keys of a flow, and the rules that tie them together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from orchestrator.domain.flows import (
    Again,
    Brand,
    Channel,
    Flow,
    MessageClass,
    OnChange,
    Policy,
    Reenter,
    Stage,
    effective_policy,
)
from orchestrator.flowfile import steps as keys
from orchestrator.flowfile.names import Names, Place
from orchestrator.flowfile.policies import OWN_POLICY, own_policy
from orchestrator.flowfile.program import ProgramWriter, Setting
from orchestrator.flowfile.shapes import (
    Choice,
    Condition,
    JsonSchema,
    Number,
    Shape,
    Text,
    Whole,
    read_scalar,
    write,
)
from orchestrator.flowfile.source import Log, Node, Scalar, Span, shorten
from orchestrator.flowfile.steps import CLASS, TOPIC, VIA, StepList
from orchestrator.flowfile.structures import (
    At,
    Field,
    Fields,
    Named,
    Placed,
    Record,
    each_value,
    fields,
)
from orchestrator.flowfile.texts import NAME
from orchestrator.flowfile.times import DurationShape, SpanShape
from orchestrator.flowfile.triggers import (
    EVENT,
    EXIT_WHEN,
    GOAL,
    POLICY_CHANGE,
    SCHEDULE,
    WHEN,
    compile_goal,
    compile_matches,
    compile_trigger,
    has_items,
    hears_events,
)
from orchestrator.flowfile.verbs import Said

_TOPICAL: Final = frozenset({MessageClass.MARKETING, MessageClass.SERVICE})


@dataclass(frozen=True, slots=True)
class ReenterShape(Shape[Reenter]):
    """`never`, `always`, `restart` or `after 1 day`."""

    def read(self, node: Node, log: Log) -> Reenter | None:
        """The rule."""
        scalar = read_scalar(node, log, "a rule for re-entry", "after 1 day")
        if scalar is None:
            return None
        text = " ".join(scalar.text.split())
        if text in {"never", "always", "restart"}:
            return Reenter(Again(text))
        first, _, rest = text.partition(" ")
        if first == "after" and rest:
            at = scalar.start + scalar.text.find(rest) + len(scalar.style)
            duration = DurationShape(example="after 1 day", lead="after ").read(
                Scalar(max(at, scalar.start), scalar.end, rest), log
            )
            return Reenter(Again.AFTER, duration) if duration else None
        hint = f"{write(log, 'after 1 day')}, never, always or restart"
        if text[:1].isdigit():
            hint = write(log, f"after {text}")
        log.wrong("value", scalar, f'"{shorten(text)}" is no rule for re-entry', hint)
        return None

    def schema(self) -> JsonSchema:
        """The words."""
        return {"type": "string", "pattern": "^(never|always|restart|after .+)$"}


@dataclass(frozen=True, slots=True)
class SunsetShape(Shape[timedelta]):
    """A span, or `never`, which is a span of nothing."""

    def read(self, node: Node, log: Log) -> timedelta | None:
        """The span."""
        if isinstance(node, Scalar) and node.text.strip() == "never":
            return timedelta()
        return SpanShape("180 days").read(node, log)

    def schema(self) -> JsonSchema:
        """Either."""
        return {"anyOf": [{"const": "never"}, SpanShape().schema()]}


TITLE: Final = Field("title", Text(longest=100), "What colleagues see.", "Abandoned cart")
DESCRIPTION: Final = Field("description", Text(longest=2000), "What it is for.", "Reminds …")
STAGE: Final = Field("stage", Choice("stage", Stage), "For maps and reports.", "retention")
FLOW_CLASS: Final = Field("class", CLASS.shape, CLASS.doc, "marketing", required=True)
KEY: Final = Field("key", Condition("event.checkout_id"), "One run per key.", "event.checkout_id")
REENTER: Final = Field("reenter", ReenterShape(), "Whether to enter again.", "after 1 day")
AUDIENCE: Final = Field("audience", Condition(), "Must hold at entry.", "contact.orders.count > 0")
HOLDOUT: Final = Field(
    "holdout", Number(Decimal(0), Decimal(90), "5%", unit="%"), "Share left out, to compare.", "5%"
)
SUNSET: Final = Field("sunset", SunsetShape(), "When to stop writing.", "180 days")
PRIORITY: Final = Field("priority", Whole(0, 100), "Who goes first, 0 to 100.", "50")
SPREAD: Final = Field("spread", SpanShape("6 hours"), "Spread entries over a time.", "6 hours")
ON_CHANGE: Final = Field(
    "on_change", Choice("on_change", OnChange), "People inside an older version.", "finish_old"
)
MOVED: Final = Field(
    "moved",
    Named(Text(longest=100), At(Text(longest=100)), "a group of ids", "moved: {old_id: new_id}"),
    "Where people at a removed step go on.",
    "{old_id: new_id}",
)
STEPS: Final = Field("steps", StepList(), "What happens, in order.", "[send: …]", required=True)
FLOW: Final = Record(
    "flow",
    fields(
        TITLE,
        DESCRIPTION,
        STAGE,
        FLOW_CLASS,
        TOPIC,
        VIA,
        WHEN,
        KEY,
        REENTER,
        AUDIENCE,
        EXIT_WHEN,
        GOAL,
        HOLDOUT,
        SUNSET,
        OWN_POLICY,
        PRIORITY,
        SPREAD,
        ON_CHANGE,
        MOVED,
        STEPS,
    ),
    "the flow",
    "its keys below it: class, when, steps",
)
FLOWS: Final = Named(NAME, FLOW, "a group of flows", "abandoned_cart: with class, when and steps")


@dataclass(frozen=True, slots=True)
class Written:
    """A compiled flow, and where each of its steps stands."""

    flow: Flow
    spans: Mapping[str, Span]


def compile_flow(name: str, found: Fields, names: Names, brand: Brand) -> Written:
    """One flow; gaps were logged and are filled with nothing."""
    said = found.get(WHEN) or ()
    place = _place(said, names)
    keyed = place.with_key()
    own = own_policy(found.get(OWN_POLICY), names.policies, names.log)
    setting = _setting(found, said, own, names, brand)
    flow_class = setting.flow_class
    writer = ProgramWriter(names, keyed, setting)
    steps = found.get(STEPS) or ()
    first = writer.write(steps)
    _check_rules(found, said, steps, names, brand)
    _check_topics(found, writer.untopical, flow_class, names)
    triggers = [compile_trigger(one, names, names.base) for one in said]
    holdout = found.get(HOLDOUT)
    priority = found.get(PRIORITY)
    flow = Flow(
        name=name,
        title=found.get(TITLE) or name.replace("_", " ").capitalize(),
        description=found.get(DESCRIPTION) or "",
        stage=found.get(STAGE),
        flow_class=flow_class,
        topic=setting.topic,
        via=setting.via,
        triggers=tuple(trigger for trigger in triggers if trigger is not None),
        key=names.optional(found.get(KEY), place, None),
        reenter=found.get(REENTER) or Reenter(),
        audience=names.optional(found.get(AUDIENCE), names.base),
        exits=compile_matches(found.get(EXIT_WHEN), names, keyed),
        goal=compile_goal(found.get(GOAL), names, keyed),
        holdout_percent=holdout or Decimal(0),
        sunset=found.get(SUNSET) or None,
        priority=50 if priority is None else priority,
        spread=found.get(SPREAD),
        on_change=found.get(ON_CHANGE) or OnChange.FINISH_OLD,
        moved=_moved(found, writer.program, names),
        policy=effective_policy(flow_class, default=setting.default, own=own),
        program=writer.program,
        first=first,
    )
    return Written(flow, writer.spans)


def _setting(
    found: Fields, said: tuple[Said, ...], own: tuple[Policy, ...], names: Names, brand: Brand
) -> Setting:
    topic = found.get(TOPIC)
    if topic is not None:
        names.known("topic", topic, names.topics)
    return Setting(
        # Without a class, an error that was logged, nothing is said about topics as well.
        flow_class=found.get(FLOW_CLASS) or MessageClass.TRANSACTIONAL,
        topic=topic.value if topic else None,
        via=found.get(VIA) or (Channel.EMAIL,),
        own=own,
        default=names.policies.get("default", Policy()),
        locale=brand.locale,
        confirms_sign_up=bool(said)
        and all(one.fields.get(EVENT) == "contact.subscribed" for one in said),
    )


def _place(said: tuple[Said, ...], names: Names) -> Place:
    place = names.base.with_event() if hears_events(said) else names.base
    return place.with_item() if has_items(said) else place


def _moved(found: Fields, program: Mapping[str, object], names: Names) -> dict[str, str]:
    moved = {}
    for old, new, _ in each_value(found.get(MOVED)):
        if names.known("step", new, program):
            moved[old] = new.value
    return moved


def _check_topics(
    found: Fields, untopical: list[Span], flow_class: MessageClass, names: Names
) -> None:
    if not untopical or found.has(TOPIC):
        return
    span = found.key(FLOW_CLASS) if flow_class in _TOPICAL else untopical[0]
    message = "marketing and service messages need a topic, so that people can decline it"
    names.log.wrong("class", span, message, f"add topic: {next(iter(names.topics), 'offers')}")


def _check_rules(
    found: Fields, said: tuple[Said, ...], steps: tuple[Said, ...], names: Names, brand: Brand
) -> None:
    log = names.log
    flow_class = found.get(FLOW_CLASS)
    if found.has(HOLDOUT) and flow_class in {MessageClass.TRANSACTIONAL, MessageClass.LEGAL}:
        message = f"a {flow_class.value} flow writes to everybody who is due a message"
        log.wrong("class", found.key(HOLDOUT), message, "remove holdout")
    if found.has(STEPS) and not steps and found.get(STEPS) is not None:
        log.wrong("missing", found.key(STEPS), "this flow has no steps", "add - send: group/name")
    for one in said:
        if one.fields.has(POLICY_CHANGE):
            _check_privacy(one, names, brand)
        if one.fields.has(SCHEDULE) and not found.has(AUDIENCE):
            message = "a schedule needs an audience: who shall enter?"
            log.wrong("missing", one.span, message, "add audience: contact.orders.count > 0")
    _check_experiments(steps, log, {})


def _check_privacy(said: Said, names: Names, brand: Brand) -> None:
    privacy = brand.privacy
    needed = {
        "previous_url": privacy and privacy.previous_url,
        "why": privacy and privacy.why,
        "changes": privacy and privacy.changes,
    }
    missing = [name for name, value in needed.items() if not value]
    if privacy is None:
        missing = ["version", "effective", "url", *missing]
    if missing:
        message = (
            f"a policy_change flow tells what changes; {', '.join(missing)} is not in brand.privacy"
        )
        hint = f"add {', '.join(missing)} under privacy: in brand:"
        names.log.wrong("missing", said.span, message, hint)


def _check_experiments(steps: tuple[Said, ...], log: Log, seen: dict[str, Placed[str]]) -> None:
    for said in steps:
        name = said.fields.get(keys.EXPERIMENT)
        if name is not None and seen.setdefault(name.value, name) is not name:
            span = Span(name.node.start, name.node.end)
            line, _ = log.source.place(seen[name.value].node.start)
            message = f'the experiment "{name.value}" is on line {line} already'
            log.wrong("name", span, message, f"write experiment: {name.value}_2")
        for _, branch in keys.branches(said):
            _check_experiments(branch, log, seen)
