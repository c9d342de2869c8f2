"""A journey in plain sentences, as one colleague would tell another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, assert_never

from orchestrator.domain.durations import Duration, spell_span
from orchestrator.domain.flows import (
    Again,
    Channel,
    ChooseStep,
    ClockMoment,
    ClockWindow,
    CouponStep,
    DateTrigger,
    EmitStep,
    EventMatch,
    EventTrigger,
    ExitStep,
    ExperimentStep,
    Flow,
    FlowBook,
    IfStep,
    ManualTrigger,
    MessageClass,
    Moment,
    PolicyChangeTrigger,
    ScheduleTrigger,
    SegmentTrigger,
    SendStep,
    SetStep,
    StartStep,
    Step,
    TagStep,
    Trigger,
    WaitForStep,
    WaitStep,
    WaitUntilStep,
    WebhookStep,
    WithdrawStep,
)
from orchestrator.flowfile.times import WEEKDAYS
from orchestrator.flowfile.words import say, say_events, say_key

CHANNEL_WORDS: Final = {Channel.EMAIL: "email", Channel.SMS: "SMS", Channel.WHATSAPP: "WhatsApp"}
_CLASS_WORDS: Final = {
    MessageClass.MARKETING: "marketing: only to people who agreed to",
    MessageClass.SERVICE: "a service people asked for, about",
    MessageClass.TRANSACTIONAL: "about an order; no consent needed",
    MessageClass.LEGAL: "a legal notice; no consent needed",
}


def explain_flow(book: FlowBook, flow_name: str) -> str:
    """The journey in sentences, one line each, branches indented.

    Raises:
        KeyError: there is no such flow.
    """
    flow = book.flows[flow_name]
    lines = [
        flow.title,
        *_paragraph(flow.description),
        "",
        *who_enters(flow, book),
        "",
        "What happens:",
    ]
    teller = _Teller(flow.program)
    lines += [f"  {line}" for line in teller.tell(flow.first, None, "")]
    lines += ["  The run ends.", "", *what_ends_it(flow)]
    return "\n".join(lines).rstrip() + "\n"


def _paragraph(text: str) -> list[str]:
    return [text] if text else []


def start_of(flow: Flow) -> str:
    """What lets a person in, as a sentence."""
    starts = [_trigger(trigger) for trigger in flow.triggers]
    return f"A person enters {' or '.join(starts)}."


def who_enters(flow: Flow, book: FlowBook) -> Iterator[str]:
    """A sentence each on what lets a person in, how often, and what they get."""
    yield start_of(flow)
    if flow.audience:
        yield f"Only if {say(flow.audience)}."
    if flow.key:
        yield f"There is one run at a time for each {say_key(flow.key)}."
    yield _again(flow)
    topic = book.topics.get(flow.topic or "")
    about = f' "{topic.title}"' if topic and flow.flow_class in _TOPICAL else ""
    yield f"The messages are {_CLASS_WORDS[flow.flow_class]}{about}."
    if flow.holdout_percent:
        yield f"{flow.holdout_percent:f}% of the people get nothing, for comparison."


_TOPICAL: Final = frozenset({MessageClass.MARKETING, MessageClass.SERVICE})


def what_ends_it(flow: Flow) -> Iterator[str]:
    """A sentence each on the exits, the goal and the sunset."""
    if flow.exits:
        events = say_events(flow.exits)
        yield f"The run ends at once, and what is queued is taken back, when {events}."
    if flow.goal:
        within = spell_span(flow.goal.within)
        yield f"It has reached its goal when, within {within}, {say_events(flow.goal.events)}."
    if flow.sunset:
        after = spell_span(flow.sunset)
        yield f"After {after} without a sign of life, marketing to the person stops."


def _again(flow: Flow) -> str:
    same = f" for the same {say_key(flow.key)}" if flow.key else ""
    match flow.reenter.again:
        case Again.NEVER:
            return f"Nobody enters twice{same}."
        case Again.ALWAYS:
            return f"People may enter again{same} at once."
        case Again.AFTER:
            return f"People may enter again{same} {flow.reenter.after} after they last entered."
        case Again.RESTART:
            return f"Entering again{same} starts from the beginning."
    assert_never(flow.reenter.again)


def _trigger(trigger: Trigger) -> str:
    match trigger:
        case EventTrigger():
            each = f", once for each of {trigger.each}" if trigger.each else ""
            return f"when {say_events((EventMatch(trigger.event, trigger.where),))}{each}"
        case SegmentTrigger():
            inside = " (as do those already in it)" if trigger.current.value == "enter" else ""
            return f"when they join the segment {trigger.segment}{inside}"
        case ScheduleTrigger():
            moment = trigger.moment
            return f"at {moment:%Y-%m-%d %H:%M}" if moment else f"by the schedule {trigger.cron}"
        case DateTrigger():
            days = abs(trigger.offset_days)
            side = "before" if trigger.offset_days < 0 else "after"
            offset = f"{spell_span(timedelta(days=days))} {side} " if days else "on "
            return f"{offset}{trigger.date} at {trigger.at:%H:%M}, {trigger.repeat.value}"
        case PolicyChangeTrigger():
            return f"when the {trigger.document} policy changes"
        case ManualTrigger():
            return "by hand"
    assert_never(trigger)


def _moment(moment: Moment) -> str:
    match moment:
        case ClockWindow():
            return f"between {moment.start:%H:%M} and {moment.end:%H:%M}"
        case ClockMoment():
            day = f"{moment.on} " if moment.on else ""
            if moment.weekday is not None:
                day = f"{WEEKDAYS[moment.weekday].capitalize()} "
            return f"{day}{moment.at:%H:%M}"
    assert_never(moment)


Branching = IfStep | WaitForStep | ChooseStep | ExperimentStep
"""Steps with more than one way on."""


@dataclass(frozen=True, slots=True)
class _Teller:
    """Walks the flat program and indents its branches again."""

    program: Mapping[str, Step]

    def tell(self, at: str | None, until: str | None, indent: str) -> Iterator[str]:
        """The steps from one up to, not including, another."""
        while at is not None and at != until:
            step = self.program[at]
            if isinstance(step, ExitStep):
                why = f": {step.reason}" if step.reason else ""
                yield f"{indent}The run ends here{why}."
                return
            if isinstance(step, Branching):
                yield from self._branches(step, indent)
            else:
                yield f"{indent}{sentence(step)}"
            at = step.next

    def _branches(self, step: Branching, indent: str) -> Iterator[str]:
        opening, targets = ways(step)
        yield f"{indent}{opening}"
        for title, target in targets:
            if target != step.next:
                yield f"{indent}  {title}"
                yield from self.tell(target, step.next, f"{indent}    ")


def ways(step: Branching) -> tuple[str, list[tuple[str, str | None]]]:
    """What is asked, and each way on with its title; one to `step.next` has no steps."""
    match step:
        case IfStep():
            both = [("If so:", step.then), ("If not:", step.otherwise)]
            return f"Ask whether {say(step.condition)}.", both
        case WaitForStep():
            awaited = say(step.condition) if step.condition else say_events(step.events)
            opening = f"Wait until {awaited}, at most {step.within}."
            return opening, [("If so:", step.then), ("If not:", step.otherwise)]
        case ChooseStep():
            cases = [(f"If {say(case.condition)}:", case.then) for case in step.cases]
            return "Take the first that fits.", [*cases, ("Else:", step.otherwise)]
        case ExperimentStep():
            whole = sum(variant.weight for variant in step.variants)
            arms = [
                (
                    f"{variant.name}, {100 * variant.weight / whole:.0f}% of the people:",
                    variant.then,
                )
                for variant in step.variants
            ]
            return f"Compare, in the experiment {step.name}:", arms
    assert_never(step)


Plain = (
    SendStep
    | WaitStep
    | WaitUntilStep
    | SetStep
    | TagStep
    | CouponStep
    | WebhookStep
    | EmitStep
    | StartStep
    | WithdrawStep
)


def sentence(step: Plain) -> str:
    """What a step does."""
    match step:
        case SendStep():
            return _send(step)
        case WaitStep():
            span = step.duration
            return f"Wait {span}." if isinstance(span, Duration) else f"Wait for {span}."
        case WaitUntilStep():
            moment = step.moment
            if isinstance(moment, ClockWindow):
                return f"Wait for the time {_moment(moment)}."
            said = _moment(moment) if isinstance(moment, ClockMoment) else moment
            return f"Wait until {said}."
        case SetStep():
            values = [f"{name} to {value}" for name, value in step.values.items()]
            return f"Set {', '.join(values)}."
        case TagStep():
            add = f"Tag as {', '.join(step.add)}." if step.add else ""
            return add or f"Take the tag {', '.join(step.remove)} off."
        case CouponStep():
            return f"Get the coupon {step.code}." if step.code else f"Get {_coupon(step)}."
        case WebhookStep():
            return f"Call {step.url}."
        case EmitStep():
            return f"Record the event {step.event}."
        case StartStep():
            return f"Start the journey {step.flow}."
        case WithdrawStep():
            topics = "all topics" if step.topics is None else ", ".join(step.topics)
            why = f" ({step.reason})" if step.reason else ""
            return f"Withdraw the consent to {topics}{why}."
    assert_never(step)


def _send(step: SendStep) -> str:
    channels = [CHANNEL_WORDS[channel] for channel in step.via]
    by = f"by {channels[0]}" + "".join(f", or else by {other}" for other in channels[1:])
    to = f" to our colleague {step.to}" if step.to else ""
    late = " If it may not be sent, the run ends." if step.if_not_allowed.value == "exit" else ""
    return f"Send {step.template} {by}{to}.{late}"


def _coupon(step: CouponStep) -> str:
    worth = ""
    if step.percent:
        worth = f" of {step.percent:f}%"
    elif step.amount:
        worth = f" of {step.amount:f}"
    source = f" from the pool {step.pool}" if step.pool else ""
    valid = f", valid for {step.valid}" if step.valid else ""
    return f"a coupon{worth}{source}{valid}"
