"""Each step's keys to the step the engine runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from orchestrator.domain.durations import Duration
from orchestrator.domain.expressions import Kind
from orchestrator.domain.flows import (
    Case,
    ChooseStep,
    CouponStep,
    EmitStep,
    EventMatch,
    ExitStep,
    ExperimentStep,
    IfLate,
    IfStep,
    MessageClass,
    NotAllowed,
    SendStep,
    SetStep,
    Since,
    StartStep,
    Step,
    TagStep,
    Variant,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WebhookStep,
    WithdrawStep,
    effective_policy,
)
from orchestrator.flowfile import steps as keys
from orchestrator.flowfile.names import Place
from orchestrator.flowfile.policies import IF_LATE, OWN_POLICY, own_policy
from orchestrator.flowfile.source import Scalar, Span
from orchestrator.flowfile.steps import first_id
from orchestrator.flowfile.structures import Fields, Placed, each_value
from orchestrator.flowfile.triggers import compile_matches

_LEAST_TO_COMPARE: Final = 2

if TYPE_CHECKING:
    from orchestrator.flowfile.program import ProgramWriter


def _send(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, _place: Place
) -> Step | None:
    template = found.get(keys.SEND)
    setting = writer.setting
    message_class = found.get(keys.CLASS) or setting.flow_class
    topic = _topic(writer, found, message_class)
    own = own_policy(found.get(OWN_POLICY), writer.names.policies, writer.names.log)
    policy = effective_policy(message_class, default=setting.default, own=(*own, *setting.own))
    to = found.get(keys.TO)
    if to is not None:
        writer.names.known("colleague", to, writer.names.staff)
    subject = found.get(keys.SUBJECT)
    return SendStep(
        step_id,
        template.value if template else "",
        via=found.get(keys.VIA) or setting.via,
        flow_class=message_class,
        topic=topic,
        policy=policy,
        if_late=found.get(IF_LATE) or policy.if_late or IfLate(),
        if_not_allowed=found.get(keys.NOT_ALLOWED) or NotAllowed.SKIP,
        next=target,
        subject=subject.compile(setting.locale, writer.names.log) if subject else None,
        to=to.value if to else None,
        attach=found.get(keys.ATTACH) or (),
    )


def _topic(writer: ProgramWriter, found: Fields, message_class: MessageClass) -> str | None:
    setting, own = writer.setting, found.get(keys.TOPIC)
    if own is not None:
        return own.value if writer.names.known("topic", own, writer.names.topics) else None
    confirmation = message_class is MessageClass.SERVICE and setting.confirms_sign_up
    needs_one = message_class in {MessageClass.MARKETING, MessageClass.SERVICE}
    if setting.topic is None and needs_one and not confirmation and not found.has(keys.TO):
        writer.untopical.append(found.key(keys.CLASS if found.has(keys.CLASS) else keys.SEND))
    return setting.topic


def _wait(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    wait = found.get(keys.WAIT)
    if isinstance(wait, Scalar):
        expression = writer.names.expression(wait, place, Kind.DURATION)
        return WaitStep(step_id, expression, target) if expression else None
    return WaitStep(step_id, wait, target) if wait else None


def _wait_until(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    moment = found.get(keys.UNTIL)
    if isinstance(moment, Scalar):
        expression = writer.names.expression(moment, place, Kind.TIME)
        return WaitUntilStep(step_id, expression, target) if expression else None
    return WaitUntilStep(step_id, moment, target) if moment else None


def _wait_for(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    awaited = found.get(keys.WAIT_FOR)
    condition = None
    events: tuple[EventMatch, ...] = ()
    if isinstance(awaited, Scalar):
        condition = writer.names.expression(awaited, place)
    else:
        events = compile_matches(awaited, writer.names, place)
    return WaitForStep(
        step_id,
        condition,
        events,
        found.get(keys.WITHIN) or Duration(),
        found.get(keys.SINCE) or Since.STEP,
        then=first_id(found.get(keys.THEN), f"{step_id}.then.", target),
        otherwise=first_id(found.get(keys.OTHERWISE), f"{step_id}.otherwise.", target),
        next=target,
    )


def _if(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    condition = writer.names.optional(found.get(keys.IF), place)
    if not found.has(keys.THEN) and not found.has(keys.OTHERWISE):
        message = '"if" without "then" or "otherwise" does nothing'
        writer.names.log.wrong("missing", found.key(keys.IF), message, "add then: with its steps")
    if condition is None:
        return None
    return IfStep(
        step_id,
        condition,
        then=first_id(found.get(keys.THEN), f"{step_id}.then.", target),
        otherwise=first_id(found.get(keys.OTHERWISE), f"{step_id}.otherwise.", target),
        next=target,
    )


def _choose(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    cases = []
    for number, case in enumerate(found.get(keys.CHOOSE) or (), 1):
        condition = writer.names.optional(case.get(keys.IF), place)
        first = first_id(case.get(keys.CASE_THEN), f"{step_id}.case{number}.", target)
        if condition is not None:
            cases.append(Case(condition, first))
    otherwise = first_id(found.get(keys.OTHERWISE), f"{step_id}.otherwise.", target)
    return ChooseStep(step_id, tuple(cases), otherwise, target)


def _experiment(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, _place: Place
) -> Step | None:
    name, variants = found.get(keys.EXPERIMENT), found.get(keys.VARIANTS)
    if name is None or variants is None:
        return None
    if len(variants.value) < _LEAST_TO_COMPARE:
        message = f'experiment "{name.value}" has nothing to compare'
        writer.names.log.wrong("value", found.key(keys.VARIANTS), message, "add a second variant")
    compiled = [
        Variant(
            variant,
            one.get(keys.WEIGHT) or 1,
            first_id(one.get(keys.VARIANT_STEPS), f"{step_id}.{variant}.", target),
        )
        for variant, one, _ in each_value(variants.value)
    ]
    return ExperimentStep(step_id, name.value, tuple(compiled), target)


def _set(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    values = found.get(keys.SET) or {}
    for name, placed in values.items():
        writer.names.known("attribute", Placed(name, placed.node), writer.names.attributes)
    return SetStep(step_id, writer.values(values, place), target)


def _tag(
    _writer: ProgramWriter, found: Fields, step_id: str, target: str | None, _place: Place
) -> Step | None:
    return TagStep(step_id, found.get(keys.TAG) or (), found.get(keys.UNTAG) or (), target)


def _coupon(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, _place: Place
) -> Step | None:
    placed = found.get(keys.COUPON)
    if placed is None:
        return None
    coupon = placed.value
    _check_coupon(writer, coupon, found.key(keys.COUPON))
    return CouponStep(
        step_id,
        target,
        percent=coupon.get(keys.PERCENT),
        amount=coupon.get(keys.AMOUNT),
        code=coupon.get(keys.CODE),
        pool=coupon.get(keys.POOL),
        prefix=coupon.get(keys.PREFIX) or "",
        valid=coupon.get(keys.VALID),
        min_total=coupon.get(keys.MIN_TOTAL),
    )


def _check_coupon(writer: ProgramWriter, coupon: Fields, span: Span) -> None:
    log = writer.names.log
    for one, other in ((keys.PERCENT, keys.AMOUNT), (keys.CODE, keys.POOL)):
        if coupon.has(one) and coupon.has(other):
            message = f'"{one.name}" and "{other.name}" in one coupon'
            log.wrong("value", coupon.key(other), message, "keep one of them")
    if not any(coupon.has(key) for key in (keys.PERCENT, keys.AMOUNT, keys.CODE, keys.POOL)):
        message = "a coupon without percent, amount, code or pool is worth nothing"
        log.wrong("missing", span, message, "write coupon: {code: SPRING10}")


def _webhook(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    body = writer.values(found.get(keys.BODY), place)
    url = found.get(keys.WEBHOOK) or ""
    return WebhookStep(step_id, url, body, found.get(keys.SECRET), target)


def _emit(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    data = writer.values(found.get(keys.DATA), place)
    return EmitStep(step_id, found.get(keys.EMIT) or "", data, target)


def _start(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, place: Place
) -> Step | None:
    flow = found.get(keys.START)
    if flow is None or not writer.names.known("flow", flow, writer.names.flows):
        return None
    data = writer.values(found.get(keys.DATA), place)
    key = writer.names.optional(found.get(keys.START_KEY), place, None)
    return StartStep(step_id, flow.value, data, key, target)


def _withdraw(
    writer: ProgramWriter, found: Fields, step_id: str, target: str | None, _place: Place
) -> Step | None:
    topics = found.get(keys.WITHDRAW) or ()
    everything = any(topic.value == "all topics" for topic in topics)
    for topic in topics:
        if topic.value == "all" and "all" not in writer.names.topics:
            span = Span(topic.node.start, topic.node.end)
            message = "it is not said what all of it is"
            writer.names.log.wrong("value", span, message, "write withdraw: all topics")
        elif topic.value != "all topics":
            writer.names.known("topic", topic, writer.names.topics)
    named = None if everything else tuple(topic.value for topic in topics)
    return WithdrawStep(step_id, named, found.get(keys.REASON) or "", target)


def _exit(
    _writer: ProgramWriter, found: Fields, step_id: str, _target: str | None, _place: Place
) -> Step | None:
    return ExitStep(step_id, found.get(keys.EXIT) or "")


_Compiler = Callable[["ProgramWriter", Fields, str, "str | None", Place], "Step | None"]
COMPILERS: Final[dict[str, _Compiler]] = {
    "send": _send,
    "wait": _wait,
    "wait_until": _wait_until,
    "wait_for": _wait_for,
    "if": _if,
    "choose": _choose,
    "experiment": _experiment,
    "set": _set,
    "tag": _tag,
    "untag": _tag,
    "coupon": _coupon,
    "webhook": _webhook,
    "emit": _emit,
    "start": _start,
    "withdraw": _withdraw,
    "exit": _exit,
}
